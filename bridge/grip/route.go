package grip

import (
	"net/http"
	"reflect"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/internal/weborigin"
)

// The bounds of a connection that its route does not set.
const (
	defaultPing       = 30 * time.Second
	defaultMaxMessage = 1 << 20
	defaultQueue      = 4 << 20
	defaultMessages   = 10_000
)

// Route is a route that is in force. It is read-only. A connection keeps the route it
// came by; Gone tells it when a reload has taken that away.
type Route struct {
	RouteConfig
	// Base is the path, without the /* of a prefix.
	Base string
	// Prefix tells a prefix from a path.
	Prefix bool

	origins weborigin.Rules
	gone    *departure

	compiling sync.Once
	compiled  any
}

// Compiled is what the handler of the route's mode has made of its configuration. compile
// is called once.
func (r *Route) Compiled(compile func() any) any {
	r.compiling.Do(func() { r.compiled = compile() })
	return r.compiled
}

// Gone is closed when a reload has taken the route away or put another function
// behind it. Its connections then end with code 1012, so that clients come back.
func (r *Route) Gone() <-chan struct{} { return r.gone.c }

// departure is what Gone is about. The routes that follow one another with different settings
// share it, since each may have connections.
type departure struct {
	c    chan struct{}
	once sync.Once
}

func (d *departure) end() { d.once.Do(func() { close(d.c) }) }

// AllowsOrigin decides whether the web page that sent r may open a WebSocket here, by the
// rules of MQTT over WebSocket.
func (r *Route) AllowsOrigin(req *http.Request) bool { return r.origins.Allow(req) }

// Topic is the topic of a channel of this route.
func (r *Route) Topic(channel string) string { return r.ChannelPrefix + channel }

// newRoute makes a route of a checked configuration.
func newRoute(c RouteConfig, d Defaults) *Route {
	if c.Mode == "" {
		c.Mode = ModeGrip
	}
	if c.Stream == "" {
		c.Stream = StreamAuto
	}
	if c.PingInterval == 0 {
		c.PingInterval = defaultPing
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = orElse(d.MaxMessage, defaultMaxMessage)
	}
	if c.Queue.MaxBytes == 0 {
		c.Queue.MaxBytes = orElse(d.MaxQueued, defaultQueue)
	}
	if c.Queue.MaxMessages == 0 {
		c.Queue.MaxMessages = defaultMessages
	}
	if c.Queue.Policy == "" {
		c.Queue.Policy = socket.Disconnect
	}
	r := &Route{RouteConfig: c, gone: &departure{c: make(chan struct{})}, origins: weborigin.Parse(c.AllowedOrigins)}
	r.Base, r.Prefix = splitPath(c.Path)
	return r
}

func orElse(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// table finds the route of a path. It is immutable.
type table struct {
	exact    map[string]*Route
	prefixes []*Route // the longest first
}

// newTable makes the table of a configuration. Of old, which may be nil, it takes over
// every route that has not changed, so that its connections stay, and ends the others.
func newTable(configs []RouteConfig, d Defaults, old *table) *table {
	t := &table{exact: make(map[string]*Route)}
	kept := make(map[*Route]bool)
	for _, c := range configs {
		r := newRoute(c, d)
		if o := old.find(r.Path); o != nil {
			if reflect.DeepEqual(o.RouteConfig, r.RouteConfig) {
				r = o
			}
			if kept[o] = o == r || o.goesOnAs(r); kept[o] {
				r.gone = o.gone
			}
		}
		if r.Prefix {
			t.prefixes = append(t.prefixes, r)
		} else {
			t.exact[r.Base] = r
		}
	}
	sort.SliceStable(t.prefixes, func(i, j int) bool { return len(t.prefixes[i].Base) > len(t.prefixes[j].Base) })
	for _, o := range old.all() {
		if !kept[o] {
			o.gone.end()
		}
	}
	return t
}

// goesOnAs reports whether the connections of a route may stay with the one that takes its
// place: the same stands behind it, and it does not ask for the first time who they are.
func (r *Route) goesOnAs(next *Route) bool {
	return r.Mode == next.Mode && r.Function == next.Function && r.URL == next.URL && (r.Auth || !next.Auth)
}

// find returns the route with exactly that configured path.
func (t *table) find(configured string) *Route {
	for _, r := range t.all() {
		if r.Path == configured {
			return r
		}
	}
	return nil
}

func (t *table) all() []*Route {
	if t == nil {
		return nil
	}
	list := append([]*Route(nil), t.prefixes...)
	for _, r := range t.exact {
		list = append(list, r)
	}
	return list
}

// match returns the route of a request's path, nil if none takes it: a path before a
// prefix, a longer prefix before a shorter one. /app/* takes /app too.
func (t *table) match(path string) *Route {
	if r := t.exact[path]; r != nil {
		return r
	}
	for _, r := range t.prefixes {
		if rest, ok := strings.CutPrefix(path, r.Base); ok && (rest == "" || rest[0] == '/') {
			return r
		}
	}
	return nil
}
