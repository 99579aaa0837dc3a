package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// The channel that every connection of the origin is subscribed to, and the path of its WebSockets.
const (
	pushChannel = "bench"
	pushPath    = "/ws"
)

// origin is the HTTP program behind the servers: WebSocket-over-HTTP, written to cost as little as it
// can, so that what is measured is what stands in front of it. It accepts every connection, subscribes
// it to pushChannel, and sends back what it gets.
type origin struct {
	address  string
	listener net.Listener
	opened   []byte // the answer to OPEN
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func startOrigin(ctx context.Context) (*origin, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &origin{address: l.Addr().String(), listener: l, conns: make(map[net.Conn]struct{})}
	subscribe := `c:{"type":"subscribe","channel":"` + pushChannel + `"}`
	body := fmt.Sprintf("OPEN\r\nTEXT %x\r\n%s\r\n", len(subscribe), subscribe)
	// Without a prefix for messages, the answer to an event is the event.
	o.opened = appendAnswer(nil, "Sec-WebSocket-Extensions: grip; message-prefix=\"\"\r\n", []byte(body))
	o.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed; or every scenario fails and says that it reaches no origin
			}
			o.mu.Lock()
			o.conns[c] = struct{}{}
			o.mu.Unlock()
			o.wg.Go(func() { o.serve(c) })
		}
	})
	return o, nil
}

func (o *origin) close() {
	_ = o.listener.Close()
	o.mu.Lock()
	for c := range o.conns {
		_ = c.Close()
	}
	o.mu.Unlock()
	o.wg.Wait()
}

// serve answers the requests of one connection until it ends or makes no sense.
func (o *origin) serve(c net.Conn) {
	defer func() {
		o.mu.Lock()
		delete(o.conns, c)
		o.mu.Unlock()
		_ = c.Close()
	}()
	in := bufio.NewReader(c)
	var body, out []byte
	for {
		length, err := requestHead(in)
		if err != nil {
			return
		}
		if cap(body) < length {
			body = make([]byte, length)
		}
		body = body[:length]
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		answer := o.opened
		if !bytes.HasPrefix(body, []byte("OPEN\r\n")) {
			out = appendAnswer(out[:0], "", body)
			answer = out
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// requestHead reads a request's head; of it only the length of the body matters.
func requestHead(in *bufio.Reader) (length int, err error) {
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 && !first {
			return length, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 || length > 1<<20 {
				return 0, fmt.Errorf("%w: a request of %q bytes", errPush, value)
			}
		}
	}
}

func appendAnswer(b []byte, header string, body []byte) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/websocket-events\r\n"...)
	b = append(b, header...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}
