package bench_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/internal/bench"
	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScenarios(t *testing.T) {
	b := testkit.Mosquitto(t)
	short := 150 * time.Millisecond
	tests := map[string]bench.Config{
		"throughput q0":      {Scenario: bench.Throughput, Duration: short},
		"throughput q1":      {Scenario: bench.Throughput, Duration: short, QoS: 1},
		"throughput q2":      {Scenario: bench.Throughput, Messages: 500, QoS: 2},
		"throughput v5":      {Scenario: bench.Throughput, Duration: short, QoS: 1, Version: mqttclient.V5},
		"throughput ws":      {Scenario: bench.Throughput, Duration: short, QoS: 1, Target: b.WS},
		"throughput window1": {Scenario: bench.Throughput, Messages: 200, QoS: 1, Window: 1},
		"throughput 5 KB":    {Scenario: bench.Throughput, Duration: short, PayloadSize: 5000},
		"throughput 200 KB":  {Scenario: bench.Throughput, Messages: 20, Window: 10, PayloadSize: 200_000},
		"fanout":             {Scenario: bench.FanOut, Messages: 100, Subscribers: 20},
		"fanin":              {Scenario: bench.FanIn, Messages: 200, Publishers: 10, QoS: 1},
		"pairs":              {Scenario: bench.Pairs, Messages: 200, Publishers: 10, QoS: 1},
		"subs":               {Scenario: bench.Subs, Duration: short, Count: 1000},
		"latency":            {Scenario: bench.Latency, Duration: 2 * short, QoS: 1},
		"request":            {Scenario: bench.Request, Messages: 200, QoS: 1, Inflight: 8},
		"request q2":         {Scenario: bench.Request, Messages: 100, QoS: 2, Inflight: 4},
		"connections":        {Scenario: bench.Connections, Count: 50, Duration: short},
		"connections ws":     {Scenario: bench.Connections, Count: 50, Duration: short, Target: b.WS},
		"retained":           {Scenario: bench.Retained, Count: 500},
		"offline":            {Scenario: bench.Offline, Count: 900, QoS: 1, Version: mqttclient.V5},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			if c.Target.Scheme == "" {
				c.Target = b.TCP
			}
			c.PID = b.PID
			r, err := bench.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v %+v %+v", r, r.Broker, r.Latency)
			if !r.OK() {
				t.Errorf("on loopback, with unlimited queues, something went wrong: %+v", r)
			}
			if c.Scenario == bench.Connections {
				if r.Count != c.Count || r.SetupRate <= 0 || r.Broker == nil {
					t.Errorf("connections not measured: %+v", r)
				}
				return
			}
			if r.Received == 0 || r.Received != r.Expected || r.PerSecond <= 0 {
				t.Errorf("received %d of %d", r.Received, r.Expected)
			}
			if n := uint64(c.Messages * max(1, c.Publishers)); n > 0 && r.Sent != n {
				t.Errorf("sent %d of %d messages", r.Sent, n)
			}
			if (c.Scenario == bench.Latency || c.Scenario == bench.Request) && (r.Latency.Count == 0 || r.Latency.P50 > r.Latency.Max) {
				t.Errorf("latency not measured: %+v", r.Latency)
			}
		})
	}
}
