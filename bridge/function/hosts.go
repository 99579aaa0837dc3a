package function

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HostConcurrency is how many requests of one rule to one host may run at once.
const HostConcurrency = 64

// Place names what a rule calls at a host. Two rules call two paths of it, as a rule, and
// one that is broken says nothing of the other.
func Place(host, rule string) string { return host + "/" + rule }

// maxHosts bounds how many hosts have a Health: their names may come from messages.
// Further ones are called without.
const maxHosts = 1024

// Hosts knows how the hosts fare that http actions call. It outlives reloads and is
// safe for concurrent use.
type Hosts struct {
	metrics *metrics
	mu      sync.Mutex
	hosts   map[string]*Health
}

// NewHosts knows no host yet.
func NewHosts(r prometheus.Registerer) *Hosts {
	return &Hosts{metrics: newMetrics(r), hosts: make(map[string]*Health)}
}

// Capacity is how many requests to a [Place] are worth starting now; with 0, until when
// none is.
func (h *Hosts) Capacity(place string) (limit int, until time.Time) {
	if health := h.of(place, false); health != nil {
		return health.Capacity(time.Now())
	}
	return HostConcurrency, time.Time{}
}

// of is the health of a place; nil if it has none, with create only if there are too many.
func (h *Hosts) of(place string, create bool) *Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	health := h.hosts[place]
	if health == nil && create && len(h.hosts) < maxHosts {
		health = newHealth(place, HostConcurrency, h.metrics)
		h.hosts[place] = health
		h.metrics.targets.add(health)
	}
	return health
}

// Post sends with p what p.Post does, unless the host's breaker is open.
func (h *Hosts) Post(ctx context.Context, p *Poster, to string, header http.Header, body []byte) ([]byte, error) {
	u, err := url.Parse(to)
	if err != nil {
		return p.Post(ctx, to, header, body)
	}
	health := h.of(Place(u.Host, CallFrom(ctx).Rule), true)
	if health == nil {
		return p.Post(ctx, to, header, body)
	}
	began := time.Now()
	if err := health.begin(began); err != nil {
		return nil, err
	}
	out, err := p.Post(ctx, to, header, body)
	health.end(unless(ctx, err), began, time.Now())
	return out, err
}
