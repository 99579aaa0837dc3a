package bench_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/bench"
	"github.com/topicwire/topicwire/internal/mqttclient"
)

// fake is a broker of QoS 0 with one topic for all, whose deliver decides what
// subscribers get for each message.
type fake struct {
	deliver func(n int, packet []byte) [][]byte

	mu          sync.Mutex
	subscribers []net.Conn
	n           int
	wg          sync.WaitGroup
}

// start listens until the test ends.
func (f *fake) start(t *testing.T) mqttclient.Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.wg.Wait()
	})
	target, err := mqttclient.ParseURL("mqtt://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	in := mqttclient.NewReader(c, 64<<10, 0)
	for {
		first, body, err := in.Next()
		if err != nil {
			return
		}
		var answer mqttclient.Packet
		switch mqttclient.Type(first >> 4) {
		case mqttclient.CONNECT:
			answer = &mqttclient.Connack{}
		case mqttclient.SUBSCRIBE:
			f.mu.Lock()
			f.subscribers = append(f.subscribers, c)
			f.mu.Unlock()
			answer = &mqttclient.Suback{Kind: mqttclient.SUBACK, PacketID: 1, Reasons: []mqttclient.Reason{0}}
		case mqttclient.PUBLISH:
			packet := append(mqttclient.AppendVarint([]byte{first}, len(body)), body...)
			f.mu.Lock()
			for _, p := range f.deliver(f.n, packet) {
				for _, s := range f.subscribers {
					_, _ = s.Write(p)
				}
			}
			f.n++
			f.mu.Unlock()
			continue
		default:
			return
		}
		b, _ := answer.Append(nil, mqttclient.V311)
		_, _ = c.Write(b)
	}
}

func TestFaultsAreCounted(t *testing.T) {
	tests := map[string]struct {
		deliver                     func() func(int, []byte) [][]byte
		received                    uint64
		lost, reordered, duplicates uint64
	}{
		"faithful": {func() func(int, []byte) [][]byte {
			return func(_ int, p []byte) [][]byte { return [][]byte{p} }
		}, 100, 0, 0, 0},
		"drops every tenth": {func() func(int, []byte) [][]byte {
			return func(n int, p []byte) [][]byte {
				if n%10 == 9 {
					return nil
				}
				return [][]byte{p}
			}
		}, 90, 10, 0, 0},
		"doubles every tenth": {func() func(int, []byte) [][]byte {
			return func(n int, p []byte) [][]byte {
				if n%10 == 9 {
					return [][]byte{p, p}
				}
				return [][]byte{p}
			}
		}, 110, 0, 0, 10},
		"swaps every tenth with the next": {func() func(int, []byte) [][]byte {
			var kept []byte
			return func(n int, p []byte) [][]byte {
				switch n % 10 {
				case 3:
					kept = slices.Clone(p)
					return nil
				case 4:
					return [][]byte{p, kept}
				}
				return [][]byte{p}
			}
		}, 100, 0, 10, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fake{deliver: tt.deliver()}
			r, err := bench.Run(t.Context(), bench.Config{Scenario: bench.Throughput, Target: f.start(t), Messages: 100})
			if err != nil {
				t.Fatal(err)
			}
			if r.Received != tt.received || r.Lost != tt.lost || r.Reordered != tt.reordered || r.Duplicate != tt.duplicates {
				t.Errorf("%d received, %d lost, %d reordered, %d doubled; want %d, %d, %d, %d",
					r.Received, r.Lost, r.Reordered, r.Duplicate, tt.received, tt.lost, tt.reordered, tt.duplicates)
			}
			if bad := tt.lost+tt.reordered+tt.duplicates > 0; r.OK() == bad || (r.Faults() != "") != bad {
				t.Errorf("OK %t, faults %q", r.OK(), r.Faults())
			}
			var table strings.Builder
			if err := r.Write(&table); err != nil || !strings.Contains(table.String(), "faults") {
				t.Errorf("table %q, %v", table.String(), err)
			}
		})
	}
}

// TestStallCountsForAllItDelays: a broker that keeps everything back until the hundredth
// message has come delays the first by at least the time that those take at the given rate.
func TestStallCountsForAllItDelays(t *testing.T) {
	var kept [][]byte
	f := &fake{deliver: func(n int, p []byte) [][]byte {
		if n < 400 || n > 500 {
			return [][]byte{p}
		}
		kept = append(kept, slices.Clone(p))
		if n < 500 {
			return nil
		}
		return kept
	}}
	r, err := bench.Run(t.Context(), bench.Config{
		Scenario: bench.Latency, Target: f.start(t), Messages: 600, Rate: 1000, Duration: 100 * time.Millisecond, // warm-up 10 ms
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Received != 600 || r.Latency.Max < 100_000 || r.Latency.P90 < 10_000 {
		t.Errorf("a stall of 100 messages does not show: %d received, %+v", r.Received, r.Latency)
	}
}

func TestLostWindowIsGivenUp(t *testing.T) {
	f := &fake{deliver: func(n int, p []byte) [][]byte {
		if n < 10 {
			return nil // as many as the window takes
		}
		return [][]byte{p}
	}}
	r, err := bench.Run(t.Context(), bench.Config{Scenario: bench.Throughput, Target: f.start(t), Messages: 50, Window: 10})
	if err != nil {
		t.Fatal(err)
	}
	if r.Stalls != 1 || r.Lost != 10 || r.Received != 40 {
		t.Errorf("%d stalls, %d lost, %d received", r.Stalls, r.Lost, r.Received)
	}
}

func TestBrokenConnectionEndsTheRun(t *testing.T) {
	f := &fake{}
	f.deliver = func(n int, _ []byte) [][]byte {
		if n == 0 {
			for _, s := range f.subscribers {
				_ = s.Close()
			}
		}
		return nil
	}
	_, err := bench.Run(t.Context(), bench.Config{Scenario: bench.Throughput, Target: f.start(t)})
	if err == nil || !strings.Contains(err.Error(), "subscriber 0") {
		t.Errorf("got %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	f := &fake{deliver: func(int, []byte) [][]byte { return nil }}
	target := f.start(t)
	for _, s := range []bench.Scenario{bench.Throughput, bench.Latency, bench.Connections, bench.FanOut} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := bench.Run(ctx, bench.Config{Scenario: s, Target: target, Duration: time.Hour, Count: 10})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]bench.Config{
		"no scenario": {},
		"unknown":     {Scenario: "juggle"},
		"QoS":         {Scenario: bench.Throughput, QoS: 3},
		"payload":     {Scenario: bench.Throughput, PayloadSize: 19},
		"window":      {Scenario: bench.Throughput, Window: 40000},
		"offline q0":  {Scenario: bench.Offline},
		"topic":       {Scenario: bench.FanIn, Topic: "a"},
	} {
		if _, err := bench.Run(t.Context(), c); !errors.Is(err, bench.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := bench.Run(t.Context(), bench.Config{Scenario: bench.Throughput, Target: (&fake{}).start(t), PID: 1 << 30}); !errors.Is(err, bench.ErrProc) {
		t.Errorf("a process that does not exist: %v", err)
	}
}
