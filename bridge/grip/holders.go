package grip

import (
	"errors"
	"sync"

	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// Why a client is not held.
var (
	// ErrStopping: the server is shutting down.
	ErrStopping = errors.New("grip: the server is shutting down")
	// ErrTooMany: grip.max_connections are held.
	ErrTooMany = errors.New("grip: too many connections")
)

// held is one client that is held.
type held struct {
	route *Route
	end   func(code int, reason string)
}

// holders are all clients that are held.
type holders struct {
	mu   sync.Mutex
	all  map[*held]struct{}
	most int // 0 = no limit
	shut bool
	wg   sync.WaitGroup
}

// Hold counts a client of a route in, until release is called. end is called, at most
// once and by whoever ends it, when the server stops (code 1001) or a reload takes the
// route away (code 1012); it must not wait.
func (d *Door) Hold(route *Route, end func(code int, reason string)) (release func(), err error) {
	h := &held{route, end}
	s := &d.holders
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil, ErrStopping
	}
	if s.most > 0 && len(s.all) >= s.most {
		d.metrics.refused.WithLabelValues("max_connections").Inc()
		return nil, ErrTooMany
	}
	s.all[h] = struct{}{}
	s.wg.Add(1)
	return func() {
		s.mu.Lock()
		delete(s.all, h)
		s.mu.Unlock()
		s.wg.Done()
	}, nil
}

// len is how many clients are held.
func (s *holders) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// endRoutes ends the clients of routes that are gone.
func (s *holders) endRoutes() {
	for _, h := range s.those(func(h *held) bool {
		select {
		case <-h.route.Gone():
			return true
		default:
			return false
		}
	}) {
		h.end(socket.CloseRestart, "the route has changed")
	}
}

// close ends all clients and takes no more.
func (s *holders) close() {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	for _, h := range s.those(func(*held) bool { return true }) {
		h.end(socket.CloseGoingAway, "the server is shutting down")
	}
}

func (s *holders) those(which func(*held) bool) []*held {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*held
	for h := range s.all {
		if which(h) {
			list = append(list, h)
		}
	}
	return list
}
