package grip

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// poll is one request that is held until something is published.
type poll struct {
	x        *exchange
	hold     *wire.Hold
	held     *wire.Response
	channels []binding
	ended    chan ending // of capacity 1: why the door, or the client's grant, ends it

	mu   sync.Mutex
	done bool
	got  chan outcome // of capacity 1: the first counts
}

// outcome is what ends a poll: a response, or the wish that the handler be asked again.
type outcome struct {
	response *wire.Response
	again    bool
}

// poll holds the request. The channels are bound first; then what was published while
// the handler was being asked counts as published now.
func (x *exchange) poll(hold *wire.Hold, held *wire.Response) {
	channels, err := x.bindings(hold)
	if err != nil {
		x.d.window.close()
		x.failed(err)
		return
	}
	p := &poll{x: x, hold: hold, held: held, channels: channels, got: make(chan outcome, 1), ended: make(chan ending, 1)}
	release, err := x.d.Hold(x.route, p.end)
	if err != nil {
		x.d.window.close()
		http.Error(x.w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	unfollow := x.d.Follow(x.grant, func() []string { return topicsOf(channels) }, p.end)
	sub := x.d.options.Space.Holder(mayReceive(x.grant), p.receive)
	for _, b := range channels {
		if err := sub.Subscribe(b.topic, x.route.Retained || b.Retained); err != nil {
			x.d.window.close()
			sub.Close()
			unfollow()
			release()
			x.failed(fmt.Errorf("%w: %w", wire.ErrInstruct, err))
			return
		}
	}
	p.catchUp()
	x.d.window.close()
	x.d.metrics.polls.Add(1)
	next := p.wait()
	x.d.metrics.polls.Add(-1)
	sub.Close()
	unfollow()
	release()
	if next != nil {
		x.answer(next) // with a hold of its own, perhaps
	}
}

// catchUp looks for what the client has missed: in the history, in the window.
func (p *poll) catchUp() {
	x := p.x
	if seq, ok := x.lastSeen(p.channels); ok {
		p.fromHistory(seq)
	}
	for _, g := range x.d.window.since(x.from) {
		if channelOf(p.channels, g.m.Topic) != nil && x.mayReceive(g.m.Topic) {
			p.deliver(g.m, newDelivery(g.m, g.pub))
		}
	}
}

// fromHistory looks for the first message after a place that is for the poll.
func (p *poll) fromHistory(seq uint64) {
	x := p.x
	const some = 64
	for topics := x.keptTopics(p.channels); !p.isDone(); {
		list, _, err := x.d.history.history.After(x.ctx, topics, seq, some)
		if err != nil {
			x.d.log.Warn("history", "", err, "a history could not be read", "path", x.route.Path)
		}
		for _, k := range list {
			seq = k.Seq
			if x.mayReceive(k.Message.Topic) {
				d := newDelivery(k.Message, publicationFor(k.Item))
				d.seq = k.Seq
				p.deliver(k.Message, d)
			}
		}
		if len(list) < some {
			return
		}
	}
}

func (p *poll) isDone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// end ends the poll, if nothing has yet.
func (p *poll) end(code int, reason string) {
	select {
	case p.ended <- ending{code: code, reason: reason}:
	default:
	}
}

// publicationFor is the publication of an item that is delivered again; nil if there was
// none.
func publicationFor(i *wire.Item) *publication {
	if i == nil {
		return nil
	}
	return &publication{item: i}
}

// wait waits for what ends the poll, and answers the client, or returns another answer
// of the handler.
func (p *poll) wait() *answer {
	x := p.x
	p.mu.Lock()
	var last []string
	if !p.done {
		last = x.behind(p.channels)
	}
	p.mu.Unlock()
	if len(last) > 0 && x.tries < mostTries {
		return p.askAgain(last)
	}
	timeout := p.hold.Timeout
	if timeout == 0 {
		timeout = wire.DefaultTimeout
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case o := <-p.got:
		if o.again && x.tries < mostTries {
			return p.askAgain(nil)
		}
		if o.response == nil {
			o.response = p.held
		}
		writeResponse(x.w, o.response)
	case <-t.C:
		writeResponse(x.w, p.held)
	case e := <-p.ended:
		p.leave(e)
	case <-x.r.Context().Done():
	}
	return nil
}

// leave answers a poll that is ended: as at its timeout, unless its client may not be here
// any more.
func (p *poll) leave(e ending) {
	switch e.code {
	case socket.CloseUnauthorized:
		refuseRequest(p.x.w, http.StatusUnauthorized)
	case socket.CloseForbidden:
		refuseRequest(p.x.w, http.StatusForbidden)
	default:
		p.x.w.Header().Set("Connection", "close")
		writeResponse(p.x.w, p.held)
	}
}

// askAgain puts the request to the handler once more; nil if that has been answered.
func (p *poll) askAgain(last []string) *answer {
	p.x.from = p.x.d.window.open()
	a, err := p.x.again(p.x.ctx, last)
	if err != nil {
		p.x.d.window.close()
		p.x.failed(err)
		return nil
	}
	return a
}

// receive takes a message of the space; see Receive.
func (p *poll) receive(m *message.Message, shared *any) { p.deliver(m, p.x.d.deliveryOf(m, shared)) }

// deliver ends the poll with a message, unless it is not for it.
func (p *poll) deliver(m *message.Message, d *delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return
	}
	o, ok := p.outcome(m, d)
	if !ok {
		return
	}
	p.done = true
	p.got <- o
	p.x.d.metrics.delivered.Add(1)
	if d.pub != nil {
		d.pub.reached++
	}
}

// outcome is what a message means for the poll; false = nothing.
func (p *poll) outcome(m *message.Message, d *delivery) (outcome, bool) {
	f, filters, ok := pass(p.channels, p.hold.Meta, m, d)
	if !ok {
		return outcome{}, false
	}
	r := &wire.Response{Status: http.StatusOK, Header: p.held.Header.Clone()}
	r.Header.Del("Content-Encoding") // the held body's
	switch {
	case d.pub == nil:
		r.Body = m.Payload
		if m.Props.ContentType != "" && validContentType(m.Props.ContentType) {
			r.Header.Set("Content-Type", m.Props.ContentType)
		}
	case d.pub.item.Response == nil || f.drops(d.pub.item.Response.Filters):
		return outcome{}, false
	case d.pub.item.Response.Action == wire.Hint:
		return outcome{again: true}, true
	default:
		i := d.pub.item.Response
		filters = append(append([]string(nil), filters...), i.Filters...)
		if i.Code != 0 {
			r.Status = i.Code
		}
		r.Reason, r.Body = i.Reason, i.Body
		maps.Copy(r.Header, i.Header)
		if i.Patch != nil {
			var err error
			if r.Body, err = wire.Patch(p.held.Body, i.Patch); err != nil {
				p.x.d.log.Warn("patch", "", err, "a body-patch could not be applied", "channel", i0(p.channels))
				return outcome{}, false
			}
			r.Status = orElse(i.Code, p.held.Status)
		}
	}
	body, err := f.content(filters, r.Body)
	if err != nil {
		p.x.d.log.Warn("filter", "", err, "a message was not delivered", "topic", m.Topic)
		return outcome{}, false
	}
	r.Body = body
	if d.seq != 0 {
		r.Header.Set("Last-Event-ID", seqID(d.seq)) // to be sent back with the next poll
	}
	return outcome{response: r}, true
}

func i0(list []binding) string {
	if len(list) == 0 {
		return ""
	}
	return list[0].Name
}

func validContentType(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f })
}

// pass decides whether a message passes the filters of one of the channels that it came
// by, and returns what filters for content need. It notes the message's id.
func pass(channels []binding, holder map[string]string, m *message.Message, d *delivery) (f filtering, filters []string, ok bool) {
	f = filtering{holder: holder, message: d.meta, ids: make(map[string]string, len(channels))}
	for i := range channels {
		f.ids[channels[i].Name] = channels[i].last
	}
	for i := range channels {
		c := &channels[i]
		if !message.Match(c.topic, m.Topic) {
			continue
		}
		if d.id != "" {
			c.last = d.id
			f.ids[c.Name] = d.id
		}
		if !ok && !f.drops(c.Filters) {
			ok, filters = true, c.Filters
		}
	}
	return f, filters, ok
}
