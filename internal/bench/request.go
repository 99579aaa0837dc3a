package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// answerWithin is how long a requester waits for any answer before it gives up.
const answerWithin = 5 * time.Second

// errAnswer says that what came back answers nothing.
var errAnswer = errors.New("the answer carries no Correlation Data of ours")

// requester keeps Inflight requests on their way on one connection. One goroutine
// reads an answer and sends the next request.
type requester struct {
	*link
	cfg      *Config
	clock    *clock
	topic    string
	response string
	pad      string

	sentAt  []int64 // by slot: when its request left; 0 is free
	latency *hdrhistogram.Histogram
	out     []byte
	sent    uint64
	got     uint64
	unacked uint64
	twice   uint64
}

func runRequest(ctx context.Context, c *Config, r *Result) error {
	c.Version = mqttclient.V5 // Response Topic and Correlation Data exist only there
	r.Protocol = c.Version.String()
	base := newBase()
	q := &requester{
		cfg: c, clock: newClock(), topic: c.Topic, response: c.ResponseTopic,
		sentAt: make([]int64, c.Inflight), latency: newHistogram(),
		pad: strings.Repeat("x", max(0, c.PayloadSize-len(`{"n":123456,"pad":""}`))),
	}
	if q.response == "" {
		q.response = base + "/reply"
	}
	var err error
	if q.link, err = connect(ctx, c, linkOptions{}); err != nil {
		return err
	}
	defer q.goodbye()
	if err := q.subscribe(c.QoS, q.response); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { _ = q.Close() })()
	if q.topic == "" {
		q.topic = base + "/request"
		answerer, err := connect(ctx, c, linkOptions{})
		if err != nil {
			return err
		}
		defer func() { _ = answerer.Close() }()
		defer context.AfterFunc(ctx, func() { _ = answerer.Close() })()
		if err := answerer.subscribe(c.QoS, q.topic); err != nil {
			return err
		}
		g.Go(func() error { return who("responder", 0, answer(answerer)) })
	}
	m, err := startMeter(c)
	if err != nil {
		return err
	}
	q.clock.start = time.Now()
	done := errors.New("done")
	g.Go(func() error {
		if err := q.run(ctx); err != nil {
			return err
		}
		return done // ends the responder too
	})
	if err := g.Wait(); !errors.Is(err, done) {
		return err
	}
	r.Sent, r.Received, r.Expected, r.Duplicate = q.sent, q.got, q.sent, q.twice
	r.Lost, r.Unacked = q.sent-q.got, q.unacked
	r.Latency = quanta(q.latency)
	r.took(time.Duration(q.clock.now()))
	return m.stop(r)
}

// run sends until the time or the number of messages is up, and awaits the rest.
func (q *requester) run(ctx context.Context) error {
	until := int64(q.cfg.Duration)
	more := func() bool {
		if q.cfg.Messages > 0 {
			return q.sent < uint64(q.cfg.Messages)
		}
		return q.clock.now() < until
	}
	for slot := 0; slot < len(q.sentAt) && more(); slot++ {
		if err := q.request(slot); err != nil {
			return err
		}
	}
	for q.got < q.sent || q.unacked > 0 {
		if len(q.out) > 0 && !q.in.Ready() {
			if _, err := q.Write(q.out); err != nil {
				return err
			}
			q.out = q.out[:0]
		}
		_ = q.SetReadDeadline(time.Now().Add(answerWithin))
		first, body, err := q.in.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			if q.got == 0 {
				return fmt.Errorf("no answer to %q on %q within %v: does anything answer there?", q.topic, q.response, answerWithin)
			}
			return nil // what is missing counts as lost
		}
		if err != nil {
			return err
		}
		slot, err := q.packet(first, body)
		if err != nil {
			return err
		}
		if slot >= 0 && more() {
			if err := q.request(slot); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *requester) request(slot int) error {
	correlation := binary.BigEndian.AppendUint64(nil, uint64(slot)<<40|q.sent&(1<<40-1))
	p := &mqttclient.Publish{
		Topic: q.topic, QoS: q.cfg.QoS, PacketID: packetID(q.sent),
		Payload: fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`, q.sent, q.pad),
		Props:   mqttclient.Properties{ResponseTopic: q.response, CorrelationData: correlation},
	}
	var err error
	if q.out, err = p.Append(q.out, mqttclient.V5); err != nil {
		return err
	}
	q.sent++
	if p.QoS > 0 {
		q.unacked++
	}
	q.sentAt[slot] = q.clock.now()
	return nil
}

// packet handles what came; slot is the request that it answers, or -1.
func (q *requester) packet(first byte, body []byte) (slot int, err error) {
	p, err := mqttclient.Decode(mqttclient.V5, first, body)
	if err != nil {
		return -1, err
	}
	switch p := p.(type) {
	case *mqttclient.Publish:
		if p.QoS > 0 {
			q.out = appendAck(q.out, map[byte]mqttclient.Type{1: mqttclient.PUBACK, 2: mqttclient.PUBREC}[p.QoS], p.PacketID)
		}
		return q.answered(p.Props.CorrelationData)
	case *mqttclient.Ack:
		switch {
		case p.Reason.Failed():
			return -1, &mqttclient.ReasonError{Packet: p.Kind, Version: mqttclient.V5, Code: p.Reason, Text: p.Props.ReasonString}
		case p.Kind == mqttclient.PUBREC:
			q.out = appendAck(q.out, mqttclient.PUBREL, p.PacketID)
		case p.Kind == mqttclient.PUBREL:
			q.out = appendAck(q.out, mqttclient.PUBCOMP, p.PacketID)
		default:
			q.unacked--
		}
		return -1, nil
	default:
		return -1, unexpected(mqttclient.V5, first, body)
	}
}

func (q *requester) answered(correlation []byte) (int, error) {
	if len(correlation) != 8 {
		return -1, errAnswer
	}
	slot := int(binary.BigEndian.Uint64(correlation) >> 40)
	if slot >= len(q.sentAt) {
		return -1, errAnswer
	}
	if q.sentAt[slot] == 0 {
		q.twice++
		return -1, nil
	}
	err := q.latency.RecordValue(q.clock.now() - q.sentAt[slot])
	q.sentAt[slot] = 0
	q.got++
	return slot, err
}
