package bench

import (
	"fmt"
	"sync/atomic"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// subscriber takes messages on one connection, acknowledges them and keeps count.
type subscriber struct {
	*link
	publishers []*publisher // by number
	sequences  []sequence   // by publisher
	clock      *clock
	latency    *hdrhistogram.Histogram // nanoseconds; nil in a closed loop
	from       int64                   // messages due before that moment are warm-up

	onMessage func(stamp) error // takes the place of sequences, if set

	received atomic.Uint64
	last     atomic.Int64 // when the last message came

	batch   []uint32 // by publisher: messages since the last publish of counters
	touched []uint32 // publishers with a count in batch
	acks    []byte
}

func newSubscriber(l *link, clock *clock, publishers []*publisher) *subscriber {
	return &subscriber{
		link: l, clock: clock, publishers: publishers,
		sequences: make([]sequence, len(publishers)), batch: make([]uint32, len(publishers)),
	}
}

// read takes messages until the connection is closed.
func (s *subscriber) read() error {
	var now int64
	for {
		first, body, err := s.in.Next()
		if err != nil {
			return ended(err)
		}
		if now == 0 { // one look at the clock for all that came in one read
			now = s.clock.now()
		}
		if err := s.packet(first, body, now); err != nil {
			return err
		}
		if s.in.Ready() {
			continue
		}
		if err := s.settle(now); err != nil {
			return ended(err)
		}
		now = 0
	}
}

func (s *subscriber) packet(first byte, body []byte, now int64) error {
	switch mqttclient.Type(first >> 4) {
	case mqttclient.PUBLISH:
		d, err := parse(s.version, first, body)
		if err != nil {
			return err
		}
		switch d.qos {
		case 1:
			s.acks = appendAck(s.acks, mqttclient.PUBACK, d.id)
		case 2:
			s.acks = appendAck(s.acks, mqttclient.PUBREC, d.id)
		}
		return s.message(d.payload, now)
	case mqttclient.PUBREL:
		if len(body) < 2 {
			return fmt.Errorf("%w: a short PUBREL", mqttclient.ErrMalformed)
		}
		s.acks = appendAck(s.acks, mqttclient.PUBCOMP, uint16(body[0])<<8|uint16(body[1]))
		return nil
	case mqttclient.SUBACK: // retained messages may come before it
		return refused(s.version, first, body)
	default:
		return unexpected(s.version, first, body)
	}
}

func (s *subscriber) message(payload []byte, now int64) error {
	if len(payload) < stampSize {
		return fmt.Errorf("%w: a payload of %d bytes that we did not send", mqttclient.ErrProtocol, len(payload))
	}
	m := readStamp(payload)
	if int(m.publisher) >= len(s.sequences) {
		return fmt.Errorf("%w: a payload that we did not send", mqttclient.ErrProtocol)
	}
	if s.onMessage == nil {
		s.sequences[m.publisher].add(m.seq)
	} else if err := s.onMessage(m); err != nil {
		return err
	}
	if s.batch[m.publisher]++; s.batch[m.publisher] == 1 {
		s.touched = append(s.touched, m.publisher)
	}
	if s.latency != nil && m.due >= s.from {
		if err := s.latency.RecordValue(max(0, now-m.due)); err != nil {
			return fmt.Errorf("a message took more than a minute: %w", err)
		}
	}
	return nil
}

// settle publishes the counters of what came in one read and acknowledges it.
func (s *subscriber) settle(now int64) error {
	for _, i := range s.touched {
		n := uint64(s.batch[i])
		s.batch[i] = 0
		s.received.Add(n)
		p := s.publishers[i]
		p.delivered.Add(n)
		p.notify()
	}
	if len(s.touched) > 0 {
		s.last.Store(now)
		s.touched = s.touched[:0]
	}
	if len(s.acks) == 0 {
		return nil
	}
	_, err := s.Write(s.acks)
	s.acks = s.acks[:0]
	return err
}
