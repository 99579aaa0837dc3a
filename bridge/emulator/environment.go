package emulator

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/message"
)

// state is where an environment is in its life.
type state int

const (
	stateStarting state = iota // it has not asked for an event yet
	stateReady
	stateStopping // it is to end: it gets no more events
	stateGone
)

const (
	// shutdownGrace is how long a process that registered an extension may take after
	// SIGTERM; AWS gives an internal extension 500 ms, external ones 2 s.
	shutdownGrace = 500 * time.Millisecond
	// lateRead is how long we read what an ended process has sent. It sent it before,
	// so this bounds only what has escaped from its process group.
	lateRead = time.Second
)

// environment is one execution environment: a process, the listener that is its
// Runtime API, the connections it opened, and those that one of our own runtime clients
// is born with. Fields from state on are guarded by
// Function.mu.
type environment struct {
	f        *Function
	gen      *generation
	log      zerolog.Logger
	listener net.Listener
	born     []net.Conn // our ends of the connections that the process is born with, until supervise
	proc     *process
	output   *output
	gone     chan struct{} // closed when the process has ended
	serving  sync.WaitGroup
	host     string
	token    string // names the process to the outside
	ext      extensions

	state     state
	counted   bool    // in gen.live
	active    []*call // events sent and not answered
	parked    int     // connections of ours on the idle stack
	finishing int     // answered, and the next event not asked for
	// finishBy is the limit of those.
	finishBy  time.Time
	conns     map[*conn]struct{}
	idleSince time.Time
	spawned   time.Time
	initTook  time.Duration
	initError *initError
	timer     *time.Timer
	timerDue  time.Time
	killTimer *time.Timer
	timedOut  bool
	lastHops  uint8 // of the invocation that was assigned last
}

// initError is what a runtime reported instead of asking for its first event.
type initError struct {
	document  []byte
	errorType string
}

func newEnvironment(f *Function, gen *generation) *environment {
	return &environment{
		f: f, gen: gen, log: f.log, token: message.NewID(), gone: make(chan struct{}),
		counted: true, conns: make(map[*conn]struct{}),
	}
}

// start listens and starts the process; it is called on the spawner's thread.
func (e *environment) start() {
	e.f.mu.Lock()
	stopped := e.state == stateStopping
	e.f.mu.Unlock()
	if stopped {
		e.exited("", nil)
		return
	}
	now := time.Now()
	err := e.launch()
	if err != nil {
		if e.listener != nil {
			_ = e.listener.Close()
		}
		e.exited("", err)
		return
	}
	e.f.mu.Lock()
	e.spawned = now
	e.arm(now.Add(e.f.cfg.InitTimeout))
	if e.state == stateStopping {
		e.signal()
	}
	e.f.mu.Unlock()
	go e.supervise()
}

// launch opens the listener and starts the process with it as its Runtime API.
func (e *environment) launch() error {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	e.listener, e.host = l, l.Addr().String()
	out, err := newOutput(e.log)
	if err != nil {
		return err
	}
	born, theirs, err := newChannels(e.channels())
	if err != nil {
		out.closeWriteEnd()
		out.close()
		return err
	}
	p, err := startProcess(e.gen.argv, e.gen.dir, e.variables(), append([]*os.File{out.writeEnd()}, theirs...), e.f.cfg.User)
	out.closeWriteEnd()
	closeAll(theirs)
	if err != nil {
		closeAll(born)
		out.close()
		return err
	}
	e.born = born
	e.f.mu.Lock()
	e.proc, e.output = p, out
	e.f.mu.Unlock()
	return nil
}

// channels is how many connections to the Runtime API the process is born with: our
// own clients have one for each invocation at a time.
func (e *environment) channels() int {
	if !e.gen.ours {
		return 0
	}
	return e.f.cfg.ConcurrencyPerEnvironment
}

func closeAll[C io.Closer](all []C) {
	for _, c := range all {
		_ = c.Close()
	}
}

// supervise owns everything that lives because the environment does, and ends with it.
func (e *environment) supervise() {
	for _, nc := range e.born {
		e.serve(nc)
	}
	e.born = nil
	e.serving.Go(e.accept)
	reading := make(chan struct{})
	go func() { e.output.run(); close(reading) }()

	how := e.proc.wait()
	close(e.gone)
	// What the process has sent before its end still counts: a response, say.
	e.acceptAll()
	_ = e.listener.Close()
	e.f.mu.Lock()
	for c := range e.conns {
		_ = c.nc.SetDeadline(time.Now().Add(lateRead))
	}
	e.f.mu.Unlock()
	e.serving.Wait()
	e.output.close()
	<-reading
	e.exited(how, nil)
}

// acceptAll returns when every connection that the process has opened is accepted: they
// are in order, so one of our own is the last, and its end says that it had its turn.
func (e *environment) acceptAll() {
	d := net.Dialer{Timeout: lateRead}
	nc, err := d.DialContext(context.Background(), "tcp", e.host)
	if err != nil {
		return
	}
	defer func() { _ = nc.Close() }()
	if tcp, ok := nc.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
		_ = nc.SetDeadline(time.Now().Add(lateRead))
		_, _ = nc.Read(make([]byte, 1)) // io.EOF, if all is well
	}
}

// accept serves the process's connections until the listener is closed.
func (e *environment) accept() {
	for {
		nc, err := e.listener.Accept()
		if err != nil {
			return
		}
		e.serve(nc)
	}
}

// serve starts a goroutine that answers on a connection of the process until it ends.
func (e *environment) serve(nc net.Conn) {
	c := newConn(e, nc)
	e.f.mu.Lock()
	e.conns[c] = struct{}{}
	select {
	case <-e.gone:
		_ = nc.SetDeadline(time.Now().Add(lateRead))
	default:
	}
	e.f.mu.Unlock()
	e.serving.Go(func() {
		c.serve()
		_ = nc.Close()
		e.f.mu.Lock()
		e.dropConn(c)
		e.f.mu.Unlock()
	})
}

// dropConn forgets a connection that ended. f.mu is held.
func (e *environment) dropConn(c *conn) {
	delete(e.conns, c)
	for i, p := range e.f.idle {
		if p == c {
			e.f.idle = append(e.f.idle[:i], e.f.idle[i+1:]...)
			e.parked--
			return
		}
	}
}

// busy counts the invocations that e has not finished with. f.mu is held.
func (e *environment) busy() int { return len(e.active) + e.finishing }

// assign gives the call to the environment: whoever holds conn must send the event.
// f.mu is held.
func (e *environment) assign(c *conn, k *call, now time.Time) {
	limit := e.f.cfg.Timeout
	k.start, k.deadline = now, now.Add(limit)
	k.cold = e.initTook > 0
	if k.cold && e.f.cfg.LogEvents {
		e.output.initDuration(e.initTook)
	}
	e.initTook = 0
	e.parked-- // next counts it before it decides who gets the connection
	c.answering = true
	e.active = append(e.active, k)
	e.lastHops = k.inv.Hops
	e.output.begin(k.inv.RequestID, k.inv.LogTail, e.f.cfg.ConcurrencyPerEnvironment > 1, e.f.cfg.LogEvents)
	if e.timerDue.IsZero() || k.deadline.Before(e.timerDue) {
		e.arm(k.deadline)
	}
	if e.ext.invoked() {
		e.ext.invoke(k, e.f.arn)
	}
}

// find returns the active call with that request id and its position; nil if there
// is none. f.mu is held.
func (e *environment) find(id []byte) (int, *call) {
	for i, k := range e.active {
		if k.inv.RequestID == string(id) {
			return i, k
		}
	}
	return -1, nil
}

// complete ends the call with that id and returns it: the caller must send it the
// outcome. It returns nil if there is none in progress.
func (e *environment) complete(id []byte, payload []byte, errorType string) (*call, outcome) {
	e.output.drain() // what was written before the answer belongs to this invocation
	now := time.Now()
	e.f.mu.Lock()
	i, k := e.find(id)
	if k == nil {
		e.f.mu.Unlock()
		return nil, outcome{}
	}
	e.active = append(e.active[:i], e.active[i+1:]...)
	e.finishing++
	if k.deadline.After(e.finishBy) {
		e.finishBy = k.deadline
	}
	out := outcome{payload: payload, errorType: errorType, start: k.start, duration: now.Sub(k.start), cold: k.cold}
	e.f.mu.Unlock()
	if k.inv.LogTail || e.f.cfg.LogEvents {
		out.tail = e.report(k, out.duration)
	}
	return k, out
}

// report writes the closing log lines, if wanted, and returns the log's tail.
func (e *environment) report(k *call, took time.Duration) []byte {
	if e.f.cfg.LogEvents {
		e.output.report(k.inv.RequestID, took, e.f.cfg.Memory, e.proc.peakMemory())
	}
	if !k.inv.LogTail {
		return nil
	}
	return e.output.tail()
}

// abort ends every call in progress with the same kind of document. f.mu is held.
func (e *environment) abort(errorType string, document func(requestID string) []byte) {
	now := time.Now()
	for _, k := range e.active {
		out := outcome{
			payload: document(k.inv.RequestID), errorType: errorType,
			start: k.start, duration: now.Sub(k.start), cold: k.cold,
		}
		if e.output != nil && (k.inv.LogTail || e.f.cfg.LogEvents) {
			out.tail = e.report(k, out.duration)
		}
		k.done <- out
	}
	clear(e.active)
	e.active = e.active[:0]
}
