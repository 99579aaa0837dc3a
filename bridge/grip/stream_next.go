package grip

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// catchUp asks for the next link to be followed if a channel has moved on since the
// handler looked at it.
func (s *stream) catchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recover = append(s.recover, s.x.behind(s.channels)...)
	s.wake()
}

// missing asks for the next link to be followed because a message came before one that
// was never seen here. Call it with the lock held.
func (s *stream) missing(expected string, m *message.Message) {
	for i := range s.channels {
		if c := &s.channels[i]; message.Match(c.topic, m.Topic) {
			c.last = expected
			if len(s.recover) == 0 {
				s.recover = []string{c.Name + "; last-id=" + expected}
			}
			s.wake()
			return
		}
	}
}

// lastIDs are the channels with the ids that the client has seen.
func (s *stream) lastIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last []string
	for _, c := range s.channels {
		if c.last != "" {
			last = append(last, c.Name+"; last-id="+c.last)
		}
	}
	return last
}

// follow asks the handler what comes next and appends that. An answer without a hold
// and without a link ends the stream.
func (s *stream) follow(last []string, sub Subscriber) (over bool, err error) {
	a, err := s.askLink(s.x.r.Context(), http.MethodGet, s.next, last)
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("grip: the next link was answered with status %d", a.Status)
	}
	if err != nil {
		s.x.d.metrics.requests.WithLabelValues("next", "failed").Inc()
		return false, err
	}
	hold, out, err := wire.Instructions(&a.Response)
	if err != nil {
		s.x.d.metrics.requests.WithLabelValues("next", "bad").Inc()
		return false, err
	}
	s.x.d.metrics.requests.WithLabelValues("next", "ok").Inc()
	if err := s.write(out.Body); err != nil {
		return false, err
	}
	if hold.Mode != wire.HoldStream && hold.Next == "" {
		return true, nil
	}
	s.next, s.nextWait = hold.Next, hold.NextTimeout
	if hold.Mode != wire.HoldStream {
		return s.follow(last, sub) // there is more of it
	}
	if hold.KeepAlive != nil {
		s.hold.KeepAlive = hold.KeepAlive
	}
	return false, s.rebind(hold, sub)
}

// rebind puts a hold's channels in the place of those before.
func (s *stream) rebind(hold *wire.Hold, sub Subscriber) error {
	if len(hold.Channels) == 0 {
		return nil
	}
	channels, err := s.x.bindings(hold)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.channels
	s.channels = channels
	s.mu.Unlock()
	for _, b := range channels {
		if err := sub.Subscribe(b.topic, false); err != nil {
			return err
		}
	}
	for _, o := range old {
		if !holds(channels, o.topic) {
			sub.Unsubscribe(o.topic)
		}
	}
	return nil
}

func holds(list []binding, topic string) bool {
	for _, b := range list {
		if b.topic == topic {
			return true
		}
	}
	return false
}

// askLink asks the handler at a link of an answer, which may be relative.
func (s *stream) askLink(ctx context.Context, method, link string, last []string) (*answer, error) {
	to, err := url.Parse(link)
	if err != nil {
		return nil, fmt.Errorf("grip: the link %.200q is no URI: %w", link, err)
	}
	q := s.x.base.with(s.x.extra(last), nil)
	q.method = method
	q.uri = s.x.base.uri.ResolveReference(&url.URL{Path: to.Path, RawPath: to.RawPath, RawQuery: to.RawQuery})
	return s.x.ask.ask(ctx, s.x.route, q)
}

// tellGone tells the handler that the client has left, at the link for that.
func (s *stream) tellGone() {
	_, err := s.askLink(s.x.d.life, http.MethodPost, s.hold.Gone, s.lastIDs())
	if err != nil {
		s.x.d.metrics.disconnects.WithLabelValues("failed").Inc()
		return
	}
	s.x.d.metrics.disconnects.WithLabelValues("ok").Inc()
}
