package emulator

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	tailSize = 4 << 10  // what AWS returns of a log
	maxLine  = 64 << 10 // longer lines are split
)

// output is what an environment writes to its stdout and stderr, which are one pipe.
// It goes line by line to the log, with the id of the request in progress. Reading
// happens under mu and never blocks, so that an invocation's end can first take in
// everything that was written before it: lines belong to the invocation that wrote
// them, and a log's tail is complete.
type output struct {
	log  zerolog.Logger
	r, w *os.File

	mu        sync.Mutex
	fd        int
	closed    bool
	buf       []byte
	partial   []byte // a line without its end
	requestID string
	shared    bool // several invocations at once: nobody knows whose a line is
	keep      bool // somebody wants the tail
	last      []byte
	initTook  time.Duration
}

func newOutput(log zerolog.Logger) (*output, error) {
	r, w, fd, err := newPipe()
	if err != nil {
		return nil, err
	}
	return &output{log: log, r: r, w: w, fd: fd, buf: make([]byte, 8<<10)}, nil
}

// writeEnd is for the process; closeWriteEnd drops our copy of it.
func (o *output) writeEnd() *os.File { return o.w }
func (o *output) closeWriteEnd()     { _ = o.w.Close() }

// run reads until the pipe ends or close is called.
func (o *output) run() {
	conn, err := o.r.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(uintptr) bool { return o.drain() }) // its error is close's doing
}

// drain takes in what there is without waiting; true at the pipe's end.
func (o *output) drain() (end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed {
		n, end := readNow(o.fd, o.buf)
		if n == 0 {
			return end
		}
		o.split(o.buf[:n])
	}
	return true
}

// close takes in the rest and ends run. Something that the process has left behind
// may hold the pipe open; it is not waited for.
func (o *output) close() {
	o.drain()
	o.mu.Lock()
	again := o.closed
	o.closed = true
	if len(o.partial) > 0 {
		o.line(o.partial)
		o.partial = nil
	}
	o.mu.Unlock()
	if !again {
		_ = o.r.Close() // not under mu: it waits for run, which may wait for mu
	}
}

// split finds the lines in b.
func (o *output) split(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		switch {
		case i >= 0 && len(o.partial) == 0:
			o.line(b[:i])
		case i >= 0:
			o.partial = append(o.partial, b[:i]...)
			o.line(o.partial)
			o.partial = o.partial[:0]
		default:
			o.partial = append(o.partial, b...)
			if len(o.partial) >= maxLine {
				o.line(o.partial)
				o.partial = o.partial[:0]
			}
			return
		}
		b = b[i+1:]
	}
}

// line logs one line. The runtimes write an entry of several lines with carriage
// returns, as on AWS, and entries of console and logging with their level and id.
func (o *output) line(b []byte) {
	o.remember(b)
	text := strings.TrimRight(string(b), "\r")
	if text == "" {
		return
	}
	text = strings.ReplaceAll(text, "\r", "\n")
	entry := parseEntry(text)
	if entry.requestID == "" && !o.shared {
		entry.requestID = o.requestID
	}
	ev := o.log.WithLevel(entry.level)
	if entry.requestID != "" {
		ev = ev.Str("request_id", entry.requestID)
	}
	ev.Msg(entry.message)
}

// remember adds a line to the tail.
func (o *output) remember(b []byte) {
	if !o.keep {
		return
	}
	o.last = append(append(o.last, b...), '\n')
	if len(o.last) > 4*tailSize {
		o.last = append(o.last[:0], o.last[len(o.last)-tailSize:]...)
	}
}

// begin says which invocation the lines to come belong to.
func (o *output) begin(requestID string, tail, shared, events bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requestID, o.shared = requestID, shared
	if o.keep = o.keep && shared || tail; tail && !shared {
		o.last = o.last[:0]
	}
	if events {
		o.event(requestID, "START RequestId: "+requestID+" Version: "+functionVersion)
	}
}

// tail returns the end of the log since the last begin.
func (o *output) tail() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.last[max(0, len(o.last)-tailSize):])
}

// initDuration is how long the initialisation took, for the next report.
func (o *output) initDuration(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.initTook = d
}

// report writes Lambda's END and REPORT lines. AWS bills whole milliseconds.
func (o *output) report(requestID string, took time.Duration, memory, used int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ms := float64(took) / float64(time.Millisecond)
	billed := (took + time.Millisecond - 1) / time.Millisecond
	line := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\t",
		requestID, ms, billed, memory, used)
	if o.initTook > 0 {
		line += fmt.Sprintf("Init Duration: %.2f ms\t", float64(o.initTook)/float64(time.Millisecond))
		o.initTook = 0
	}
	o.event(requestID, "END RequestId: "+requestID)
	o.event(requestID, line)
}

func (o *output) event(requestID, line string) {
	o.remember([]byte(line))
	o.log.Info().Str("request_id", requestID).Msg(line)
}
