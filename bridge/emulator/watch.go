package emulator

import (
	"context"
	"errors"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// watchInterval is how often the code's files are looked at; looking may take a
	// hundredth of the time at most.
	watchInterval = 300 * time.Millisecond
	watchShare    = 100
	// maxWatched bounds the files that are looked at: more is not a function's code.
	maxWatched = 20000
	// retryInterval is how often a missing runtime or missing code is looked for.
	retryInterval = 2 * time.Second
)

// errEnough ends a walk at maxWatched.
var errEnough = errors.New("enough files")

// watched is what a generation was made of: files and folders whose state tells
// whether the code has changed.
type watched struct {
	paths []string // files; of folders, the files with one of the extensions
	exts  []string
	deep  bool // folders with what is below them
}

// watchedBy lists what a function's code consists of.
func (f *Function) watchedBy(ctx context.Context, src code) watched {
	path := f.cfg.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(f.opts.BaseDir, path)
	}
	if src.root == "" || src.zip != "" {
		return watched{paths: []string{path}}
	}
	switch f.kind {
	case kindGo:
		if src.file != "" {
			return watched{paths: []string{src.file}}
		}
		return watched{paths: append(goSources(ctx, src.root), path, src.root), exts: []string{".go", ".mod", ".sum", ".work", ".s"}}
	case kindNode:
		exts := []string{".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".json", ".node", ".wasm"}
		return watched{paths: []string{path, src.root}, exts: exts, deep: true}
	case kindPython:
		return watched{paths: []string{path, src.root}, exts: []string{".py", ".so", ".json", ".toml"}, deep: true}
	case kindProvided, kindUnknown:
	}
	if src.file != "" {
		return watched{paths: []string{src.file}}
	}
	return watched{paths: []string{path, filepath.Join(src.root, "bootstrap")}}
}

// fingerprint is a number that changes when one of the files does. The content is
// not read: time, size and name will do.
func (w watched) fingerprint() uint64 {
	h := fnv.New64a()
	note := func(path string, info fs.FileInfo) {
		_, _ = h.Write([]byte(path)) // a hash takes everything
		b := info.ModTime().UTC().AppendFormat(make([]byte, 0, 64), time.RFC3339Nano)
		n := info.Size()
		_, _ = h.Write(append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), byte(info.Mode().Perm())))
	}
	for _, path := range w.paths {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		info, err := os.Stat(real)
		switch {
		case err != nil:
		case !info.IsDir():
			note(real, info)
		default:
			_, _ = h.Write([]byte(real))
			w.walk(real, note)
		}
	}
	return h.Sum64()
}

func (w watched) walk(root string, note func(string, fs.FileInfo)) {
	seen := 0
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read is not part of the code
		}
		if seen++; seen > maxWatched {
			return errEnough
		}
		name := d.Name()
		switch {
		case d.IsDir() && path == root:
			return nil
		case d.IsDir() && name == "node_modules":
			// Too many files to look at; installing or removing a package changes the folder.
			if info, err := d.Info(); err == nil {
				note(path, info)
			}
			return filepath.SkipDir
		case d.IsDir() && (!w.deep || strings.HasPrefix(name, ".") || name == "__pycache__"):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		case d.Type()&fs.ModeSymlink == 0 && !slices.Contains(w.exts, filepath.Ext(name)):
			return nil
		}
		// The target counts, not the link: a mounted ConfigMap swaps links.
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			note(path, info)
		}
		return nil
	})
}

// reloadLoop prepares the code, and again whenever it has changed, until ctx ends.
func (f *Function) reloadLoop(ctx context.Context) {
	for {
		src, err := f.locate()
		w := f.watchedBy(ctx, src)
		before := w.fingerprint() // taken first: what changes during a build counts as changed
		var gen *generation
		if err == nil {
			gen, err = f.prepare(ctx, src)
		}
		if ctx.Err() != nil {
			if gen != nil && gen.cleanup != nil {
				gen.cleanup()
			}
			return
		}
		retry := time.Duration(0)
		var bad *UnavailableError
		switch {
		case errors.As(err, &bad):
			f.notReady(bad)
			retry = retryInterval
		case err == nil:
			f.swap(gen)
			if f.opts.Renewed != nil {
				f.opts.Renewed()
			}
			if f.cfg.Reload == reloadOff {
				return
			}
		}
		if !w.awaitChange(ctx, before, retry, f) {
			return
		}
	}
}

// notReady logs why there is no new generation; whoever waits for the first is told.
func (f *Function) notReady(err *UnavailableError) {
	f.mu.Lock()
	serving, before := f.gen != nil, f.unavailable
	f.mu.Unlock()
	if before == nil || before.Problem != err.Problem || serving {
		entry := f.log.Error()
		if err.Remedy != "" {
			entry = entry.Str("remedy", err.Remedy)
		}
		if serving {
			entry.Msg("the new code is not used, the old keeps serving: " + err.Problem)
		} else {
			entry.Msg("the function is unavailable: " + err.Problem)
		}
	}
	f.refuse(err)
}

// awaitChange returns true when the files have changed and stayed the same since, or
// after retry if that is not 0 and nothing serves; false when ctx ends.
func (w watched) awaitChange(ctx context.Context, before uint64, retry time.Duration, f *Function) bool {
	timer := time.NewTimer(watchInterval)
	defer timer.Stop()
	began, last := time.Now(), before
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
		started := time.Now()
		now := w.fingerprint()
		if now != before && now == last {
			return true
		}
		wait := max(watchInterval, watchShare*time.Since(started))
		if now != last {
			wait = watchInterval / 3 // somebody is writing: look again soon
		}
		last = now
		if retry > 0 && time.Since(began) >= retry && !f.serving() {
			return true
		}
		timer.Reset(wait)
	}
}

// serving reports whether there is a generation.
func (f *Function) serving() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gen != nil
}
