package grip

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// session is one WebSocket client whose handler speaks GRIP. Three goroutines at most
// have to do with it: one reads the client, one asks the handler, while there is
// something to ask, and whoever publishes puts frames in the client's queue.
type session struct {
	d     *Door
	route *Route
	ask   handler
	base  *request
	id    string // Connection-Id

	grant Grant
	sub   Subscriber // nil until the first channel

	filtered atomic.Bool // some channel has filters: a message is looked at more closely

	mu       sync.Mutex
	conn     *socket.Conn   // nil until the upgrade is answered
	early    []socket.Frame // what is to be sent then
	earlyEnd *ending        // how it is to be closed then

	pending  []wire.Event // for the handler
	bytes    int          // of their content
	replayed int          // of these, how many have been offered before
	working  bool         // somebody asks the handler, or is about to
	again    bool         // and is to do so once more, whether or not something is pending
	parked   bool         // pending waits for more: the handler has not taken all of it
	room     chan struct{}
	idle     chan struct{} // closed when nobody asks any more; made by who waits

	opened   bool // the handler has answered OPEN
	over     bool // nothing more is sent to the client or asked for it
	gone     bool // the client has gone: what it held is given up, and nothing new is taken
	said     bool // this side has begun to close
	cut      bool // and the handler does not know
	detached bool
	peer     ending // the client's close frame

	grip     bool // the handler speaks GRIP's extension
	prefix   string
	meta     []wire.Param // Set-Meta
	channels []binding
	holder   map[string]string // meta for filters
	interval time.Duration     // the handler's Keep-Alive-Interval
	poll     *time.Timer       // for that
	beat     *heartbeat        // keep-alive
	delayed  *time.Timer
	delay    func() // what delayed does
}

// ending is how a connection is closed.
type ending struct {
	code   int
	reason string
	abrupt bool // without a close frame
}

// binding is one channel of a session.
type binding struct {
	wire.Channel
	topic string
	last  string // id of the last message
}

// The bounds of what waits for a handler, in bytes of content: at batchBytes a request
// is full, at pendingBytes the client is not read any more.
const (
	batchBytes   = 1 << 20
	pendingBytes = 1 << 20
)

// send queues a frame for the client, or keeps it until there is a connection.
func (s *session) send(f socket.Frame) error {
	s.mu.Lock()
	c := s.conn
	if c == nil {
		if len(s.early) >= s.route.Queue.MaxMessages {
			s.mu.Unlock()
			return socket.ErrFull
		}
		s.early = append(s.early, f)
		s.mu.Unlock()
		return nil
	}
	beat := s.beat
	s.mu.Unlock()
	if beat != nil {
		beat.sent()
	}
	return c.Send(f)
}

// close ends the connection from this side.
func (s *session) close(e ending) {
	s.mu.Lock()
	s.said = true
	c := s.conn
	if c == nil && s.earlyEnd == nil {
		s.earlyEnd = &e
	}
	s.mu.Unlock()
	switch {
	case c == nil:
	case e.abrupt:
		c.Abort()
	default:
		c.Close(e.code, e.reason)
	}
}

// attach gives the session its connection: what has gathered meanwhile is sent.
func (s *session) attach(c *socket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
	for _, f := range s.early {
		_ = c.Send(f) // a full queue ends the connection, which the reader notices
	}
	s.early = nil
	if e := s.earlyEnd; e != nil {
		if e.abrupt {
			c.Abort()
		} else {
			c.Close(e.code, e.reason)
		}
	}
}

// receive takes a message of the space; see Receive.
func (s *session) receive(m *message.Message, shared *any) {
	if m.From.ClientID == s.id {
		return // its own: nothing echoes
	}
	d := s.d.deliveryOf(m, shared)
	if s.filtered.Load() || d.pub != nil && d.pub.item.WS != nil && len(d.pub.item.WS.Filters) > 0 {
		s.receiveFiltered(m, d)
		return
	}
	if d.pub == nil {
		s.count(nil, s.send(d.plainFrame(m)))
		return
	}
	s.publish(d, nil)
}

// publish delivers an item. own is its content for this holder alone; nil = as it is.
func (s *session) publish(d *delivery, own []byte) {
	ws := d.pub.item.WS
	if ws == nil {
		return // it is for holders of another kind
	}
	switch ws.Action {
	case wire.Send:
		var f socket.Frame
		if own != nil {
			f = socket.NewFrame(opcode(ws.Kind), own)
		} else {
			f = d.itemFrame()
		}
		s.count(d.pub, s.send(f))
	case wire.Close:
		s.publishedClose(ws)
		s.count(d.pub, nil)
	case wire.Refresh, wire.Hint:
		s.refresh()
		s.count(d.pub, nil)
	}
}

// publishedClose ends the connection because a publisher wants it; the handler gets a
// CLOSE.
func (s *session) publishedClose(ws *wire.ItemWS) {
	code := ws.Code
	if !socket.ValidCode(code) {
		code = socket.CloseNormal
	}
	s.enqueue(wire.Event{Type: wire.EventClose})
	s.close(ending{code: code, reason: ws.Reason})
}

// refresh makes a request to the handler, an empty one if nothing is pending. While one is
// under way, another follows: the handler may have looked before.
func (s *session) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.detached || s.gone {
		return
	}
	s.again = true
	s.start()
}

// topics are the filters that the session is subscribed to.
func (s *session) topics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return topicsOf(s.channels)
}

// count takes note of a delivery.
func (s *session) count(p *publication, err error) {
	switch {
	case err == nil:
		s.d.metrics.delivered.Add(1)
		if p != nil {
			p.reached++
		}
	case errors.Is(err, socket.ErrFull):
		s.d.metrics.missed.Add(1)
		if p != nil {
			p.missed++
		}
	}
}

// receiveFiltered is receive for a holder or a message with filters: each channel that
// the message came by decides for itself, and one that lets it pass is enough.
func (s *session) receiveFiltered(m *message.Message, d *delivery) {
	s.mu.Lock()
	f := filtering{holder: s.holder, message: d.meta, ids: make(map[string]string, len(s.channels))}
	for i := range s.channels {
		f.ids[s.channels[i].Name] = s.channels[i].last
	}
	var filters []string
	passes := false
	for i := range s.channels {
		c := &s.channels[i]
		if !message.Match(c.topic, m.Topic) {
			continue
		}
		if d.id != "" {
			c.last = d.id
			f.ids[c.Name] = d.id
		}
		if !passes && !f.drops(c.Filters) {
			passes, filters = true, c.Filters
		}
	}
	s.mu.Unlock()
	if !passes {
		return
	}
	content := m.Payload
	if d.pub != nil {
		ws := d.pub.item.WS
		if ws == nil || f.drops(ws.Filters) {
			return
		}
		filters = append(append([]string(nil), filters...), ws.Filters...)
		content = ws.Content
	}
	if !changes(filters) {
		if d.pub == nil {
			s.count(nil, s.send(d.plainFrame(m)))
		} else {
			s.publish(d, nil)
		}
		return
	}
	own, err := f.content(filters, content)
	if err != nil {
		s.d.log.Warn("filter", "", err, "a message was not delivered", "topic", m.Topic)
		return
	}
	if d.pub == nil {
		s.count(nil, s.send(socket.NewFrame(opcodeOf(m), own)))
		return
	}
	s.publish(d, append([]byte{}, own...))
}
