package function

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// plainTransport makes small HTTP/1.1 requests without TLS, which is what functions
// beside the server get: request and answer are written and read on the caller's
// goroutine. net/http's own transport hands each over between three goroutines, which
// cost half of the time and of the processor of a call. Whatever is not such a request
// goes to the transport it is given.
type plainTransport struct {
	other *http.Transport
	idleN int           // idle connections kept for one host
	idleT time.Duration // how long
	peek  func(net.Conn) bool

	mu   sync.Mutex
	idle map[string][]*plainConn // by host and port, the last used at the end
}

// largestPlain is how large the body of a plain request may be. Of a larger one the
// server may have had enough before it has all of it, and answer.
const largestPlain = 64 << 10

// maxAnswerHeader bounds the head of an answer.
const maxAnswerHeader = 1 << 20

var errAnswerHeader = errors.New("the answer's header is too long")

// plainConn is one connection. It belongs to one request at a time.
type plainConn struct {
	net.Conn
	host   string
	r      *bufio.Reader
	w      *bufio.Writer
	left   int64       // bytes that may be read before it is too much; for the header
	expiry *time.Timer // ends it while it is idle
}

// Read reads from the network, within the bound.
func (c *plainConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errAnswerHeader
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// RoundTrip makes a request.
func (t *plainTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.takes(req) {
		return t.other.RoundTrip(req)
	}
	ctx := req.Context()
	c, err := t.connection(ctx, req)
	if err != nil {
		closeBody(req)
		return nil, ended(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	resp, err := c.exchange(req)
	if err != nil {
		stop()
		_ = c.Close()
		return nil, ended(ctx, err)
	}
	resp.Body = &plainBody{ReadCloser: resp.Body, t: t, c: c, stop: stop, ctx: ctx, keep: !resp.Close}
	return resp, nil
}

// ended is the context's error where that is the cause of another.
func ended(ctx context.Context, err error) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done() // the network's timer may be a moment earlier than the context's
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// takes reports whether a request is a plain one.
func (t *plainTransport) takes(req *http.Request) bool {
	if t.peek == nil || req.URL.Scheme != "http" || req.ContentLength < 0 || req.ContentLength > largestPlain || req.Method != http.MethodPost {
		return false
	}
	if t.other.Proxy == nil {
		return true
	}
	proxy, err := t.other.Proxy(req)
	return err == nil && proxy == nil
}

// exchange writes the request and reads the head of the answer.
func (c *plainConn) exchange(req *http.Request) (*http.Response, error) {
	err := req.Write(c.w)
	closeBody(req)
	if err == nil {
		err = c.w.Flush()
	}
	if err != nil {
		return nil, err
	}
	c.left = maxAnswerHeader
	for {
		resp, err := http.ReadResponse(c.r, req)
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) && c.left == maxAnswerHeader {
				err = io.EOF // as net/http says it
			}
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			c.left = 1<<63 - 1
			return resp, nil // what came before was only informational
		}
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// connection finds an idle connection that is still alive, or makes one.
func (t *plainTransport) connection(ctx context.Context, req *http.Request) (*plainConn, error) {
	host := req.URL.Host
	if req.URL.Port() == "" {
		host = net.JoinHostPort(req.URL.Hostname(), "80")
	}
	for {
		c := t.take(host)
		if c == nil {
			break
		}
		if c.expiry.Stop() && t.peek(c.Conn) {
			return c, nil
		}
		_ = c.Close()
	}
	conn, err := t.other.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	c := &plainConn{Conn: conn, host: host, w: bufio.NewWriter(conn)}
	c.r = bufio.NewReader(c)
	c.expiry = time.AfterFunc(t.idleT, func() { t.expire(c) })
	c.expiry.Stop()
	return c, nil
}

func (t *plainTransport) take(host string) *plainConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.idle[host]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	t.idle[host] = list[:len(list)-1]
	return c
}

// put keeps a connection for the next request.
func (t *plainTransport) put(c *plainConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle[c.host]) >= t.idleN {
		_ = c.Close()
		return
	}
	c.expiry.Reset(t.idleT)
	if t.idle == nil {
		t.idle = map[string][]*plainConn{}
	}
	t.idle[c.host] = append(t.idle[c.host], c)
}

// expire closes a connection that nobody has wanted.
func (t *plainTransport) expire(c *plainConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.idle[c.host], c); i >= 0 {
		t.idle[c.host] = slices.Delete(t.idle[c.host], i, i+1)
	}
	if len(t.idle[c.host]) == 0 {
		delete(t.idle, c.host)
	}
	_ = c.Close()
}

// CloseIdleConnections closes what no request uses.
func (t *plainTransport) CloseIdleConnections() {
	t.other.CloseIdleConnections()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range t.idle {
		for _, c := range list {
			c.expiry.Stop()
			_ = c.Close()
		}
	}
	t.idle = nil
}

// plainBody gives the connection back when the answer has been read.
type plainBody struct {
	io.ReadCloser
	t    *plainTransport
	c    *plainConn
	ctx  context.Context // of the request, whose answer this is
	stop func() bool     // of the request's deadline
	keep bool
	over bool
}

// Read reads the body.
func (b *plainBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || b.over {
		return n, err
	}
	b.end(errors.Is(err, io.EOF))
	if !errors.Is(err, io.EOF) {
		err = ended(b.ctx, err)
	}
	return n, err
}

// Close ends the exchange; an answer that was not read to its end ends the connection.
func (b *plainBody) Close() error {
	if !b.over {
		b.end(false)
	}
	return nil
}

// end keeps the connection or closes it. If the deadline has passed it is spoilt, and
// bytes that nobody asked for make it so too.
func (b *plainBody) end(whole bool) {
	b.over = true
	if b.stop() && whole && b.keep && b.c.r.Buffered() == 0 {
		b.t.put(b.c)
		return
	}
	_ = b.c.Close()
}
