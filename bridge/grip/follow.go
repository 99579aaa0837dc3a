package grip

import (
	"sync"

	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// Lasting is a Grant that may end while its client is held: what it was given for
// expires, or is taken back.
type Lasting interface {
	// Watch has end called, at most once, when the grant is over: code and reason are for
	// the client's close frame. changed is called now, and whenever what the grant allows
	// may be another. Neither waits. stop ends it: nothing is called after it has
	// returned.
	Watch(end func(code int, reason string), changed func()) (stop func())
}

// Follow ends a client when its grant does, with one of socket's codes for that, and when
// it may not subscribe any more to one of the filters that it is subscribed to. end is
// called at most once and must not wait; nor must it call stop.
func (d *Door) Follow(g Grant, filters func() []string, end func(code int, reason string)) (stop func()) {
	l, ok := g.(Lasting)
	if !ok {
		return func() {}
	}
	var once sync.Once
	over := func(code int, reason string) {
		once.Do(func() {
			d.metrics.revoked.WithLabelValues(revokedLabel(code)).Inc()
			end(code, reason)
		})
	}
	return l.Watch(over, func() {
		for _, f := range filters() {
			if !g.MaySubscribe(f) {
				over(socket.CloseForbidden, "the subscription is not allowed any more")
				return
			}
		}
	})
}

func revokedLabel(code int) string {
	if code == socket.CloseForbidden {
		return "denied"
	}
	return "unauthorized"
}

// topicsOf are the filters that bindings are subscribed to.
func topicsOf(list []binding) []string {
	filters := make([]string, len(list))
	for i := range list {
		filters[i] = list[i].topic
	}
	return filters
}
