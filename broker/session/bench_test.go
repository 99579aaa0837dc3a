package session_test

import (
	"testing"
	"time"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/message"
)

// sink is a connection that keeps nothing but the last packet identifier.
type sink struct{ id uint16 }

func (s *sink) Write(p []byte) (int, error) {
	if len(p) > 8 {
		s.id = uint16(p[6])<<8 | uint16(p[7])
	}
	return len(p), nil
}
func (*sink) Congested() bool { return false }
func (*sink) Full() bool      { return false }
func (*sink) Fail(byte)       {}

func benchmarkFanout(b *testing.B, qos byte) {
	b.Helper()
	const receivers = 200
	env, now := newEnv(session.Config{})
	var fan session.Fanout
	var sessions [receivers]*session.Session
	var sinks [receivers]sink
	for i := range sessions {
		sessions[i] = session.New("c", env, false)
		sessions[i].Attach(&sinks[i], session.Params{Version: 4, ReceiveMaximum: 10})
	}
	m := &message.Message{Topic: "a", Payload: make([]byte, 128), QoS: qos}
	b.ReportAllocs()
	for b.Loop() {
		o := fan.Begin(m, *now)
		for i, s := range sessions {
			s.Deliver(o, session.Delivery{QoS: qos})
			if qos > 0 {
				s.Acknowledge(&sinks[i], session.Puback, sinks[i].id, 0)
			}
		}
		fan.End(o)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/receivers, "ns/delivery")
}

func BenchmarkFanoutQoS0(b *testing.B) { benchmarkFanout(b, 0) }
func BenchmarkFanoutQoS1(b *testing.B) { benchmarkFanout(b, 1) }

func BenchmarkAppendPublish(b *testing.B) {
	for _, version := range []byte{4, 5} {
		b.Run(map[byte]string{4: "3.1.1", 5: "5.0"}[version], func(b *testing.B) {
			m := &message.Message{Topic: "site/berlin/machine/7", Payload: make([]byte, 128), Props: message.Properties{
				ContentType: "application/json", User: []message.UserProperty{{Key: "k", Value: "v"}},
			}}
			h := session.Header{Version: version, QoS: 1, PacketID: 1, Now: time.Now()}
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = session.AppendPublish(buf[:0], m, &h)
			}
		})
	}
}

// BenchmarkQueue lets a message wait in a session and go out again.
func BenchmarkQueue(b *testing.B) {
	env, now := newEnv(session.Config{})
	var fan session.Fanout
	s := session.New("c", env, false)
	var l sink
	m := &message.Message{Topic: "a", Payload: make([]byte, 128), QoS: 1}
	b.ReportAllocs()
	for b.Loop() {
		o := fan.Begin(m, *now)
		s.Deliver(o, session.Delivery{QoS: 1})
		fan.End(o)
		s.Attach(&l, session.Params{Version: 4, ReceiveMaximum: 1})
		s.Acknowledge(&l, session.Puback, l.id, 0)
		s.Detach(&l)
	}
}
