package emulator

import (
	"context"
	"strings"
	"time"

	"github.com/topicwire/topicwire/message"
)

// Lambda's limits (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const (
	// MaxPayload is the size of an event in bytes that an invocation takes.
	MaxPayload = 6 << 20
	// maxResponse is a little more, as with AWS.
	maxResponse = 6291556
	// maxStream bounds a streamed response that the caller reads chunk by chunk.
	maxStream = 200 << 20
)

// Invocation is one event for a function, and what comes with it.
type Invocation struct {
	// Payload is the event: JSON, at most [MaxPayload] bytes. It is only read.
	Payload []byte
	// RequestID names the invocation in logs and errors. It is made up if it is empty, or
	// has other characters than letters, digits and -_.: since runtimes put it into URLs.
	RequestID string
	// ClientContext and Identity are JSON for the handler's context; may be empty.
	ClientContext, Identity string
	// ARN is the function's ARN as the caller named it; empty means [Function.ARN].
	ARN string
	// TraceID is the X-Ray trace header, TenantID the tenant; may be empty.
	TraceID, TenantID string
	// Hops is how many rules and functions the cause of the invocation has passed: see
	// [Function.Hops].
	Hops uint8
	// LogTail asks for the last 4 KB of the invocation's log.
	LogTail bool
	// Stream, if set, receives the chunks of a streamed response in order while the
	// function writes them; Result.Payload is then empty, or the error document if the
	// function failed on the way. It is called by the goroutine in Invoke and owns the
	// chunk. A response that is sent whole comes in Result.Payload as usual.
	Stream func(chunk []byte)
}

// Result is how an invocation ended that reached the function.
type Result struct {
	// Payload is the answer, or the error document if FunctionError is set. It
	// belongs to the caller.
	Payload []byte
	// FunctionError is empty or "Unhandled", as in AWS's X-Amz-Function-Error.
	FunctionError string
	// ErrorType is the document's errorType, for instance Sandbox.Timedout.
	ErrorType string
	// LogTail is the end of the log, if it was asked for.
	LogTail []byte
	// RequestID is the invocation's.
	RequestID string
	// Duration is the time from the event's dispatch to the answer.
	Duration time.Duration
	// ColdStart tells whether a process was started for this invocation.
	ColdStart bool
}

// Invoke runs the function once and waits for the answer. It waits for a free
// process, for at most MaxWait, and for the code to be built the first time. Its
// errors are [ErrThrottled], [ErrUnavailable], [ErrPayloadTooLarge], [ErrClosed] and
// ctx's; when ctx ends early a process in the middle of the work carries on, as with
// AWS, and its answer is dropped.
func (f *Function) Invoke(ctx context.Context, inv Invocation) (*Result, error) {
	if len(inv.Payload) > MaxPayload {
		f.metrics.refused(kindTooLarge)
		return nil, ErrPayloadTooLarge
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !usableID(inv.RequestID) {
		inv.RequestID = message.NewID()
	}
	if inv.ARN == "" {
		inv.ARN = f.arn
	}
	c := f.take(&inv)
	conn, out, ok := f.admit(c)
	switch {
	case ok: // over before it began
		f.put(c)
		return f.finish(&inv, &out)
	case conn != nil:
		f.send(conn, &inv, c.deadline)
		return f.await(ctx, c, &inv)
	default:
		return f.awaitQueued(ctx, c, &inv)
	}
}

// admit finds c a place: an idle environment's connection, which the caller must
// write the event to, or the queue. ok means that neither is possible: out is final.
func (f *Function) admit(c *call) (to *conn, out outcome, ok bool) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, outcome{err: ErrClosed}, true
	case f.gen == nil && f.unavailable != nil:
		return nil, outcome{err: f.unavailable}, true
	case f.allowed == 0:
		return nil, outcome{err: &ThrottledError{Function: f.name, Reason: reasonConcurrency, Off: true}}, true
	case len(f.idle) > 0:
		to = f.idle[len(f.idle)-1]
		f.idle = f.idle[:len(f.idle)-1]
		to.env.assign(to, c, now)
		if len(c.inv.Payload) > maxInline {
			f.envs.Add(1) // for send's goroutine; the environment is in it too, so it is not 0
		}
		return to, outcome{}, false
	case f.queue.length >= f.cfg.MaxQueue:
		return nil, outcome{err: &ThrottledError{Function: f.name, Reason: reasonConcurrency}}, true
	case f.crash.holds(now) && f.gen != nil && f.gen.live == 0:
		return nil, f.crash.outcome(c.inv.RequestID), true
	}
	c.queuedAt = now
	f.queue.push(c)
	f.scale(now)
	return nil, outcome{}, false
}

// maxInline is the largest event in bytes that fits a socket's buffers for sure, so
// that writing it cannot block on a process that does not read.
const maxInline = 64 << 10

// send writes the event of an invocation that admit has assigned.
func (f *Function) send(to *conn, inv *Invocation, deadline time.Time) {
	if len(inv.Payload) <= maxInline {
		to.sendEvent(inv, deadline)
		return
	}
	large := *inv
	go func() {
		defer f.envs.Done()
		to.sendEvent(&large, deadline)
	}()
}

// await waits for a call that an environment has.
func (f *Function) await(ctx context.Context, c *call, inv *Invocation) (*Result, error) {
	if c.stream != nil {
		return f.awaitStream(ctx, c, inv, nil)
	}
	select {
	case out := <-c.done:
		f.put(c)
		return f.finish(inv, &out)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// awaitQueued waits for a call in the queue, and on from there.
func (f *Function) awaitQueued(ctx context.Context, c *call, inv *Invocation) (*Result, error) {
	if c.timer == nil {
		c.timer = time.NewTimer(f.cfg.MaxWait)
	} else {
		c.timer.Reset(f.cfg.MaxWait)
	}
	defer c.timer.Stop()
	if c.stream != nil {
		return f.awaitStream(ctx, c, inv, c.timer)
	}
	for {
		select {
		case out := <-c.done:
			c.timer.Stop()
			f.put(c)
			return f.finish(inv, &out)
		case <-ctx.Done():
			f.leave(c)
			return nil, ctx.Err()
		case <-c.timer.C:
			if err := f.giveUp(c); err != nil {
				return nil, err
			}
		}
	}
}

// awaitStream is await and awaitQueued for a caller that takes chunks.
func (f *Function) awaitStream(ctx context.Context, c *call, inv *Invocation, timer *time.Timer) (*Result, error) {
	defer c.stream.close()
	var expired <-chan time.Time
	if timer != nil {
		expired = timer.C
	}
	for {
		select {
		case chunk := <-c.stream.chunks:
			inv.Stream(chunk)
		case out := <-c.done:
			return f.finish(inv, &out)
		case <-ctx.Done():
			f.leave(c)
			return nil, ctx.Err()
		case <-expired:
			if err := f.giveUp(c); err != nil {
				return nil, err
			}
		}
	}
}

// leave takes c out of the queue if it is still there.
func (f *Function) leave(c *call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.queued {
		f.queue.remove(c)
	}
}

// giveUp ends c's wait in the queue, if it is still there and there is a generation
// it could have been served by: the first build may take longer than MaxWait.
func (f *Function) giveUp(c *call) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !c.queued {
		return nil
	}
	if f.gen == nil && f.running {
		c.timer.Reset(f.cfg.MaxWait)
		return nil
	}
	f.queue.remove(c)
	f.metrics.refused(kindThrottled)
	return &ThrottledError{Function: f.name, Reason: reasonConcurrency, Waited: time.Since(c.queuedAt)}
}

// finish turns an outcome into Invoke's answer and counts it.
func (f *Function) finish(inv *Invocation, out *outcome) (*Result, error) {
	if out.err != nil {
		f.metrics.refused(refusal(out.err))
		return nil, out.err
	}
	f.metrics.finished(out)
	r := &Result{
		Payload: out.payload, LogTail: out.tail, RequestID: inv.RequestID,
		Duration: out.duration, ColdStart: out.cold,
	}
	if out.errorType != "" {
		r.FunctionError, r.ErrorType = functionUnhandled, out.errorType
	}
	return r, nil
}

// usableID reports whether id can be a request's.
func usableID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return id != ""
}

// headerSafe makes s fit one HTTP header line; JSON stays the same JSON.
func headerSafe(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s)
}
