package grip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// apply does what a handler's events say.
func (s *session) apply(events []wire.Event) {
	for _, e := range events {
		switch e.Type {
		case wire.EventText, wire.EventBinary:
			s.content(e)
		case wire.EventPing, wire.EventPong:
			s.count(nil, s.send(socket.NewFrame(opcode(e.Type), e.Content)))
		case wire.EventClose:
			s.handlerCloses(e.Content)
			return
		case wire.EventDisconnect:
			s.mu.Lock()
			s.over = true
			s.mu.Unlock()
			s.close(ending{abrupt: true})
			return
		}
	}
}

// handlerCloses ends the connection because the handler wants it, or completes what the
// client has begun. Code 0, which faas-grip sends for no code, becomes the client's or
// 1000.
func (s *session) handlerCloses(content []byte) {
	code, reason := wire.ParseClose(content)
	s.mu.Lock()
	peer := s.peer
	s.over = true
	s.mu.Unlock()
	switch {
	case code == 0 && peer.code != 0:
		code, reason = socket.AnswerCode(peer.code), peer.reason
	case !socket.ValidCode(code):
		code = socket.CloseNormal
	}
	s.close(ending{code: code, reason: reason})
}

// content is a TEXT or BINARY event: a message for the client or, with GRIP's
// extension, for us.
func (s *session) content(e wire.Event) {
	s.mu.Lock()
	grip, prefix := s.grip, s.prefix
	s.mu.Unlock()
	if !grip {
		s.count(nil, s.send(socket.NewFrame(opcode(e.Type), e.Content)))
		return
	}
	if body, ok := bytes.CutPrefix(e.Content, []byte("c:")); ok && e.Type == wire.EventText {
		if err := s.control(body); err != nil {
			s.d.metrics.ignored.WithLabelValues("control").Inc()
			s.d.log.Warn("control", "", err, "a control message was ignored", "path", s.route.Path)
		}
		return
	}
	body, ok := bytes.CutPrefix(e.Content, []byte(prefix))
	if !ok {
		s.d.metrics.ignored.WithLabelValues("unprefixed").Inc()
		return
	}
	s.count(nil, s.send(socket.NewFrame(opcode(e.Type), body)))
}

// control does what a control message says.
func (s *session) control(body []byte) error {
	c, err := wire.ParseControl(body)
	if err != nil {
		return err
	}
	switch c.Type {
	case wire.ControlSubscribe:
		return s.subscribe(c)
	case wire.ControlUnsubscribe:
		s.unsubscribe(c.Channel)
	case wire.ControlDetach:
		s.detach()
	case wire.ControlSetMeta:
		s.mu.Lock()
		holder := make(map[string]string, len(s.holder)+1) // filters read the old one
		maps.Copy(holder, s.holder)
		if holder[c.Name] = c.Value; c.Value == "" {
			delete(holder, c.Name)
		}
		s.holder = holder
		s.mu.Unlock()
	case wire.ControlKeepAlive:
		s.keepAlive(c)
	case wire.ControlSendDelayed:
		s.sendDelayed(c)
	case wire.ControlFlushDelayed:
		s.flushDelayed()
	case wire.ControlSession:
		// It names the client over connections, which nothing here needs.
	}
	return nil
}

// What is wrong with a channel.
var (
	errChannels  = errors.New("grip: too many channels")
	errForbidden = errors.New("grip: not allowed to subscribe")
)

// bind makes a binding of a channel that a handler has named.
func (d *Door) bind(route *Route, grant Grant, c wire.Channel, n int) (binding, error) {
	b := binding{Channel: c, topic: route.Topic(c.Name), last: c.PrevID}
	if n >= d.mostChannels() {
		return b, fmt.Errorf("%w: at most %d", errChannels, d.mostChannels())
	}
	if err := message.ValidateFilter(b.topic); err != nil {
		return b, err
	}
	for _, f := range c.Filters {
		if !knownFilter(f) {
			return b, fmt.Errorf("there is no filter %.50q", f)
		}
	}
	if grant != nil && !grant.MaySubscribe(b.topic) {
		return b, fmt.Errorf("%w: %.200q", errForbidden, b.topic)
	}
	return b, nil
}

const defaultChannels = 100

func (d *Door) mostChannels() int { return orElse(d.options.Config.MaxSubscriptions, defaultChannels) }

func (s *session) subscribe(c *wire.Control) error {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return nil // there is nobody who would be told
	}
	at := slices.IndexFunc(s.channels, func(o binding) bool { return o.Name == c.Channel })
	others := len(s.channels)
	if at >= 0 {
		others-- // it takes its own place
	}
	b, err := s.d.bind(s.route, s.grant, wire.Channel{Name: c.Channel, Filters: c.Filters}, others)
	if err != nil {
		s.mu.Unlock()
		s.d.metrics.ignored.WithLabelValues("subscription").Inc()
		return err
	}
	if at >= 0 {
		s.channels[at] = b
	} else {
		s.channels = append(s.channels, b)
	}
	s.filterable()
	if s.sub == nil {
		s.sub = s.d.options.Space.Holder(mayReceive(s.grant), s.receive)
	}
	sub := s.sub
	s.mu.Unlock()
	return sub.Subscribe(b.topic, s.route.Retained || c.Retained)
}

func mayReceive(g Grant) func(topic string) bool {
	if g == nil {
		return nil
	}
	return g.MayReceive
}

// filterable notes whether messages have to be looked at one by one. Call it with the
// lock held.
func (s *session) filterable() {
	s.filtered.Store(slices.ContainsFunc(s.channels, func(b binding) bool { return len(b.Filters) > 0 }))
}

func (s *session) unsubscribe(channel string) {
	s.mu.Lock()
	at := slices.IndexFunc(s.channels, func(o binding) bool { return o.Name == channel })
	if at < 0 {
		s.mu.Unlock()
		return
	}
	topic, sub := s.channels[at].topic, s.sub
	s.channels = slices.Delete(s.channels, at, at+1)
	s.filterable()
	s.mu.Unlock()
	sub.Unsubscribe(topic)
}

// detach lets the connection go on without the handler: it gets a last CLOSE, the
// client's messages are dropped, what is published is still delivered.
func (s *session) detach() {
	s.mu.Lock()
	s.pending, s.bytes, s.replayed = []wire.Event{{Type: wire.EventClose}}, 0, 0
	s.detached, s.parked = true, false
	s.interval = 0
	s.wake()
	s.start()
	s.mu.Unlock()
}

// keepAlive sends something to the client when nothing else is.
func (s *session) keepAlive(c *wire.Control) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.beat != nil {
		s.beat.stop()
		s.beat = nil
	}
	if c.Content == nil && (c.Kind == wire.EventText || c.Kind == wire.EventBinary) || s.over || s.gone {
		return
	}
	f := socket.NewFrame(opcode(c.Kind), c.Content)
	s.beat = newHeartbeat(orDuration(c.Timeout, wire.DefaultKeepAlive), c.Interval, func() {
		s.mu.Lock()
		conn := s.conn
		s.mu.Unlock()
		if conn != nil {
			_ = conn.Send(f) // a full queue has enough to send
		}
	})
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// sendDelayed sends something after a while, unless it is flushed before or another
// takes its place.
func (s *session) sendDelayed(c *wire.Control) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delayed != nil {
		s.delayed.Stop()
	}
	if s.over || s.gone {
		return
	}
	f := socket.NewFrame(opcode(c.Kind), c.Content)
	s.delay = func() { s.count(nil, s.send(f)) }
	s.delayed = time.AfterFunc(orDuration(c.Timeout, wire.DefaultKeepAlive), s.flushDelayed)
}

// flushDelayed sends now what was to be sent later.
func (s *session) flushDelayed() {
	s.mu.Lock()
	do := s.delay
	s.delay = nil
	if s.delayed != nil {
		s.delayed.Stop()
	}
	s.mu.Unlock()
	if do != nil {
		do()
	}
}

// extension reads the handler's Sec-WebSocket-Extensions: grip, perhaps with a prefix
// for the client's messages.
func (s *session) extension(values []string) {
	for _, line := range values {
		for e := range strings.SplitSeq(line, ",") {
			parts := strings.Split(e, ";")
			if strings.TrimSpace(parts[0]) != "grip" {
				continue
			}
			s.grip, s.prefix = true, "m:"
			for _, p := range parts[1:] {
				name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
				if name == "message-prefix" {
					s.prefix = strings.Trim(value, `"`)
				}
			}
		}
	}
}

// publishIn publishes a client's message to the topic that the route says.
func (s *session) publishIn(ctx context.Context, m socket.Message) {
	format := message.FormatBytes
	if m.Op == socket.Text {
		format = message.FormatUTF8
	}
	if s.grant != nil && !s.grant.MayPublish(s.route.Publish) {
		s.d.metrics.publishRefused.Inc()
		return
	}
	err := s.d.options.Space.Publish(ctx, &message.Message{
		Topic: s.route.Publish, Payload: m.Data, QoS: 1, Received: time.Now(),
		Props: message.Properties{Format: format},
		From:  s.origin(),
	})
	if err != nil {
		s.d.metrics.publishFailed.Inc()
		s.d.log.Warn("publish", "", err, "a client's message was not published", "path", s.route.Path, "topic", s.route.Publish)
	}
}
