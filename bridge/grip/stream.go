package grip

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// stream is one response that goes on as long as its client stays.
type stream struct {
	x        *exchange
	rc       *http.ResponseController
	framing  StreamFraming
	signal   chan struct{}   // of capacity 1: there is something to do
	ctx      context.Context // of what is asked for it
	cancel   context.CancelFunc
	ended    chan struct{} // closed by the door, or when the client's grant ends
	endOnce  sync.Once
	nextWait time.Duration
	at       *url.URL // where it has come on its way from link to link
	hold     *wire.Hold

	mu        sync.Mutex
	next      string // where it goes on after silence; only run changes it
	channels  []binding
	queue     []piece
	bytes     int
	backlog   []piece // came live while the history is read; nil when it has been
	waiting   int     // bytes of backlog
	reading   bool    // the history is being read
	seen      uint64  // the highest place that was read from it
	closing   bool    // a publisher has ended it
	lost      bool    // its queue was full
	recover   bool    // the next link is to be followed now: something is missing
	following bool    // it is being followed
	held      []glimpse
}

// piece is content that waits to be written.
type piece struct {
	b   []byte
	seq uint64
}

// streamTimeout is how long a client may take nothing before its stream is cut.
const streamTimeout = 30 * time.Second

// errSlow ends a stream whose client reads too slowly.
var errSlow = errors.New("grip: the client reads too slowly")

// stream opens the stream and writes it until it ends.
func (x *exchange) stream(hold *wire.Hold, head *wire.Response) {
	channels, err := x.bindings(hold)
	if err != nil {
		x.failed(err)
		return
	}
	s := &stream{
		x: x, rc: http.NewResponseController(x.w), framing: framingOf(x.route.Stream, head), hold: hold,
		signal: make(chan struct{}, 1), ended: make(chan struct{}), channels: channels,
		next: hold.Next, nextWait: hold.NextTimeout, at: x.base.uri,
	}
	s.ctx, s.cancel = context.WithCancel(x.ctx)
	defer s.cancel()
	release, err := x.d.Hold(x.route, s.end)
	if err != nil {
		http.Error(x.w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer release()
	defer x.d.Follow(x.grant, s.topics, s.end)()
	seq, resumes := x.lastSeen(channels)
	s.reading = resumes
	sub := x.d.options.Space.Holder(mayReceive(x.grant), s.receive)
	defer sub.Close()
	for _, b := range channels {
		resumed := resumes && x.d.history.keeps(b.topic)
		if err := sub.Subscribe(b.topic, (x.route.Retained || b.Retained) && !resumed); err != nil {
			x.failed(fmt.Errorf("%w: %w", wire.ErrInstruct, err))
			return
		}
	}
	x.d.metrics.streams.Add(1)
	defer x.d.metrics.streams.Add(-1)
	if head.Status < 200 {
		head.Status = http.StatusBadGateway
	}
	x.w.Header().Del("Content-Length")
	writeHead(x.w, head, -1)
	if err := s.write(head.Body); err != nil {
		s.gone(err)
		return
	}
	if resumes {
		if err := s.resume(seq); err != nil {
			s.gone(err)
			return
		}
	}
	s.catchUp()
	s.gone(s.run(sub))
}

// end ends the stream in good order. Whoever may not be here any more does not wait for a
// handler that is being asked.
func (s *stream) end(code int, _ string) {
	s.endOnce.Do(func() {
		close(s.ended)
		if code == socket.CloseUnauthorized || code == socket.CloseForbidden {
			s.cancel()
		}
	})
}

// topics are the filters that the stream is subscribed to.
func (s *stream) topics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return topicsOf(s.channels)
}

// gone ends the stream: in good order, or so that the client notices. The handler is told
// of a client that leaves, or is made to.
func (s *stream) gone(err error) {
	if s.hold.Gone != "" && (s.x.r.Context().Err() != nil || s.hasEnded()) {
		s.x.d.work.Go(s.tellGone)
	}
	if err == nil || s.x.r.Context().Err() != nil {
		return
	}
	s.x.d.options.Log.Debug().Err(err).Str("path", s.x.route.Path).Msg("a stream was cut")
	panic(http.ErrAbortHandler) // the client must not take it for the end
}

// run writes what is published until the stream ends.
func (s *stream) run(sub Subscriber) error {
	beat := time.NewTimer(time.Hour)
	defer beat.Stop()
	s.rearm(beat)
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	s.rearmNext(quiet)
	for {
		select {
		case <-s.signal:
			wrote, err := s.drain(sub)
			if err != nil {
				return err
			}
			if wrote {
				if k := s.hold.KeepAlive; k != nil && !k.Interval {
					s.rearm(beat)
				}
				s.rearmNext(quiet)
			}
			if s.isOver() {
				return nil
			}
		case <-beat.C:
			if err := s.write(s.hold.KeepAlive.Content); err != nil {
				return err
			}
			s.rearm(beat)
		case <-quiet.C:
			if over, err := s.follow(sub); over || err != nil {
				return err
			}
			s.rearm(beat)
			s.rearmNext(quiet)
		case <-s.ended:
			_, err := s.drain(nil)
			return err
		case <-s.x.r.Context().Done():
			return nil
		}
	}
}

func (s *stream) rearm(t *time.Timer) {
	if k := s.hold.KeepAlive; k != nil && len(k.Content) > 0 {
		t.Reset(k.Timeout)
	} else {
		t.Stop()
	}
}

func (s *stream) rearmNext(t *time.Timer) {
	if s.next != "" {
		t.Reset(s.nextWait)
	} else {
		t.Stop()
	}
}

// isOver reports whether a publisher has ended the stream and everything is written.
func (s *stream) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing && len(s.queue) == 0
}

// drain writes what waits. sub is nil when the stream is ending.
func (s *stream) drain(sub Subscriber) (wrote bool, err error) {
	s.mu.Lock()
	queue, recover, lost := s.queue, s.recover, s.lost
	s.queue, s.bytes = nil, 0
	s.mu.Unlock()
	if lost {
		return false, errSlow
	}
	if len(queue) > 0 {
		var all []byte
		if len(queue) == 1 {
			all = queue[0].b
		} else {
			for _, p := range queue {
				all = append(all, p.b...)
			}
		}
		if err := s.write(all); err != nil {
			return true, err
		}
	}
	if recover && sub != nil && s.next != "" {
		over, err := s.follow(sub)
		if over && err == nil {
			s.mu.Lock()
			s.closing = true
			s.mu.Unlock()
		}
		return true, err
	}
	return len(queue) > 0, nil
}

// write writes one piece and sees to it that it leaves.
func (s *stream) write(b []byte) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(streamTimeout)) // what has no deadlines is not cut
	if len(b) > 0 {
		if _, err := s.x.w.Write(b); err != nil {
			return err
		}
	}
	return s.rc.Flush()
}

// receive takes a message of the space; see Receive.
func (s *stream) receive(m *message.Message, shared *any) {
	d := s.x.d.deliveryOf(m, shared)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliver(m, d, true)
}

// deliver queues a message. Call it with the lock held.
func (s *stream) deliver(m *message.Message, d *delivery, live bool) {
	if s.closing || s.lost || live && s.outOfOrder(m, d) {
		return
	}
	f, filters, ok := pass(s.channels, s.hold.Meta, m, d)
	if !ok {
		return
	}
	if d.pub != nil {
		i := d.pub.item.Stream
		if i == nil || f.drops(i.Filters) {
			return
		}
		switch i.Action {
		case wire.Close:
			s.closing = true
			s.wake()
			s.reached(d)
			return
		case wire.Hint:
			s.recover = true
			s.wake()
			s.reached(d)
			return
		default:
		}
		filters = append(append([]string(nil), filters...), i.Filters...)
	}
	var b []byte
	if changes(filters) {
		content := m.Payload
		if d.pub != nil {
			content = d.pub.item.Stream.Content
		}
		own, err := f.content(filters, content)
		if err != nil {
			s.x.d.log.Warn("filter", "", err, "a message was not delivered", "topic", m.Topic)
			return
		}
		b = frameContent(s.framing, own, d)
	} else {
		b = d.streamForm(s.framing, m)
	}
	s.push(piece{b, d.seq}, d, live)
}

// push queues a piece. Call it with the lock held.
func (s *stream) push(p piece, d *delivery, live bool) {
	q := &s.x.route.Queue
	if live && s.reading && len(s.backlog) < q.MaxMessages && (s.waiting == 0 || s.waiting+len(p.b) <= q.MaxBytes) {
		s.backlog = append(s.backlog, p)
		s.waiting += len(p.b)
		s.reached(d)
		return
	}
	if live && p.seq != 0 && p.seq <= s.seen && !s.reading {
		return // it was read from the history
	}
	if s.reading && live || len(s.queue) >= q.MaxMessages || s.bytes > 0 && s.bytes+len(p.b) > q.MaxBytes {
		s.x.d.metrics.missed.Add(1)
		if d.pub != nil {
			d.pub.missed++
		}
		if q.Policy != socket.DropNewest {
			s.lost = true
			s.queue, s.bytes = nil, 0
			_ = s.rc.SetWriteDeadline(time.Unix(1, 0)) // a write that waits ends now
			s.wake()
		}
		return
	}
	s.queue = append(s.queue, p)
	s.bytes += len(p.b)
	s.reached(d)
	s.wake()
}

func (s *stream) reached(d *delivery) {
	s.x.d.metrics.delivered.Add(1)
	if d.pub != nil {
		d.pub.reached++
	}
}

func (s *stream) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// resume writes what the client has missed, from the history, and then what has come
// meanwhile. The client's own place counts for the question only: it may be that of
// another server, beyond all of ours.
func (s *stream) resume(seq uint64) error {
	const some = 256
	var seen uint64
	topics := s.x.keptTopics(s.channels)
	for {
		list, complete, err := s.x.d.history.history.After(s.x.ctx, topics, seq, some)
		if err != nil {
			return err
		}
		if !complete && s.framing == StreamSSE {
			if err := s.write([]byte(": some messages are no longer kept\n\n")); err != nil {
				return err
			}
		}
		for _, k := range list {
			seq, seen = k.Seq, k.Seq
			if !s.x.mayReceive(k.Message.Topic) {
				continue
			}
			d := newDelivery(k.Message, publicationFor(k.Item))
			d.seq = k.Seq
			s.mu.Lock()
			s.deliver(k.Message, d, false)
			s.mu.Unlock()
		}
		if _, err := s.drain(nil); err != nil {
			return err
		}
		if len(list) < some {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading, s.seen = false, seen
	for _, p := range s.backlog {
		if p.seq == 0 || p.seq > seen {
			s.queue = append(s.queue, p)
			s.bytes += len(p.b)
		}
	}
	s.backlog, s.waiting = nil, 0
	s.wake()
	return nil
}
