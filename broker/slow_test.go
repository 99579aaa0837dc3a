package broker_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/broker"
)

// Fault 10: a subscriber that reads nothing holds up nobody, and the server can
// be stopped all the same.
func TestStuckSubscriberHoldsUpNobody(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		reg := prometheus.NewRegistry()
		s := serve(t, setup{
			limits: broker.Limits{WriteBuffer: 256 << 10, ShutdownTimeout: time.Second},
			opts:   broker.Options{Metrics: reg},
		})
		for i, qos := range []byte{0, 1, 2} {
			s.connect(v, "stuck"+strconv.Itoa(i)).subscribe("a", qos)
		}
		healthy := s.connect(v, "healthy")
		healthy.subscribe("a", 1)
		one, two := s.connect(v, "one"), s.connect(v, "two")
		payload := strings.Repeat("x", 32<<10)
		for range 300 { // ten megabytes: more than sockets and buffers hold
			for _, pub := range []*peer{one, two} {
				pub.publish("a", payload)
				healthy.ackPublish(packets.Puback, healthy.want(packets.Publish).PacketID)
			}
		}
		one.quiet()
		if metric(t, reg, "topicwire_broker_dropped_qos0_total") == 0 || metric(t, reg, "topicwire_broker_queued_messages") == 0 {
			t.Error("QoS 0 was not dropped, or QoS 1 and 2 did not wait")
		}
		if err := s.stop(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A client that lags for too long is disconnected, and its session keeps what it
// has not got.
func TestSlowConsumerIsDisconnected(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, setup{
		limits: broker.Limits{WriteBuffer: 256 << 10, SlowTimeout: time.Second},
		opts:   broker.Options{Metrics: reg},
	})
	slow := s.connect(5, "slow", persistent)
	slow.subscribe("a", 1)
	pub := s.connect(5, "pub")
	payload := strings.Repeat("x", 32<<10)
	const n = 400
	for range n {
		pub.publish("a", payload)
	}
	waitFor(t, func() bool { return metric(t, reg, "topicwire_broker_slow_consumers_total") == 1 })
	_ = slow.conn.Close()
	again := s.connect(5, "slow", persistent)
	for range n {
		again.ackPublish(packets.Puback, again.want(packets.Publish).PacketID)
	}
	again.quiet()
}

// waitFor waits until a condition holds that no packet announces.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it did not come to pass")
		}
	}
}

// metric is the value of a metric, that of all its labels together.
func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
