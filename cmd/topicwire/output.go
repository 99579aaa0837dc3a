package main

import (
	"io"
	"sync"
)

// checkedWriter is standard output. It remembers the first failure, so that a full disk
// shows in the exit status although nobody looks at the error of every line. It may be
// used from several goroutines.
type checkedWriter struct {
	io.Writer

	mu  sync.Mutex
	err error
}

// Write writes, and remembers if that failed.
func (w *checkedWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil {
			w.err = err
		}
	}
	return n, err
}

// failure is the first one.
func (w *checkedWriter) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Fd is the file's descriptor, for those who want to know whether it is a terminal; none
// for what is no file.
func (w *checkedWriter) Fd() uintptr {
	if f, ok := w.Writer.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
