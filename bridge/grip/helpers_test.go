package grip_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/message"
)

// space is the broker as the door sees it; internal/app has the same.
type space struct{ *broker.Broker }

func (s space) Subscriber(may func(string) bool, receive grip.Receive) grip.Subscriber {
	return s.NewLocal(broker.LocalOptions{May: may, Receive: receive})
}

func (s space) Holder(may func(string) bool, receive grip.Receive) grip.Subscriber {
	return s.NewLocal(broker.LocalOptions{May: may, Receive: receive, Signals: true})
}

// server is a door with a broker behind it.
type server struct {
	t       testing.TB
	door    *grip.Door
	broker  *broker.Broker
	metrics *prometheus.Registry
	http    *httptest.Server
	stop    func()
}

// start runs a door. Its functions are origin, asked with proxy events; a route of mode
// proxy asks it over HTTP.
func start(tb testing.TB, origin http.Handler, cfg grip.Config, routes ...grip.RouteConfig) *server {
	tb.Helper()
	return startWith(tb, origin, grip.Options{Config: cfg}, routes...)
}

// startWith is start with further options.
func startWith(tb testing.TB, origin http.Handler, o grip.Options, routes ...grip.RouteConfig) *server {
	tb.Helper()
	b, err := broker.New(broker.Config{Listen: listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}}}, broker.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{t: tb, broker: b, metrics: prometheus.NewRegistry()}
	o.Space, o.Functions, o.Metrics, o.Log, o.Linger = space{b}, asFunction{origin}, s.metrics, zerolog.Nop(), 2*time.Second
	s.door, err = grip.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	b.Keep(s.door.Keep)
	s.door.Load(routes)
	s.http = httptest.NewServer(s.door)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	doorCtx, stopDoor := context.WithCancel(ctx)
	serving := make(chan struct{})
	wg.Go(func() {
		accept := func(context.Context, *message.Message) (broker.Pending, error) { return nil, nil }
		close(serving)
		_ = b.Serve(ctx, accept)
	})
	<-serving
	for errors.Is(b.Publish(tb.Context(), &message.Message{Topic: "ready"}), broker.ErrNotServing) {
	}
	doorEnded := make(chan struct{})
	go func() { defer close(doorEnded); _ = s.door.Run(doorCtx) }()
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			stopDoor()
			<-doorEnded
			s.http.Close()
			cancel()
			wg.Wait()
		})
	}
	tb.Cleanup(s.stop)
	return s
}

func (s *server) publish(topic, payload string) {
	s.t.Helper()
	if err := s.broker.Publish(s.t.Context(), &message.Message{Topic: topic, Payload: []byte(payload)}); err != nil {
		s.t.Fatal(err)
	}
}

// metric is the sum of a metric's values, over the labels.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() == "topicwire_grip_"+name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// asFunction lets an http.Handler be a function that takes proxy events.
type asFunction struct{ h http.Handler }

func (f asFunction) Invoke(ctx context.Context, _ string, payload []byte) ([]byte, error) {
	var e struct {
		HTTPMethod  string              `json:"httpMethod"`
		Path        string              `json:"path"`
		Headers     map[string]string   `json:"headers"`
		Multi       map[string][]string `json:"multiValueHeaders"`
		Query       map[string][]string `json:"multiValueQueryStringParameters"`
		Body        *string             `json:"body"`
		Base64      bool                `json:"isBase64Encoded"`
		RequestCtxt json.RawMessage     `json:"requestContext"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	body := []byte(*e.Body) // never null
	if e.Base64 {
		body, _ = base64.StdEncoding.DecodeString(*e.Body)
	}
	r := httptest.NewRequestWithContext(ctx, e.HTTPMethod, e.Path, bytes.NewReader(body))
	r.Host = e.Headers["Host"]
	for k, v := range e.Multi {
		r.Header[http.CanonicalHeaderKey(k)] = v
	}
	q := r.URL.Query()
	maps.Copy(q, e.Query)
	r.URL.RawQuery = q.Encode()
	w := httptest.NewRecorder()
	failed := make(chan any, 1)
	func() {
		defer func() { failed <- recover() }()
		f.h.ServeHTTP(w, r)
	}()
	if p := <-failed; p != nil {
		return nil, errors.New("the function has thrown")
	}
	return json.Marshal(map[string]any{
		"statusCode": w.Code, "multiValueHeaders": w.Header(), "isBase64Encoded": true,
		"body": base64.StdEncoding.EncodeToString(w.Body.Bytes()),
	})
}

// events reads the WebSocket events of a request.
func events(r *http.Request) []wire.Event {
	b, _ := io.ReadAll(r.Body)
	list, err := wire.ParseEvents(b)
	if err != nil {
		panic(err)
	}
	return list
}

// answer answers with WebSocket events.
func answer(w http.ResponseWriter, list ...wire.Event) {
	w.Header().Set("Content-Type", wire.ContentType)
	var b []byte
	for _, e := range list {
		b = wire.AppendEvent(b, e)
	}
	_, _ = w.Write(b)
}

func text(s string) wire.Event { return wire.Event{Type: wire.EventText, Content: []byte(s)} }

func control(s string) wire.Event { return text("c:" + s) }

func closing(code int, reason string) wire.Event {
	return wire.Event{Type: wire.EventClose, Content: wire.CloseContent(code, reason)}
}

// client is a WebSocket client.
type client struct {
	t testing.TB
	*websocket.Conn
	resp *http.Response
}

func dial(tb testing.TB, url string, header http.Header) *client {
	tb.Helper()
	c, resp, err := websocket.DefaultDialer.DialContext(tb.Context(), "ws"+strings.TrimPrefix(url, "http"), header)
	if err != nil {
		status := ""
		if resp != nil {
			status = resp.Status
		}
		tb.Fatalf("%s: %v %s", url, err, status)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return &client{tb, c, resp}
}

const patience = 10 * time.Second

// want reads the next message.
func (c *client) want(text string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, got, err := c.ReadMessage()
	if err != nil || string(got) != text {
		c.t.Fatalf("received %.100q, %v; want %.100q", got, err, text)
	}
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// wantClose reads on to the close frame; 1006 stands for none.
func (c *client) wantClose(code int, reason string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	var err error
	for err == nil {
		_, _, err = c.ReadMessage()
	}
	closed, ok := errors.AsType[*websocket.CloseError](err)
	if code == websocket.CloseAbnormalClosure && (!ok || closed.Code == code) {
		if n, isNet := errors.AsType[net.Error](err); isNet && n.Timeout() {
			c.t.Fatal("the connection was not closed")
		}
		return
	}
	if !ok || closed.Code != code || closed.Text != reason {
		c.t.Fatalf("closed with %v, want %d %q", err, code, reason)
	}
}

func (c *client) bye(code int, reason string) {
	_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience))
}

func post(tb testing.TB, url, body string, header ...string) (int, string, http.Header) {
	tb.Helper()
	return do(tb, http.MethodPost, url, body, header...)
}

func do(tb testing.TB, method, url, body string, header ...string) (int, string, http.Header) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}
