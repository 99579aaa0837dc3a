package function

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HostConcurrency is how many requests to one host may run at once.
const HostConcurrency = 64

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

// Capacity is how many requests to a host are worth starting now; with 0, until when
// none is.
func (h *Hosts) Capacity(host string) (limit int, until time.Time) {
	if health := h.of(host, false); health != nil {
		return health.Capacity(time.Now())
	}
	return HostConcurrency, time.Time{}
}

// of is a host's health; nil if it has none, and with create only if there are too many.
func (h *Hosts) of(host string, create bool) *Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	health := h.hosts[host]
	if health == nil && create && len(h.hosts) < maxHosts {
		health = newHealth(host, HostConcurrency, h.metrics)
		h.hosts[host] = health
	}
	return health
}

// Post sends with p what p.Post does, unless the host's breaker is open.
func (h *Hosts) Post(ctx context.Context, p *Poster, to string, header http.Header, body []byte) ([]byte, error) {
	u, err := url.Parse(to)
	if err != nil {
		return p.Post(ctx, to, header, body)
	}
	health := h.of(u.Host, true)
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
