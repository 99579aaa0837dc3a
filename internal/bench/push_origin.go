package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// The channel that every connection of the origin is subscribed to, and the path of its WebSockets.
const (
	pushChannel = "bench"
	pushPath    = "/ws"
)

// origin is the HTTP program behind the servers: WebSocket-over-HTTP, written for speed, so that what is
// measured is what stands in front of it. It accepts every connection, subscribes it to pushChannel, and
// sends back what it gets.
type origin struct {
	address string
	server  *http.Server
	ended   chan struct{}
}

func startOrigin(ctx context.Context) (*origin, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &origin{address: l.Addr().String(), ended: make(chan struct{})}
	subscribe := `c:{"type":"subscribe","channel":"` + pushChannel + `"}`
	opened := fmt.Appendf(nil, "OPEN\r\nTEXT %x\r\n%s\r\n", len(subscribe), subscribe)
	o.server = &http.Server{ReadHeaderTimeout: startWithin, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h := w.Header()
		h["Content-Type"] = []string{"application/websocket-events"}
		h["Date"] = nil
		if bytes.HasPrefix(body, []byte("OPEN\r\n")) {
			// Without a prefix for messages, the answer to an event is the event.
			h["Sec-Websocket-Extensions"] = []string{`grip; message-prefix=""`}
			_, _ = w.Write(opened)
			return
		}
		_, _ = w.Write(body)
	})}
	go func() {
		defer close(o.ended)
		if err := o.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			_ = l.Close() // every scenario fails and says that it reaches no origin
		}
	}()
	return o, nil
}

func (o *origin) close() {
	_ = o.server.Close()
	<-o.ended
}
