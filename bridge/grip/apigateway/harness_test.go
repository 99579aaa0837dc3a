package apigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/apigateway"
	"github.com/topicwire/topicwire/message"
)

// patience bounds what a test waits for.
const patience = 10 * time.Second

// event is AWS's own type of what a function gets.
type event = events.APIGatewayWebsocketProxyRequest

// fn is a function as a handler in Go would be.
type fn func(e event) (any, error)

// ok is a handler that agrees to everything.
func ok(event) (any, error) { return answer(200, ""), nil }

func answer(status int, body string) map[string]any {
	return map[string]any{"statusCode": status, "body": body}
}

// functions invokes functions of the test.
type functions struct {
	mu  sync.Mutex
	all map[string]fn
	raw map[string]func(payload []byte) ([]byte, error)
}

func (f *functions) Invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	f.mu.Lock()
	handler, raw := f.all[name], f.raw[name]
	f.mu.Unlock()
	if raw != nil {
		return raw(payload)
	}
	if handler == nil {
		return nil, fmt.Errorf("no function %q", name)
	}
	var e event
	d := json.NewDecoder(strings.NewReader(string(payload)))
	d.DisallowUnknownFields() // AWS has no such field
	if err := d.Decode(&e); err != nil {
		return nil, err
	}
	type result struct {
		out any
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := handler(e)
		done <- result{out, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, r.err
		}
		return json.Marshal(r.out)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// space is the least that a broker does.
type space struct {
	mu          sync.Mutex
	subscribers map[*subscriber]bool
	published   []*message.Message
}

type subscriber struct {
	s       *space
	may     func(string) bool
	receive grip.Receive
	filters map[string]bool
}

func (s *space) Publish(_ context.Context, m *message.Message) error {
	s.mu.Lock()
	s.published = append(s.published, m)
	s.mu.Unlock()
	return s.PublishLocal(m)
}

func (s *space) PublishLocal(m *message.Message) error {
	s.mu.Lock()
	var to []*subscriber
	for sub := range s.subscribers {
		for f := range sub.filters {
			if message.Match(f, m.Topic) && (sub.may == nil || sub.may(m.Topic)) {
				to = append(to, sub)
				break
			}
		}
	}
	s.mu.Unlock()
	var shared any
	for _, sub := range to {
		sub.receive(m, &shared)
	}
	return nil
}

func (s *space) Watch(func(*message.Message)) {}

func (s *space) Subscribers(topic string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.subscribers {
		for f := range sub.filters {
			if message.Match(f, topic) {
				n++
			}
		}
	}
	return n
}

func (s *space) Subscriber(may func(string) bool, receive grip.Receive) grip.Subscriber {
	sub := &subscriber{s, may, receive, make(map[string]bool)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers[sub] = true
	return sub
}

func (s *space) Holder(may func(string) bool, receive grip.Receive) grip.Subscriber {
	return s.Subscriber(may, receive)
}

func (u *subscriber) Subscribe(filter string, _ bool) error {
	if err := message.ValidateFilter(filter); err != nil {
		return err
	}
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.filters[filter] = true
	return nil
}

func (u *subscriber) Unsubscribe(filter string) bool {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	there := u.filters[filter]
	delete(u.filters, filter)
	return there
}

func (u *subscriber) Close() {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	delete(u.s.subscribers, u)
}

// world is a gateway behind an HTTP server.
type world struct {
	*testing.T
	url     string
	door    *grip.Door
	space   *space
	fns     *functions
	metrics *prometheus.Registry
	left    chan event // the $disconnect events of the function "f"
	stop    func()
}

// serve starts a gateway with one route at /dev. Its function is "f", unless the
// configuration says otherwise.
func serve(t *testing.T, c grip.RouteConfig, all map[string]fn, change ...func(*apigateway.Options)) *world {
	t.Helper()
	w := &world{
		T: t, space: &space{subscribers: make(map[*subscriber]bool)}, fns: &functions{all: all, raw: make(map[string]func([]byte) ([]byte, error))},
		metrics: prometheus.NewRegistry(), left: make(chan event, 100),
	}
	if f := all["f"]; f != nil {
		all["f"] = func(e event) (any, error) {
			if e.RequestContext.EventType == "DISCONNECT" {
				defer func() { w.left <- e }()
			}
			return f(e)
		}
	}
	c.Path, c.Mode = "/dev", grip.ModeAPIGateway
	if c.Function == "" && len(c.APIGateway.Routes) == 0 || all["f"] != nil {
		c.Function = "f"
	}
	c.Check(func(path, problem, remedy string) { t.Fatalf("%s %s: %s", path, problem, remedy) })
	var err error
	if w.door, err = grip.New(grip.Options{Space: w.space, Functions: w.fns, Linger: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	o := apigateway.Options{Space: w.space, Functions: w.fns, Sockets: w.door.Socket, Hold: w.door.Hold, Follow: w.door.Follow, Metrics: w.metrics, Linger: 2 * time.Second}
	for _, f := range change {
		f(&o)
	}
	g, err := apigateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.door.Handle(grip.ModeAPIGateway, g)
	w.door.Load([]grip.RouteConfig{c})
	management := g.Management(o.AuthorizeManagement)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if apigateway.IsManagement(r) {
			management.ServeHTTP(rw, r)
			return
		}
		w.door.ServeHTTP(rw, r)
	}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = g.Run(ctx)
	}()
	w.url = server.URL
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(func() {
		w.stop()
		server.Close()
	})
	return w
}

// client is a WebSocket client.
type client struct {
	*websocket.Conn
	w *world
}

// dial connects.
func (w *world) dial(query string, header http.Header) *client {
	w.Helper()
	ws, resp, err := w.try(query, header)
	if err != nil {
		w.Fatalf("%v: %v", err, resp)
	}
	return &client{ws, w}
}

// try connects and leaves the judgement to the caller.
func (w *world) try(query string, header http.Header) (*websocket.Conn, *http.Response, error) {
	w.Helper()
	d := websocket.Dialer{HandshakeTimeout: patience, WriteBufferSize: 64 << 10}
	if p := header.Get("Sec-WebSocket-Protocol"); p != "" {
		header.Del("Sec-WebSocket-Protocol")
		d.Subprotocols = strings.Split(p, ",")
	}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(w.url, "http")+"/dev"+query, header)
	if ws != nil {
		w.Cleanup(func() { _ = ws.Close() })
	}
	return ws, resp, err
}

// say sends a text message.
func (c *client) say(text string) {
	c.w.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.w.Fatal(err)
	}
}

// hear returns the next message.
func (c *client) hear() string {
	c.w.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, b, err := c.ReadMessage()
	if err != nil {
		c.w.Fatal(err)
	}
	return string(b)
}

// closed waits for the close frame and returns what it says.
func (c *client) closed() (code int, reason string) {
	c.w.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for {
		_, b, err := c.ReadMessage()
		var e *websocket.CloseError
		switch {
		case errors.As(err, &e):
			return e.Code, e.Text
		case err != nil:
			c.w.Fatal(err)
		default:
			c.w.Logf("before the close came %.100q", b)
		}
	}
}

// goneBy waits for a $disconnect event.
func (w *world) goneBy() (code int64, reason string) {
	w.Helper()
	select {
	case e := <-w.left:
		if e.RequestContext.DisconnectReason == nil {
			w.Fatal("the event has no disconnectReason")
		}
		return e.RequestContext.DisconnectStatusCode, *e.RequestContext.DisconnectReason
	case <-time.After(patience):
		w.Fatal("no $disconnect event")
		return 0, ""
	}
}

// value is what a metric counts, over all labels that contain the given text.
func (w *world) value(name, label string) (sum float64) {
	w.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "topicwire_apigateway_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if strings.Contains(m.String(), label) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
