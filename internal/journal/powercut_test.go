package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
)

// A power cut may take the end of the log, and what NATS notes about its files may be
// newer than they are. What is left is a prefix, and it goes on from there. After an end
// in good order the same is damage.
func TestPowerCutTakesTheEnd(t *testing.T) {
	for name, inGoodOrder := range map[string]bool{"power cut": false, "end in good order": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := server(t, dir)
			r := mustOpen(t, s, journal.Options{})
			for i := range uint64(4) {
				r.set(i, strings.Repeat("x", 100))
				if err := r.sync(t); err != nil {
					t.Fatal(err)
				}
			}
			want := r.texts()
			delete(want, 3)
			_ = r.j.Close()
			s.Close()
			blocks, _ := filepath.Glob(filepath.Join(dir, "jetstream/*/streams/*/msgs/*.blk"))
			indexes, _ := filepath.Glob(filepath.Join(dir, "jetstream/*/streams/*/msgs/index.db"))
			if len(blocks) != 1 || len(indexes) != 1 {
				t.Fatalf("files %v, %v", blocks, indexes)
			}
			info, err := os.Stat(blocks[0])
			if err == nil {
				err = os.Truncate(blocks[0], info.Size()-50)
			}
			if err == nil && !inGoodOrder {
				err = os.Truncate(filepath.Join(dir, "lock"), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			for life := range 2 {
				s = server(t, dir)
				r, err = open(t, s, journal.Options{})
				if inGoodOrder {
					if !errors.Is(err, journal.ErrCorrupt) {
						t.Fatalf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, r.texts()); diff != "" {
					t.Fatalf("(-want +got):\n%s", diff)
				}
				r.set(uint64(10+life), "y")
				want[uint64(10+life)] = "y"
				if err := r.sync(t); err != nil {
					t.Fatal(err)
				}
				_ = r.j.Close()
				s.Close()
			}
		})
	}
}

// Nothing is thrown away before what it was written anew as is on the disk.
func TestNothingIsPurgedThatIsNotSynced(t *testing.T) {
	s := server(t, t.TempDir())
	f := &faulty{Server: s, mend: make(chan struct{}), synced: make(chan error)}
	defer close(f.synced) // what follows is not held up
	r := mustOpen(t, f, journal.Options{Tidy: 1 << 10})
	r.set(0, "old")
	change := func(i int) {
		r.set(1, fmt.Sprint(i, strings.Repeat("x", 1<<10)))
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	_, st := stream(t, s)
	for i := range 20 { // until it wants to throw away
		change(i)
	}
	for i := range 3 {
		f.synced <- natsd.ErrLost
		change(i)
		info, err := st.Info(t.Context())
		if err != nil || info.State.FirstSeq != 1 {
			t.Fatalf("the stream begins at %d: %v", info.State.FirstSeq, err)
		}
	}
	for limit := time.Now().Add(30 * time.Second); ; change(0) {
		select {
		case f.synced <- nil:
		default:
		}
		info, err := st.Info(t.Context())
		if err != nil || time.Now().After(limit) {
			t.Fatalf("nothing is thrown away: %v", err)
		}
		if info.State.FirstSeq > 1 {
			break
		}
	}
}

// A power cut soon after the first start leaves files without content that say what the
// stream is; its messages are there all the same.
func TestPowerCutSoonAfterTheFirstStart(t *testing.T) {
	for name, lose := range map[string]func(file string) error{
		"empty":   func(file string) error { return os.Truncate(file, 0) },
		"missing": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := server(t, dir)
			r := mustOpen(t, s, journal.Options{})
			for i := range uint64(4) {
				r.set(i, "x")
				if err := r.sync(t); err != nil {
					t.Fatal(err)
				}
			}
			_ = r.j.Close()
			s.Close()
			files, _ := filepath.Glob(filepath.Join(dir, "jetstream/*/streams/*/meta.*"))
			if len(files) != 2 {
				t.Fatalf("files %v", files)
			}
			for _, file := range append(files, filepath.Join(dir, "lock")) {
				if err := lose(file); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(r.texts(), mustOpen(t, server(t, dir), journal.Options{}).texts()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
