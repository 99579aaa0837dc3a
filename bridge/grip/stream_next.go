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
	s.recover = s.recover || len(s.x.behind(s.channels)) > 0
	s.wake()
}

// outOfOrder deals with an item that does not follow what the client has: the one before
// it was never seen here, and the next link brings both; or a next link is being followed
// just now, and whether the item follows will be known when that has been. Call it with
// the lock held.
func (s *stream) outOfOrder(m *message.Message, d *delivery) bool {
	if d.pub == nil || !d.asked || d.seq != 0 || s.next == "" {
		return false
	}
	c := channelOf(s.channels, m.Topic)
	switch {
	case c == nil || c.last == "":
		return false
	case s.following && len(s.held) < s.x.route.Queue.MaxMessages && s.waiting <= s.x.route.Queue.MaxBytes:
		s.held = append(s.held, glimpse{m, &publication{item: d.pub.item}}) // the publisher's own counts are its own
		s.waiting += sizeOf(m)
		return true
	case !s.following && c.last == d.prev:
		return false
	}
	s.recover = true
	s.wake()
	return true
}

// channelOf is the first channel that a topic's messages come by.
func channelOf(list []binding, topic string) *binding {
	for i := range list {
		if message.Match(list[i].topic, topic) {
			return &list[i]
		}
	}
	return nil
}

// followed lets in what came while a next link was followed. What the answer has brought
// already is dropped; if the rest does not go on from there, the link is followed again.
func (s *stream) followed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.held, s.waiting, s.following = nil, 0, false
	newest := make(map[*binding]string)
	for _, h := range held {
		d := newDelivery(h.m, h.pub)
		c := channelOf(s.channels, h.m.Topic)
		if c == nil {
			continue
		}
		newest[c] = d.id
		if c.last == "" || c.last == d.prev {
			s.deliver(h.m, d, true)
		}
	}
	for c, id := range newest {
		if c.last != id {
			s.recover = true
			s.wake()
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

// follow asks the handler what comes next and appends that, as long as it has no hold and
// another link. An answer with neither ends the stream.
func (s *stream) follow(sub Subscriber) (over bool, err error) {
	s.mu.Lock()
	s.following, s.recover = true, false
	s.mu.Unlock()
	for {
		hold, err := s.appendNext()
		if err != nil {
			return false, err
		}
		if hold.Mode != wire.HoldStream && (hold.Next == "" || s.hasEnded()) {
			return true, nil
		}
		s.goOn(hold)
		if hold.Mode != wire.HoldStream {
			continue // there is more of it
		}
		if err := s.rebind(hold, sub); err != nil {
			return false, err
		}
		s.followed()
		return false, nil
	}
}

// appendNext asks the handler at the next link, writes what it answers, and returns its
// instructions.
func (s *stream) appendNext() (*wire.Hold, error) {
	a, to, err := s.askLink(s.ctx, http.MethodGet, s.at, s.nextLink(), s.lastIDs())
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("grip: the next link was answered with status %d", a.Status)
	}
	if err != nil {
		s.x.d.metrics.requests.WithLabelValues("next", "failed").Inc()
		return nil, err
	}
	hold, out, err := wire.Instructions(&a.Response)
	if err != nil {
		s.x.d.metrics.requests.WithLabelValues("next", "bad").Inc()
		return nil, err
	}
	s.x.d.metrics.requests.WithLabelValues("next", "ok").Inc()
	s.at = to
	return hold, s.write(out.Body)
}

// hasEnded reports whether the door has ended the stream.
func (s *stream) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *stream) nextLink() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// goOn takes from an answer where and how the stream goes on.
func (s *stream) goOn(hold *wire.Hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.nextWait = hold.Next, hold.NextTimeout
	if hold.KeepAlive != nil {
		s.hold.KeepAlive = hold.KeepAlive
	}
	if hold.Meta != nil {
		s.hold.Meta = hold.Meta
	}
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

// askLink asks the handler at a link, which may be relative, and says where that was.
func (s *stream) askLink(ctx context.Context, method string, from *url.URL, link string, last []string) (*answer, *url.URL, error) {
	to, err := url.Parse(link)
	if err != nil {
		return nil, nil, fmt.Errorf("grip: the link %.200q is no URI: %w", link, err)
	}
	q := s.x.base.with(s.x.extra(last), nil)
	q.method = method
	q.uri = from.ResolveReference(&url.URL{Path: to.Path, RawPath: to.RawPath, RawQuery: to.RawQuery})
	a, err := s.x.ask.ask(ctx, s.x.route, q)
	return a, q.uri, err
}

// tellGone tells the handler that the client has left, at the link for that.
func (s *stream) tellGone() {
	_, _, err := s.askLink(s.x.d.life, http.MethodPost, s.x.base.uri, s.hold.Gone, s.lastIDs())
	if err != nil {
		s.x.d.metrics.disconnects.WithLabelValues("failed").Inc()
		return
	}
	s.x.d.metrics.disconnects.WithLabelValues("ok").Inc()
}
