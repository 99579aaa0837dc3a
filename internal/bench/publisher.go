package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// publisher sends numbered messages on one connection.
type publisher struct {
	*link
	tmpl   *template
	qos    byte
	fanout uint64 // deliveries that each message causes
	window uint64
	limit  uint64 // messages in all; 0 is no limit

	write sync.Mutex // QoS 2 writes from two goroutines
	buf   []byte

	sent      atomic.Uint64
	acked     atomic.Uint64
	delivered atomic.Uint64 // added by the subscribers
	wake      chan struct{} // capacity 1: acked or delivered has grown
	stalls    atomic.Uint64
	forgiven  uint64 // messages on their way that stalls have written off
}

// outstanding is how many messages are on their way: not acknowledged or not delivered.
func (p *publisher) outstanding() uint64 {
	done := p.acked.Load()
	if p.qos == 0 {
		done = p.sent.Load()
	}
	if p.fanout > 0 {
		done = min(done, p.delivered.Load()/p.fanout)
	}
	sent := p.sent.Load() - p.forgiven
	if done > sent {
		return 0
	}
	return sent - done
}

func (p *publisher) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// closedLoop keeps the window full until ctx ends or the limit is reached.
func (p *publisher) closedLoop(ctx context.Context, clock *clock) error {
	stall := time.NewTimer(stallAfter)
	defer stall.Stop()
	enough := max(1, p.window/4) // below that a write would carry too little
	for ctx.Err() == nil && (p.limit == 0 || p.sent.Load() < p.limit) {
		free := p.window - min(p.window, p.outstanding())
		if free < enough {
			stall.Reset(stallAfter)
			select {
			case <-p.wake:
			case <-ctx.Done():
			case <-stall.C:
				p.stalls.Add(1)
				p.forgiven += p.outstanding()
			}
			continue
		}
		if p.limit > 0 {
			free = min(free, p.limit-p.sent.Load())
		}
		if err := p.send(free, clock.now()); err != nil {
			return err
		}
	}
	return nil
}

// send writes the next messages, all due at the given time, at most n and not more than
// one write takes.
func (p *publisher) send(n uint64, due int64) error {
	p.write.Lock()
	defer p.write.Unlock()
	seq := p.sent.Load()
	b := p.buf[:0]
	for ; n > 0 && len(b)+len(p.tmpl.packet) <= cap(p.buf); n-- {
		b = p.tmpl.appendTo(b, seq, due)
		seq++
	}
	p.sent.Store(seq) // before the write: its answers may overtake this goroutine
	_, err := p.Write(b)
	return err
}

// readAcks counts acknowledgements until the connection is closed.
func (p *publisher) readAcks() error {
	var rel []byte
	for {
		first, body, err := p.in.Next()
		if err != nil {
			return ended(err)
		}
		if len(body) < 2 && mqttclient.Type(first>>4) != mqttclient.DISCONNECT {
			return fmt.Errorf("%w: a short acknowledgement", mqttclient.ErrMalformed)
		}
		switch t := mqttclient.Type(first >> 4); t {
		case mqttclient.PUBACK, mqttclient.PUBCOMP:
			p.acked.Add(1)
		case mqttclient.PUBREC:
			rel = appendAck(rel, mqttclient.PUBREL, uint16(body[0])<<8|uint16(body[1]))
		default:
			return unexpected(p.version, first, body)
		}
		if len(body) > 2 && body[2] >= 0x80 {
			return &mqttclient.ReasonError{Packet: mqttclient.Type(first >> 4), Version: p.version, Code: mqttclient.Reason(body[2])}
		}
		if p.in.Ready() {
			continue
		}
		p.notify()
		if len(rel) > 0 {
			p.write.Lock()
			_, err := p.Write(rel)
			p.write.Unlock()
			if err != nil {
				return ended(err)
			}
			rel = rel[:0]
		}
	}
}

// ended turns the end of a connection that we closed ourselves into nil.
func ended(err error) error {
	switch {
	case errors.Is(err, net.ErrClosed):
		return nil
	case errors.Is(err, io.EOF):
		return mqttclient.ErrLost
	default:
		return err
	}
}

// unexpected says what the server sent that has no place there: usually DISCONNECT.
func unexpected(v mqttclient.Version, first byte, body []byte) error {
	p, err := mqttclient.Decode(v, first, body)
	if err != nil {
		return err
	}
	if d, ok := p.(*mqttclient.Disconnect); ok {
		return &mqttclient.ReasonError{Packet: mqttclient.DISCONNECT, Version: v, Code: d.Reason, Text: d.Props.ReasonString}
	}
	return fmt.Errorf("%w: an unexpected %s", mqttclient.ErrProtocol, p.Type())
}

// refused returns the *ReasonError of a SUBACK that says no.
func refused(v mqttclient.Version, first byte, body []byte) error {
	p, err := mqttclient.Decode(v, first, body)
	if err != nil {
		return err
	}
	if a, ok := p.(*mqttclient.Suback); ok && len(a.Reasons) > 0 && a.Reasons[0].Failed() {
		return &mqttclient.ReasonError{Packet: mqttclient.SUBACK, Version: v, Code: a.Reasons[0]}
	}
	return nil
}
