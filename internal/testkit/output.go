package testkit

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Patience is how long a test waits for something that must happen. It bounds a
// hanging test and measures nothing.
const Patience = 30 * time.Second

// Output collects what a process writes, line by line, and lets a test wait for a
// line. The zero value is ready; it is safe for concurrent use.
type Output struct {
	mu      sync.Mutex
	partial []byte
	lines   []string
	changed chan struct{} // closed and replaced whenever a line arrives
}

// Write takes a piece of output.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, p...)
	for {
		line, rest, ok := bytes.Cut(o.partial, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		o.lines = append(o.lines, string(line))
		o.partial = rest
		if o.changed != nil {
			close(o.changed)
			o.changed = nil
		}
	}
}

// Lines are the complete lines so far.
func (o *Output) Lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.lines...)
}

// String is everything so far, byte for byte.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	for _, line := range o.lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	b.Write(o.partial)
	return b.String()
}

// Wait returns the first line that match accepts, past or future.
func (o *Output) Wait(ctx context.Context, match func(line string) bool) (string, error) {
	for seen := 0; ; {
		o.mu.Lock()
		lines := o.lines
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed := o.changed
		o.mu.Unlock()
		for ; seen < len(lines); seen++ {
			if match(lines[seen]) {
				return lines[seen], nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for a line: %w", context.Cause(ctx))
		}
	}
}

// WaitFor waits for a line that contains text.
func (o *Output) WaitFor(ctx context.Context, text string) (string, error) {
	line, err := o.Wait(ctx, func(line string) bool { return strings.Contains(line, text) })
	if err != nil {
		return "", fmt.Errorf("no line with %q: %w", text, err)
	}
	return line, nil
}
