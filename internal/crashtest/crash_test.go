// Package crashtest kills the real program at random moments under load and checks
// what it had promised: every message that it acknowledged reaches everybody it was
// meant for, in order, and comes twice only with DUP.
package crashtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

var binary testkit.Binary //nolint:gochecknoglobals // built once per test process

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Close()
	os.Exit(code) //nolint:forbidigo // the only way to end a TestMain
}

// setting is a number from the environment, for longer runs and to repeat one.
func setting(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

func TestKill(t *testing.T) {
	for _, durability := range []string{"interval", "fsync"} {
		t.Run(durability, func(t *testing.T) {
			seed := setting("TOPICWIRE_SEED", uint64(time.Now().UnixNano()))
			kills := int(setting("TOPICWIRE_KILLS", 15))
			t.Logf("TOPICWIRE_SEED=%d TOPICWIRE_KILLS=%d", seed, kills)
			w := newWorld(t, durability, seed)
			w.start()
			w.load()
			for range kills {
				w.pause(50, 600)
				w.kill()
				w.start()
			}
			killed := time.Now()
			w.settle()
			t.Logf("settled in %v", time.Since(killed))
			w.check()
		})
	}
}

const (
	publishers  = 4
	subscribers = 4
	window      = 16 // unacknowledged messages of a publisher
	topics      = 3  // of a publisher
)

// place is where the server runs.
type place interface {
	// start starts it and returns its address when it is ready.
	start() (address string)
	// kill ends it without a warning.
	kill()
}

// world is the server, its clients, and what they know.
type world struct {
	t        *testing.T
	ctx      context.Context //nolint:containedctx // of all clients
	stop     context.CancelFunc
	place    place
	patience time.Duration // how long to wait for something that must happen
	most     int           // bytes of a message, about
	least    int           // messages without which there was no load
	function string        // the address of the function
	address  atomic.Pointer[string]
	rng      *rand.Rand // of the kills; every client has its own
	seed     uint64

	finish  chan struct{} // closed: no new messages, everybody stays connected
	clients sync.WaitGroup

	publishers  [publishers]*publisher
	subscribers [subscribers]*session
	wills       *session
	willsDue    []string
	retained    *publisher

	mayRefuse bool // the store is away at times

	mu      sync.Mutex
	invoked []invocation
}

// invocation is what the function was invoked with.
type invocation struct{ topic, payload string }

// publisher publishes numbers to its topics, one after the other.
type publisher struct {
	*session
	qos   byte
	acked map[string]bool // by payload
	again map[string]bool // sent more than once
	last  map[string]int  // by topic, the last number that was acknowledged
	n     int
}

func newWorld(t *testing.T, durability string, seed uint64) *world {
	t.Helper()
	return newWorldWith(t, "{durability: "+durability+"}", seed)
}

// newWorldWith is newWorld with the store section given.
func newWorldWith(t *testing.T, store string, seed uint64) *world {
	t.Helper()
	w := emptyWorld(t, seed)
	config := filepath.Join(t.TempDir(), "config.yaml")
	testkit.WriteFiles(t, filepath.Dir(config), map[string]string{"config.yaml": configuration("127.0.0.1:0", store, w.function)})
	w.place = &process{t: t, config: config}
	return w
}

// emptyWorld is one without a server.
func emptyWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), finish: make(chan struct{}), patience: testkit.Patience, most: 400, least: 100}
	w.ctx, w.stop = context.WithCancel(t.Context())
	t.Cleanup(func() {
		w.stop()
		w.clients.Wait()
	})
	function := httptest.NewServer(http.HandlerFunc(w.invoke))
	t.Cleanup(function.Close)
	w.function = function.Listener.Addr().String()
	return w
}

func configuration(mqtt, store, function string) string {
	return fmt.Sprintf(`
listen: {mqtt: "%s", http: 127.0.0.1:0}
store: %s
functions:
  f: {http: "http://%s"}
rules:
  - name: work
    sql: SELECT encode(*, 'base64') AS p, topic() AS t FROM 'load/#'
    actions: [{ordered_by: topic, lambda: {function: f, reply: {topic: "reply/${topic(2)}", qos: 1}}}]
`, mqtt, store, function)
}

// process is a server beside the test.
type process struct {
	t      *testing.T
	config string
	server *testkit.Server
}

func (p *process) start() string {
	p.t.Helper()
	p.server = testkit.Serve(p.t, binary.Path(p.t), p.config)
	return p.server.MQTT
}

func (p *process) kill() {
	p.server.Signal(syscall.SIGKILL)
	<-p.server.Exited
}

// invoke is the function: it takes note of a message and answers with it.
func (w *world) invoke(out http.ResponseWriter, r *http.Request) {
	var event struct {
		P []byte `json:"p"`
		T string `json:"t"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &event) != nil {
		return // cut off by a kill
	}
	w.mu.Lock()
	w.invoked = append(w.invoked, invocation{event.T, string(event.P)})
	w.mu.Unlock()
	_, _ = out.Write(append(append([]byte{'"'}, event.P...), '"'))
}

func (w *world) pause(least, most int) {
	<-time.After(time.Duration(least+w.rng.IntN(most-least)) * time.Millisecond)
}

func (w *world) start() {
	w.t.Helper()
	address := w.place.start()
	w.address.Store(&address)
}

func (w *world) kill() { w.place.kill() }

// connect connects as soon as the server lets it; nil when the test ends.
func (w *world) connect(s *session) *link {
	for {
		l, err := s.connect(w.ctx, *w.address.Load())
		if err == nil {
			return l
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-w.ctx.Done():
			return nil
		}
	}
}

func filter(f string, qos byte) mqttclient.Subscription {
	return mqttclient.Subscription{Filter: f, QoS: qos}
}

// load starts the clients. Subscribers have subscribed when it returns.
func (w *world) load() {
	w.t.Helper()
	for i := range w.subscribers {
		s := newSession(fmt.Sprint("sub", i), filter("load/#", byte(1+i%2)), filter("reply/#", 1))
		if i == 3 {
			s.version = mqttclient.V311
		}
		w.subscribers[i] = s
		w.clients.Go(func() { w.comeAndGo(s, rand.New(rand.NewPCG(w.seed, uint64(100+i)))) })
	}
	w.wills = newSession("wills", filter("will/#", 1))
	w.clients.Go(func() { w.stay(w.wills) })
	for _, s := range append(w.subscribers[:], w.wills) {
		w.within(s, "its SUBACK", func() bool { return s.joined })
	}
	for i := range w.publishers {
		p := &publisher{session: newSession(fmt.Sprint("pub", i)), qos: byte(1 + i%2), acked: map[string]bool{}, again: map[string]bool{}, last: map[string]int{}}
		if i == 2 {
			p.version = mqttclient.V311
		}
		w.publishers[i] = p
		w.clients.Go(func() { w.publish(p, "load", false) })
	}
	w.retained = &publisher{session: newSession("retain"), qos: 1, acked: map[string]bool{}, again: map[string]bool{}, last: map[string]int{}}
	w.clients.Go(func() { w.publish(w.retained, "kept", true) })
	w.clients.Go(w.leaveWills)
}

// within waits for something that must happen.
func (w *world) within(s *session, what string, cond func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, w.patience)
	defer cancel()
	if err := s.wait(ctx, cond); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.t.Fatalf("%s waits for %s in vain: %v; it has received %d messages; %s", s.id, what, err, len(s.got), strings.Join(s.lost, "; "))
	}
}

// comeAndGo connects and disconnects until the end.
func (w *world) comeAndGo(s *session, rng *rand.Rand) {
	for {
		l := w.connect(s)
		if l == nil {
			return
		}
		select {
		case <-l.done:
		case <-time.After(time.Duration(20+rng.IntN(400)) * time.Millisecond):
			l.close()
		case <-w.finish:
			w.keep(l)
			return
		case <-w.ctx.Done():
			l.close()
			return
		}
		select {
		case <-time.After(time.Duration(rng.IntN(200)) * time.Millisecond):
		case <-w.finish:
		case <-w.ctx.Done():
		}
	}
}

// keep stays on a connection to the end of the test.
func (w *world) keep(l *link) {
	select {
	case <-l.done:
	case <-w.ctx.Done():
		l.close()
	}
}

// stay is connected whenever there is a server.
func (w *world) stay(s *session) {
	for w.ctx.Err() == nil {
		if l := w.connect(s); l != nil {
			w.keep(l)
		}
	}
}

// publish publishes as fast as the window allows, until there is an end to it and
// everything is acknowledged.
func (w *world) publish(p *publisher, root string, retain bool) {
	for w.ctx.Err() == nil {
		l := w.connect(p.session)
		if l == nil {
			return
		}
		for w.publishOne(p, l, root, retain) {
		}
		p.mu.Lock()
		for _, f := range p.flights {
			if f.sent > 0 {
				p.again[f.payload] = true // it will be
			}
		}
		p.mu.Unlock()
		select {
		case <-w.finish:
			w.keep(l)
		default:
			l.close()
		}
	}
}

func (w *world) publishOne(p *publisher, l *link, root string, retain bool) bool {
	for {
		p.mu.Lock()
		room, changed := len(p.flights) < window, p.changed
		p.mu.Unlock()
		if room {
			break
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		case <-w.ctx.Done():
			return false
		}
	}
	select {
	case <-l.done:
		return false
	case <-w.ctx.Done():
		return false
	case <-w.finish:
		return false
	case <-time.After(time.Millisecond):
	}
	p.n++
	n := p.n
	f := &flight{
		topic: fmt.Sprintf("%s/%s/%d", root, p.id, n%topics), qos: p.qos, retain: retain,
		payload: fmt.Sprintf("%s %d %s", p.id, n, strings.Repeat("x", n*7919%w.most)),
	}
	f.acked = func() {
		p.acked[f.payload] = true
		p.last[f.topic] = n
	}
	l.publish(f)
	return true
}

// leaveWills connects clients with a will that vanish.
func (w *world) leaveWills() {
	for n := 0; ; n++ {
		s := newSession(fmt.Sprint("will", n))
		s.will = &mqttclient.Will{Topic: fmt.Sprint("will/", n), Payload: []byte("w"), QoS: 1}
		if n%2 == 0 {
			s.will.Props.WillDelay = new(uint32(1))
		}
		l := w.connect(s)
		if l == nil {
			return
		}
		w.mu.Lock()
		w.willsDue = append(w.willsDue, s.will.Topic)
		w.mu.Unlock()
		select {
		case <-time.After(time.Duration(10*(n%20)) * time.Millisecond):
		case <-l.done:
		case <-w.ctx.Done():
		}
		l.close()
		select {
		case <-w.finish:
			return
		default:
		}
	}
}
