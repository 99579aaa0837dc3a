package emulator

import (
	"net"
	"strconv"
	"sync"
	"time"
)

// conn is one connection of a process to its Runtime API. Its goroutine reads; what
// is written waits in out, so that the receipt for a response and the next event
// leave in one write. While the connection waits for an event it is on the idle
// stack, and whoever takes it off writes the event, with no other goroutine involved.
type conn struct {
	env *environment
	nc  net.Conn
	in  reader
	req request

	// answering is guarded by Function.mu: an event was assigned to this connection.
	answering bool
	// waiting belongs to the goroutine: the process waits for an event here, so
	// out must not be written before there is one.
	waiting bool
	// answered is the call whose answer has come, with its outcome, until deliver.
	answered *call
	outcome  outcome

	wmu sync.Mutex
	out []byte // guarded by wmu
}

func newConn(e *environment, nc net.Conn) *conn {
	return &conn{env: e, nc: nc, in: newReader(nc)}
}

// serve answers requests until the connection ends or says something impossible.
func (c *conn) serve() {
	defer c.deliver()
	for {
		// A runtime that sends its response and the request for the next event together
		// is ready for one before its caller has the answer, so that a caller who comes
		// straight back finds the same process, and finds it idle.
		if !c.in.hasHead() {
			c.deliver()
			if !c.waiting && c.flush() != nil {
				return
			}
		}
		if err := c.readRequest(); err != nil {
			return
		}
		if c.waiting && !c.stopWaiting() {
			return // it asks for two things at once; HTTP answers in order
		}
		if !c.handle() {
			_ = c.flush()
			return
		}
		c.in.shrink()
	}
}

// deliver hands the answer over that has come.
func (c *conn) deliver() {
	if c.answered == nil {
		return
	}
	k := c.answered
	c.answered = nil
	k.done <- c.outcome // k may be another invocation's from here on
	c.outcome = outcome{}
}

// stopWaiting reports whether the event was assigned that the connection waited for.
func (c *conn) stopWaiting() bool {
	c.waiting = false
	c.env.f.mu.Lock()
	defer c.env.f.mu.Unlock()
	return c.answering
}

func (c *conn) flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.flushLocked()
}

func (c *conn) flushLocked() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

const (
	accepted = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n"

	statusOK              = "200 OK"
	statusAccepted        = "202 Accepted"
	statusBadRequest      = "400 Bad Request"
	statusForbidden       = "403 Forbidden"
	statusNotFound        = "404 Not Found"
	statusTooLarge        = "413 Request Entity Too Large"
	statusContinue        = "HTTP/1.1 100 Continue\r\n\r\n"
	headRequestID         = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "
	headDeadline          = "\r\nLambda-Runtime-Deadline-Ms: "
	headARN               = "\r\nLambda-Runtime-Invoked-Function-Arn: "
	headTrace             = "\r\nLambda-Runtime-Trace-Id: "
	headClientContext     = "\r\nLambda-Runtime-Client-Context: "
	headIdentity          = "\r\nLambda-Runtime-Cognito-Identity: "
	headTenant            = "\r\nLambda-Runtime-Aws-Tenant-Id: "
	headLength            = "\r\nContent-Length: "
	endOfHead             = "\r\n\r\n"
	extensionIDHeaderName = "Lambda-Extension-Identifier: "
)

// receipt answers a POST; it is written with what comes next.
func (c *conn) receipt() {
	c.wmu.Lock()
	c.out = append(c.out, accepted...)
	c.wmu.Unlock()
}

// reply answers with a status line, a JSON body and perhaps one more header line.
func (c *conn) reply(status, body, header string) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.out = append(c.out, "HTTP/1.1 "...)
	c.out = append(c.out, status...)
	c.out = append(c.out, "\r\nContent-Type: application/json"...)
	if header != "" {
		c.out = append(append(c.out, "\r\n"...), header...)
	}
	c.out = append(c.out, headLength...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(c.out, endOfHead...)
	c.out = append(c.out, body...)
}

// refuse answers a request that the API does not allow, in AWS's words.
func (c *conn) refuse(status, errorType, message string) {
	c.reply(status, `{"errorMessage":`+strconv.Quote(message)+`,"errorType":"`+errorType+`"}`, "")
}

// sendEvent writes the event, and what has been waiting for it. An error needs no
// handling: it means that the process is ending, and that answers the call.
func (c *conn) sendEvent(inv *Invocation, deadline time.Time) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.out = append(c.out, headRequestID...)
	c.out = append(c.out, headerSafe(inv.RequestID)...)
	c.out = append(c.out, headDeadline...)
	c.out = strconv.AppendInt(c.out, deadline.UnixMilli(), 10)
	c.out = append(c.out, headARN...)
	c.out = append(c.out, headerSafe(inv.ARN)...)
	c.out = appendHeader(c.out, headTrace, inv.TraceID)
	c.out = appendHeader(c.out, headClientContext, inv.ClientContext)
	c.out = appendHeader(c.out, headIdentity, inv.Identity)
	c.out = appendHeader(c.out, headTenant, inv.TenantID)
	c.out = append(c.out, headLength...)
	c.out = strconv.AppendInt(c.out, int64(len(inv.Payload)), 10)
	c.out = append(c.out, endOfHead...)
	if len(inv.Payload) <= maxInline {
		c.out = append(c.out, inv.Payload...)
		_ = c.flushLocked()
		return
	}
	if c.flushLocked() == nil {
		_, _ = c.nc.Write(inv.Payload)
	}
}

func appendHeader(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return append(append(b, name...), headerSafe(value)...)
}
