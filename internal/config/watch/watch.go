// Package watch tells when files change, whichever way they do: written in place,
// replaced by an editor's rename, or swapped as Kubernetes does it with a symbolic
// link. It watches folders, since a watch on a file ends with the file, and compares
// what it finds with what was there, so that other files in the folders mean nothing.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watcher watches files and folders. Its methods may be called from any goroutine.
type Watcher struct {
	notify  *fsnotify.Watcher
	changed chan struct{}
	again   chan struct{} // the paths are others

	mu      sync.Mutex
	seen    map[string]string // path: what was there
	folders map[string]bool   // those that notify watches
	deaf    bool              // a folder cannot be watched: look from time to time
}

// New watches paths: files, and folders with the files in them. A path that does not
// exist yet is watched for. What changes from now on is noticed, and told once
// [Watcher.Run] runs.
func New(paths []string) (*Watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching files: %w", err)
	}
	w := &Watcher{
		notify:  notify,
		changed: make(chan struct{}, 1),
		again:   make(chan struct{}, 1),
		folders: make(map[string]bool),
	}
	w.Watch(paths)
	return w, nil
}

// Watch watches other paths from now on. A change of a path that was watched before
// and has not been told yet still is.
func (w *Watcher) Watch(paths []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make(map[string]string, len(paths))
	for _, p := range paths {
		was, known := w.seen[p]
		if !known {
			was = look(p)
		}
		seen[p] = was
	}
	w.seen = seen
	w.follow()
	poke(w.again)
}

// Changed receives whenever something has changed and come to rest. Changes that
// nobody has received yet are told once.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

const (
	// quiet is how long nothing may happen until a change counts as complete: an
	// editor or a volume takes several steps.
	quiet = 100 * time.Millisecond
	// patience is how long steps that follow each other are waited for.
	patience = 2 * time.Second
	// interval is how often to look where the system cannot tell.
	interval = 5 * time.Second
)

// Run watches until ctx ends, and gives up the watches then.
func (w *Watcher) Run(ctx context.Context) error {
	events := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() { settle(ctx, events, w.check) })
	defer wg.Wait()
	defer func() { _ = w.notify.Close() }()
	poll := time.NewTicker(interval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.notify.Events:
			if !ok {
				return nil
			}
			poke(events)
		case err, ok := <-w.notify.Errors:
			if !ok {
				return nil
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.setDeaf()
			}
			poke(events) // events are missing: look
		case <-w.again:
			poke(events)
		case <-poll.C:
			if w.isDeaf() {
				poke(events)
			}
		}
	}
}

// settle calls done when events have come and then none for a while, or when they
// would not end.
func settle(ctx context.Context, events <-chan struct{}, done func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
		}
		end := time.NewTimer(patience)
		rest := time.NewTimer(quiet)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				end.Stop()
				rest.Stop()
				return
			case <-events:
				rest.Reset(quiet)
			case <-rest.C:
				waiting = false
			case <-end.C:
				waiting = false
			}
		}
		end.Stop()
		rest.Stop()
		done()
	}
}

// check compares what is there with what was, and tells a difference.
func (w *Watcher) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.follow() // folders may have come and gone
	now := make(map[string]string, len(w.seen))
	for p := range w.seen {
		now[p] = look(p)
	}
	if !maps.Equal(now, w.seen) {
		w.seen = now
		poke(w.changed)
	}
}

// follow makes the watched folders those that the paths need now.
func (w *Watcher) follow() {
	wanted := make(map[string]bool)
	for p := range w.seen {
		for _, f := range folders(p) {
			wanted[f] = true
		}
	}
	for f := range w.folders {
		if !wanted[f] {
			_ = w.notify.Remove(f) // it may be gone, and its watch with it
			delete(w.folders, f)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(wanted)) {
		// Also those that are watched: a folder that was deleted and made again has
		// lost its watch.
		if err := w.notify.Add(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.deaf = true
		}
		w.folders[f] = true
	}
}

func (w *Watcher) setDeaf() {
	w.mu.Lock()
	w.deaf = true
	w.mu.Unlock()
}

func (w *Watcher) isDeaf() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deaf
}

// poke tells without waiting; one word that nobody has heard yet is enough.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
