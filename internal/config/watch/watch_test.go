package watch

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a watcher until the test ends.
func start(t *testing.T, paths ...string) *Watcher {
	t.Helper()
	w, err := New(paths)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

// expect waits for a change.
func expect(t *testing.T, w *Watcher, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-w.Changed():
	case <-ctx.Done():
		t.Fatalf("not noticed: %s", what)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWrittenInPlace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, "a")
	w := start(t, file)
	write(t, file, "longer")
	expect(t, w, "a write")
}

func TestReplacedByRename(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	write(t, file, "a")
	w := start(t, file)
	for _, text := range []string{"one", "three", "eleven"} {
		write(t, file+"~", text)
		must(t, os.Rename(file+"~", file))
		expect(t, w, "a rename to "+text)
	}
}

func TestKubernetesSwap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name, text string) {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		write(t, filepath.Join(dir, name, "config.yaml"), text)
		must(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..one", "same")
	file := filepath.Join(dir, "config.yaml")
	must(t, os.Symlink(filepath.Join("..data", "config.yaml"), file))
	w := start(t, file)
	version("..two", "same") // another file of the same length
	must(t, os.RemoveAll(filepath.Join(dir, "..one")))
	expect(t, w, "the swap")
	version("..three", "another")
	expect(t, w, "the second swap")
}

func TestFilesOfAFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "rules")
	must(t, os.Mkdir(dir, 0o700))
	w := start(t, dir)
	write(t, filepath.Join(dir, "a.yaml"), "a")
	expect(t, w, "a new file")
	must(t, os.Remove(filepath.Join(dir, "a.yaml")))
	expect(t, w, "a file gone")
	must(t, os.Remove(dir))
	must(t, os.Mkdir(dir, 0o700))
	write(t, filepath.Join(dir, "b.yaml"), "b")
	expect(t, w, "a file in the folder made anew")
}

func TestNotThereYet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "secrets", "token")
	w := start(t, file)
	must(t, os.Mkdir(filepath.Dir(file), 0o700))
	write(t, file, "a")
	expect(t, w, "a file that came")
	write(t, file, "longer")
	expect(t, w, "a write to it")
}

func TestLinkTarget(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	target := filepath.Join(elsewhere, "real.yaml")
	write(t, target, "a")
	file := filepath.Join(dir, "config.yaml")
	must(t, os.Symlink(target, file))
	w := start(t, file)
	write(t, target, "longer")
	expect(t, w, "a write to the target")
}

// TestOthersMeanNothing writes another file, then the watched one, and expects one
// word only.
func TestOthersMeanNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	write(t, file, "a")
	w, err := New([]string{file})
	must(t, err)
	defer func() { must(t, w.notify.Close()) }()
	write(t, filepath.Join(dir, "server.log"), "a line")
	w.check()
	select {
	case <-w.Changed():
		t.Fatal("another file counts as a change")
	default:
	}
	write(t, file, "longer")
	w.check()
	w.check()
	<-w.Changed()
	select {
	case <-w.Changed():
		t.Fatal("one change was told twice")
	default:
	}
}

// TestWatchKeepsWhatIsNotTold changes a file before the paths are replaced.
func TestWatchKeepsWhatIsNotTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "a")
	w, err := New([]string{a})
	must(t, err)
	defer func() { must(t, w.notify.Close()) }()
	write(t, a, "longer")
	w.Watch([]string{a, b})
	w.check()
	select {
	case <-w.Changed():
	default:
		t.Fatal("the change was lost")
	}
	write(t, b, "new")
	w.check()
	select {
	case <-w.Changed():
	default:
		t.Fatal("the new path is not watched")
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events, told := make(chan struct{}), make(chan time.Duration, 10)
		begin := time.Now()
		go settle(ctx, events, func() { told <- time.Since(begin) })
		step := func(d time.Duration) {
			<-time.After(d)
			events <- struct{}{}
		}
		step(0)
		step(quiet / 2)
		step(quiet / 2)
		if got, want := <-told, 2*quiet; got != want {
			t.Errorf("three steps were told after %v, want %v", got, want)
		}
		const pace = 3 * quiet / 10
		begin = time.Now()
		for time.Since(begin) < patience+quiet {
			step(pace)
		}
		if got, want := <-told, pace+patience; got != want {
			t.Errorf("steps without end were told after %v, want %v", got, want)
		}
	})
}
