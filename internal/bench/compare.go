package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Start starts one of the brokers of a comparison, with its files in dir, pinned to core.
type Start func(ctx context.Context, dir string, core int) (*Broker, error)

// CompareConfig says what to measure side by side.
type CompareConfig struct {
	Starts []Start // the first is compared to each of the others
	// Functions start the same brokers with what calls a function; without them those rows
	// are left out.
	Functions []StartFunction
	// Echo, if set, starts an echo like [StartEcho]'s, for [Comparison.Floor].
	Echo     func(ctx context.Context, core int) (*Broker, error)
	Duration time.Duration // of each closed or open loop
	Only     []string      // rows whose name contains one of these; empty: all
	Scale    int           // divides numbers of connections, filters and stored messages; 0 is 1
	// Started, if set, is told what begins.
	Started func(row, broker string)
}

// Comparison is a table: a row for each scenario, a cell for each broker.
type Comparison struct {
	Date     time.Time
	Machine  Machine
	Pinned   bool // broker on one core, generator on another
	Duration time.Duration
	// Floor is the median round trip in µs of a bare TCP echo in the broker's place, before
	// and after everything else: what a latency is to be held against. Empty: not measured.
	Floor   []float64
	Brokers []string
	Rows    []Row
}

// Row is one scenario.
type Row struct {
	Name  string
	Unit  string
	Cells []Cell
}

// Cell is what one broker did in one scenario.
type Cell struct {
	Result *Result
	Err    error
	// Values are what is compared, in the row's unit; empty if it failed.
	Values []float64
}

// ErrNoRow says that Only names nothing.
var ErrNoRow = errors.New("no scenario of the comparison is called so")

// scenarioRow is a row before it is measured.
type scenarioRow struct {
	name, unit string
	websocket  bool
	function   bool // requests are answered by a function
	config     Config
	values     func(*Result) []float64
}

// units of the rows.
const (
	unitCPU      = "µs CPU per message"
	unitLatency  = "µs p50 / p99"
	unitMemory   = "KB per connection"
	unitReceived = "received"
	unitRequests = "answers a second / µs p50"
)

func scenarioRows(c *CompareConfig) []scenarioRow {
	scale := max(1, c.Scale)
	cpu := func(r *Result) []float64 { return []float64{r.Broker.CPUMicrosPerMessage} }
	latency := func(r *Result) []float64 { return []float64{r.Latency.P50, r.Latency.P99} }
	memory := func(r *Result) []float64 { return []float64{r.Broker.BytesPerUnit / 1024} }
	received := func(r *Result) []float64 { return []float64{float64(r.Received - r.Duplicate)} }
	answers := func(r *Result) []float64 { return []float64{r.PerSecond, r.Latency.P50} }
	idle := 5000 / scale
	rows := []scenarioRow{
		{"1→1 QoS 0", unitCPU, false, false, Config{Scenario: Throughput}, cpu},
		{"1→1 QoS 1", unitCPU, false, false, Config{Scenario: Throughput, QoS: 1}, cpu},
		{"1→1 QoS 2", unitCPU, false, false, Config{Scenario: Throughput, QoS: 2}, cpu},
		{"1→1 QoS 0, WebSocket", unitCPU, true, false, Config{Scenario: Throughput}, cpu},
		{"50→1 QoS 0", unitCPU, false, false, Config{Scenario: FanIn}, cpu},
		{"50→1 QoS 1", unitCPU, false, false, Config{Scenario: FanIn, QoS: 1}, cpu},
		{"1→200 QoS 0, per delivery", unitCPU, false, false, Config{Scenario: FanOut}, cpu},
		{"1→200 QoS 0, WebSocket", unitCPU, true, false, Config{Scenario: FanOut}, cpu},
		{"50 pairs QoS 1", unitCPU, false, false, Config{Scenario: Pairs, QoS: 1}, cpu},
		{fmt.Sprintf("%d other filters, one matches", 50000/scale), unitCPU, false, false, Config{Scenario: Subs, Count: 50000 / scale}, cpu},
		{"latency QoS 1 at 2,000/s", unitLatency, false, false, Config{Scenario: Latency, QoS: 1}, latency},
		{"latency QoS 1 at 2,000/s, WebSocket", unitLatency, true, false, Config{Scenario: Latency, QoS: 1}, latency},
		{fmt.Sprintf("%d idle connections, TCP", idle), unitMemory, false, false, Config{Scenario: Connections, Count: idle}, memory},
		{fmt.Sprintf("%d idle connections, WebSocket", idle), unitMemory, true, false, Config{Scenario: Connections, Count: idle}, memory},
		{fmt.Sprintf("%d retained messages", 20000/scale), unitReceived, false, false, Config{Scenario: Retained, Count: 20000 / scale}, received},
		{fmt.Sprintf("%d queued offline", 20000/scale), unitReceived, false, false, Config{Scenario: Offline, QoS: 1, Count: 20000 / scale}, received},
	}
	if len(c.Functions) == 0 {
		return rows
	}
	for _, n := range []int{1, 64} {
		config := Config{Scenario: Request, QoS: 1, Topic: RequestTopic, Inflight: n}
		rows = append(rows, scenarioRow{fmt.Sprintf("request → HTTP function → answer, %d at a time", n), unitRequests, false, true, config, answers})
	}
	return rows
}

// Compare measures every scenario on every broker, one after the other: each cell on a process of its
// own, so that no row inherits another's memory. With two cores and more the broker is pinned to
// the first and the generator, that is this process, to the second. A cell that fails is part of the
// table; a broker that does not start ends the comparison.
func Compare(ctx context.Context, c CompareConfig) (*Comparison, error) {
	rows := scenarioRows(&c)
	if len(c.Only) > 0 {
		rows = only(rows, c.Only)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoRow, strings.Join(c.Only, ", "))
	}
	table := &Comparison{Date: time.Now(), Machine: thisMachine(), Duration: c.Duration, Brokers: make([]string, len(c.Starts))}
	core := -1
	if own := cores(); len(own) > 1 {
		undo, err := pinSelf(own[1])
		if err != nil {
			return nil, err
		}
		defer undo()
		core, table.Pinned = own[0], true
	}
	if err := raiseFileLimit(); err != nil {
		return nil, err
	}
	if err := table.measureFloor(ctx, &c, core); err != nil {
		return nil, err
	}
	for _, s := range rows {
		row := Row{Name: s.name, Unit: s.unit}
		for i := range c.Starts {
			cell, name, err := compareCell(ctx, &c, s, i, core)
			if err != nil {
				return nil, err
			}
			if table.Brokers[i] == "" {
				table.Brokers[i] = name
			}
			row.Cells = append(row.Cells, cell)
		}
		table.Rows = append(table.Rows, row)
	}
	return table, table.measureFloor(ctx, &c, core)
}

func only(rows []scenarioRow, names []string) (kept []scenarioRow) {
	for _, r := range rows {
		for _, n := range names {
			if strings.Contains(strings.ToLower(r.name), strings.ToLower(n)) {
				kept = append(kept, r)
				break
			}
		}
	}
	return kept
}

// compareCell measures one scenario on the i-th broker.
func compareCell(ctx context.Context, c *CompareConfig, s scenarioRow, i, core int) (cell Cell, name string, err error) {
	dir, err := os.MkdirTemp("", "topicwire-bench-")
	if err != nil {
		return cell, "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	start := c.Starts[i]
	if s.function {
		url, stop, err := echoFunction(ctx)
		if err != nil {
			return cell, "", err
		}
		defer stop()
		start = func(ctx context.Context, dir string, core int) (*Broker, error) {
			return c.Functions[i](ctx, dir, core, url)
		}
	}
	b, err := start(ctx, dir, core)
	if err != nil {
		return cell, "", err
	}
	if c.Started != nil {
		c.Started(s.name, b.Name)
	}
	s.config.Target, s.config.PID, s.config.Duration = b.TCP, b.PID, c.Duration
	s.config.beside = b.pids()[1:]
	if s.websocket {
		s.config.Target = b.WS
	}
	if s.config.Scenario == Connections {
		s.config.Duration = min(time.Second, c.Duration) // its memory does not change any more
	}
	cell.Result, cell.Err = Run(ctx, s.config)
	if stopped := b.Stop(); stopped != nil { // says more than the connection that broke
		cell.Result, cell.Err = nil, stopped
	}
	if cell.Result != nil {
		cell.Values = s.values(cell.Result)
	}
	return cell, b.Name, ctx.Err()
}
