package app

import (
	"maps"
	"sync"
)

// environ collects what the processes of emulated functions are told of this server:
// addresses, keys, certificates. The parts of the program that have something to tell add it.
type environ struct {
	mu    sync.Mutex
	parts []func(function string) map[string]string
}

// add has part asked whenever a function's process starts.
func (e *environ) add(part func(function string) map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parts = append(e.parts, part)
}

// of are the variables of a function.
func (e *environ) of(function string) map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make(map[string]string)
	for _, part := range e.parts {
		maps.Copy(all, part(function))
	}
	return all
}
