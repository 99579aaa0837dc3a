package grip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// What is wrong with an answer to WebSocket events.
var (
	errNoEvents = errors.New("grip: the handler's answer is not of type " + wire.ContentType)
	errAccepted = errors.New("grip: the handler's Content-Bytes-Accepted makes no sense")
)

// enqueue puts an event for the handler in line.
func (s *session) enqueue(e wire.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.detached {
		return
	}
	s.pending = append(s.pending, e)
	s.bytes += len(e.Content)
	s.start()
}

// start sees to it that the handler is asked. Call it with the lock held.
func (s *session) start() {
	s.parked = false
	if s.working {
		return
	}
	s.working = true
	s.d.work.Go(s.work)
}

// waitForRoom holds the reader up while too much waits for the handler.
func (s *session) waitForRoom() {
	s.mu.Lock()
	if s.bytes < pendingBytes || s.over || s.detached {
		s.mu.Unlock()
		return
	}
	room := make(chan struct{})
	s.room = room
	s.mu.Unlock()
	<-room
}

// work asks the handler until nothing is left to ask.
func (s *session) work() {
	first := true
	for {
		s.mu.Lock()
		if !first && !s.again && (len(s.pending) == 0 || s.parked) || s.over {
			s.rest()
			s.mu.Unlock()
			return
		}
		batch, replayed := s.take()
		s.mu.Unlock()
		first = false
		if err := s.round(batch, replayed); err != nil {
			s.failed(err)
		}
	}
}

// rest notes that nobody asks any more. Call it with the lock held.
func (s *session) rest() {
	s.working = false
	if s.over {
		s.pending, s.bytes = nil, 0
	}
	s.wake()
	if s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
	if s.interval > 0 && !s.over && !s.gone {
		if s.poll == nil {
			s.poll = time.AfterFunc(s.interval, s.tick)
		} else {
			s.poll.Reset(s.interval)
		}
	}
}

// wake lets the reader go on. Call it with the lock held.
func (s *session) wake() {
	if s.room != nil && (s.bytes < pendingBytes || s.over || s.detached) {
		close(s.room)
		s.room = nil
	}
}

// tick asks the handler because nothing was asked for its Keep-Alive-Interval.
func (s *session) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interval > 0 && !s.over && !s.gone && !s.detached && !s.working {
		s.start()
	}
}

// take cuts the next batch off what is pending. Call it with the lock held.
func (s *session) take() (batch []wire.Event, replayed int) {
	n, size := 0, 0
	for n < len(s.pending) {
		if n > 0 && (s.route.OneEvent || size+len(s.pending[n].Content) > batchBytes) {
			break
		}
		size += len(s.pending[n].Content)
		n++
	}
	batch, replayed = s.pending[:n:n], s.replayed
	if s.pending = s.pending[n:]; len(s.pending) == 0 {
		s.pending = nil
	}
	s.bytes -= size
	s.replayed = 0
	s.again, s.parked = false, false
	s.wake()
	return batch, replayed
}

// round asks the handler about one batch and does what it answers.
func (s *session) round(batch []wire.Event, replayed int) error {
	vanished := len(batch) > 0 && batch[len(batch)-1].Type == wire.EventDisconnect
	s.mu.Lock()
	detached := s.detached
	s.mu.Unlock()
	a, err := s.askEvents(batch, replayed, !vanished)
	if vanished {
		s.toldOfDisconnect(err)
		return nil
	}
	if detached {
		return nil // it has said goodbye: what it answers to that is nothing
	}
	if err != nil {
		s.d.metrics.requests.WithLabelValues("events", "failed").Inc()
		return err
	}
	events, err := eventsOf(a)
	if err != nil {
		s.d.metrics.requests.WithLabelValues("events", "bad").Inc()
		return err
	}
	s.d.metrics.requests.WithLabelValues("events", "ok").Inc()
	if err := s.accepted(a, batch); err != nil {
		return err
	}
	s.remember(a)
	s.apply(events)
	return nil
}

// toldOfDisconnect counts what became of a DISCONNECT. Handlers made with faas-grip
// throw on it, so that is no failure.
func (s *session) toldOfDisconnect(err error) {
	outcome := "ok"
	if err != nil {
		outcome = "failed"
		s.d.options.Log.Debug().Err(err).Str("path", s.route.Path).Msg("the handler failed on a client that has gone")
	}
	s.d.metrics.disconnects.WithLabelValues(outcome).Inc()
}

// askEvents sends events to the handler. It asks again only if the handler cannot have
// seen the request.
func (s *session) askEvents(batch []wire.Event, replayed int, again bool) (*answer, error) {
	var body []byte
	for _, e := range batch {
		body = wire.AppendEvent(body, e)
	}
	for wait := time.Second; ; wait *= 2 {
		a, err := s.ask.ask(s.d.life, s.route, s.base.with(s.headers(replayed), body))
		if err == nil || !again || wait > 16*time.Second || !neverSent(err) && !errors.Is(err, function.ErrThrottled) {
			return a, err
		}
		if sleep(s.d.life, wait+rand.N(time.Second)) != nil { //nolint:gosec // spreading retries needs no secrecy
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// headers are those that a request has beside the client's.
func (s *session) headers(replayed int) []wire.Param {
	list := make([]wire.Param, 0, 7+len(s.meta))
	list = append(list,
		wire.Param{Name: "Sec-WebSocket-Extensions", Value: "grip"},
		wire.Param{Name: "Grip-Sig", Value: s.d.signer.sign(time.Now())},
		wire.Param{Name: "Grip-Feature", Value: features},
		wire.Param{Name: "Accept", Value: wire.ContentType},
		wire.Param{Name: "Connection-Id", Value: s.id},
		wire.Param{Name: "Content-Type", Value: wire.ContentType},
	)
	if replayed > 0 {
		list = append(list, wire.Param{Name: "Content-Bytes-Replayed", Value: strconv.Itoa(replayed)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.meta {
		list = append(list, wire.Param{Name: "Meta-" + m.Name, Value: m.Value})
	}
	return list
}

// eventsOf reads the events of an answer.
func eventsOf(a *answer) ([]wire.Event, error) {
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("grip: the handler answered with status %d", a.Status)
	}
	if !wire.IsEvents(a.Header.Get("Content-Type")) {
		return nil, errNoEvents
	}
	return wire.ParseEvents(a.Body)
}

// accepted puts back what the handler has not taken of a batch.
func (s *session) accepted(a *answer, batch []wire.Event) error {
	text := a.Header.Get("Content-Bytes-Accepted")
	if text == "" {
		return nil
	}
	offered, beforeClose := 0, -1
	for _, e := range batch {
		if e.Type == wire.EventClose {
			beforeClose = offered
		}
		offered += len(e.Content)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > offered {
		return fmt.Errorf("%w: it is %.20q of %d", errAccepted, text, offered)
	}
	if n == offered || beforeClose >= 0 && n >= beforeClose {
		return nil // a close frame is taken whole
	}
	if n == 0 && (offered >= batchBytes || beforeClose >= 0) {
		return fmt.Errorf("%w: it is 0, and there will be no more", errAccepted)
	}
	left := unaccepted(batch, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range left {
		s.replayed += len(e.Content)
	}
	s.bytes += s.replayed
	// Again with new data, or the handler would be asked for ever; after a close frame
	// there is none.
	s.parked = len(s.pending) == 0 && beforeClose < 0
	s.pending = append(left, s.pending...)
	return nil
}

// unaccepted is what is left of events when n bytes of their content have been taken: a
// message may be cut, and what comes after it stays as it is.
func unaccepted(events []wire.Event, n int) []wire.Event {
	for len(events) > 0 && n >= len(events[0].Content) {
		n -= len(events[0].Content)
		events = events[1:]
	}
	left := slices.Clone(events)
	if len(left) > 0 {
		left[0].Content = left[0].Content[n:]
	}
	return left
}

// remember keeps what an answer's headers say beyond it.
func (s *session) remember(a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range a.meta {
		s.setMeta(p)
	}
	if v := a.Header.Get("Keep-Alive-Interval"); v != "" {
		s.interval = 0
		if n, err := strconv.Atoi(v); err == nil && n > 0 {
			s.interval = time.Duration(min(max(n, leastInterval), 1<<30)) * time.Second
		}
	}
}

// leastInterval is the shortest Keep-Alive-Interval in seconds; shorter ones count as it.
const leastInterval = 20

// The bounds of a connection's meta.
const (
	mostMeta      = 100
	mostMetaBytes = 8 << 10
)

// setMeta stores one item, or removes it if its value is empty. Call it with the lock
// held.
func (s *session) setMeta(p wire.Param) {
	for i := range s.meta {
		if strings.EqualFold(s.meta[i].Name, p.Name) {
			if p.Value == "" {
				s.meta = append(s.meta[:i:i], s.meta[i+1:]...)
			} else {
				s.meta = append([]wire.Param(nil), s.meta...)
				s.meta[i] = p
			}
			return
		}
	}
	if p.Value != "" && len(s.meta) < mostMeta && len(p.Value) <= mostMetaBytes {
		s.meta = append(slices.Clip(s.meta), p)
	}
}

// failed ends a connection whose handler has failed, or answered what is no answer: the
// client sees it lost. One that has said goodbye gets its goodbye.
func (s *session) failed(err error) {
	s.d.log.Warn("handler", "", err, "a WebSocket was dropped: its handler failed", "path", s.route.Path, "function", s.route.Function)
	s.mu.Lock()
	peer, said := s.peer, s.said
	s.over = true
	s.mu.Unlock()
	switch {
	case said: // it is closing, and the handler is not needed for that
	case peer.code != 0:
		s.close(ending{code: socket.AnswerCode(peer.code), reason: peer.reason})
	default:
		s.close(ending{abrupt: true})
	}
}
