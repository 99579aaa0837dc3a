package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a run measured. Its JSON form is what `bench --json` prints.
type Result struct {
	Scenario    Scenario `json:"scenario"`
	Server      string   `json:"server"`
	Protocol    string   `json:"protocol"`
	QoS         byte     `json:"qos"`
	PayloadSize int      `json:"payload_bytes"`
	Publishers  int      `json:"publishers,omitempty"`
	Subscribers int      `json:"subscribers,omitempty"`
	Window      int      `json:"window,omitempty"`
	Rate        float64  `json:"rate,omitempty"`

	Seconds   float64 `json:"seconds"`             // from the first message to the last arrival
	Sent      uint64  `json:"sent"`                // messages published; requests sent
	Received  uint64  `json:"received"`            // messages delivered, to all subscribers together; answers
	PerSecond float64 `json:"per_second"`          // Received in a second
	Expected  uint64  `json:"expected"`            // deliveries that there should have been
	Lost      uint64  `json:"lost"`                // expected and not received within 3 s after the last
	Reordered uint64  `json:"reordered"`           // came after a later message of the same publisher
	Duplicate uint64  `json:"duplicates"`          // came more than once
	Stalls    uint64  `json:"stalls"`              // times a publisher waited a second in vain
	Unacked   uint64  `json:"unacked"`             // messages whose acknowledgement never came
	Late      float64 `json:"late_ms,omitempty"`   // open loop: how late the generator itself was at worst, in ms
	Latency   *Quanta `json:"latency,omitempty"`   // open loop: from due to delivered; request: round trip
	Count     int     `json:"count,omitempty"`     // connections, filters, messages: what the scenario counts
	Failed    int     `json:"failed,omitempty"`    // connections that were refused
	SetupTime float64 `json:"setup_s,omitempty"`   // seconds to open connections, subscribe, retain or queue
	SetupRate float64 `json:"setup_per_s"`         // Count in a second during the set-up
	SetupRSS  int64   `json:"setup_rss,omitempty"` // bytes by which the broker's memory grew in the set-up

	Broker *BrokerUsage `json:"broker,omitempty"`
}

// BrokerUsage is what the broker's process used.
type BrokerUsage struct {
	CPUSeconds          float64 `json:"cpu_seconds"`
	CPUPercent          float64 `json:"cpu_percent"` // of one core
	CPUMicrosPerMessage float64 `json:"cpu_us_per_message,omitempty"`
	RSSBytes            int64   `json:"rss_bytes"`
	RSSGrowthBytes      int64   `json:"rss_growth_bytes"`
	BytesPerUnit        float64 `json:"bytes_each,omitempty"` // memory per connection or filter
}

// Quanta are the quantiles of a latency distribution, in microseconds.
type Quanta struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Max   float64 `json:"max_us"`
	Mean  float64 `json:"mean_us"`
}

// OK reports whether nothing was lost, reordered or delivered twice.
func (r *Result) OK() bool {
	return r.Lost == 0 && r.Reordered == 0 && r.Duplicate == 0 && r.Unacked == 0 && r.Failed == 0
}

func newResult(c *Config) *Result {
	r := &Result{
		Scenario: c.Scenario, Server: c.Target.String(), Protocol: c.Version.String(), QoS: c.QoS,
		PayloadSize: c.PayloadSize, Count: c.Count,
	}
	switch c.Scenario {
	case Connections:
		r.PayloadSize = 0
	case Retained, Offline:
		r.Publishers, r.Subscribers = 1, 1
	case Request:
		r.Window = c.Inflight
	default:
		r.Publishers, r.Subscribers, r.Rate = c.Publishers, c.Subscribers, c.Rate
		if c.Rate == 0 {
			r.Window = c.Window
		}
	}
	return r
}

// took sets the time of the load and the speed that follows from it.
func (r *Result) took(d time.Duration) {
	r.Seconds = d.Seconds()
	if d > 0 {
		r.PerSecond = float64(r.Received) / r.Seconds
	}
}

// setUp notes how long it took to open or store Count things.
func (r *Result) setUp(d time.Duration, n int) {
	r.SetupTime = d.Seconds()
	if d > 0 {
		r.SetupRate = float64(n) / r.SetupTime
	}
}

// newHistogram takes nanoseconds from 1 µs to a minute with three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1000, int64(time.Minute), 3)
}

func quanta(h *hdrhistogram.Histogram) *Quanta {
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
	return &Quanta{
		Count: h.TotalCount(), P50: us(50), P90: us(90), P99: us(99), P999: us(99.9),
		Max: float64(h.Max()) / 1e3, Mean: h.Mean() / 1e3,
	}
}
