package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// PushServer is something that holds plain WebSockets for an HTTP origin: a process that we
// started, and its children.
type PushServer struct {
	*Broker // its process; TCP and WS are where clients connect and where messages are published

	// Publish is the URL that takes POSTed items.
	Publish string
	// Path is where the origin's WebSockets are.
	Path string
}

// PushStart starts one of the servers of a comparison, with its files in dir, in front of the
// origin at the given address.
type PushStart func(ctx context.Context, dir, origin string) (*PushServer, error)

// PushConfig says what to measure side by side.
type PushConfig struct {
	Starts   []PushStart   // the first is compared to each of the others
	Duration time.Duration // of each closed loop
	Only     []string      // rows whose name contains one of these; empty: all
	Scale    int           // divides the numbers of connections and messages; 0 is 1
	// Started, if set, is told what begins.
	Started func(row, server string)
}

// PushComparison is a table: rows of figures, a cell for each server.
type PushComparison struct {
	Date     time.Time     `json:"date"`
	Machine  Machine       `json:"machine"`
	Duration time.Duration `json:"duration_ns"`
	Servers  []string      `json:"servers"`
	Rows     []PushRow     `json:"rows"`
}

// PushRow is one figure of every server.
type PushRow struct {
	Name  string     `json:"name"`
	Unit  string     `json:"unit"`
	More  bool       `json:"more_is_better"`
	Cells []PushCell `json:"cells"`
}

// PushCell is what one server did.
type PushCell struct {
	Value  float64 `json:"value"`
	Detail string  `json:"detail,omitempty"` // latency, CPU time
	Faults string  `json:"faults,omitempty"` // what was lost, or failed
	Failed string  `json:"failed,omitempty"` // why there is no value
}

// pushScenario measures one or more rows on one server.
type pushScenario struct {
	rows []PushRow // their names and units
	run  func(ctx context.Context, p *pushRun) ([]PushCell, error)
}

// pushRun is what a scenario gets.
type pushRun struct {
	server   *PushServer
	duration time.Duration
}

// units of the rows.
const (
	unitRoundTrips = "round trips/s"
	unitPushMemory = "KB per connection"
	unitConnects   = "connections/s"
	unitDeliveries = "deliveries/s"
)

func pushScenarios(c *PushConfig) []pushScenario {
	scale := max(1, c.Scale)
	echo := func(n int) pushScenario {
		name := fmt.Sprintf("echo, %s", count(n, "connection"))
		return pushScenario{
			rows: []PushRow{{Name: name, Unit: unitRoundTrips, More: true}},
			run:  func(ctx context.Context, p *pushRun) ([]PushCell, error) { return pushEcho(ctx, p, n) },
		}
	}
	fanOut := func(n int, name string, perRequest int) pushScenario {
		return pushScenario{
			rows: []PushRow{{Name: fmt.Sprintf(name, burstSize, n), Unit: unitDeliveries, More: true}},
			run:  func(ctx context.Context, p *pushRun) ([]PushCell, error) { return pushFanOut(ctx, p, n, perRequest) },
		}
	}
	idle, holders := max(10, 5000/scale), max(5, 500/scale)
	return []pushScenario{
		echo(1),
		echo(50),
		{
			rows: []PushRow{
				{Name: fmt.Sprintf("connecting %d", idle), Unit: unitConnects, More: true},
				{Name: fmt.Sprintf("%d idle connections", idle), Unit: unitPushMemory},
			},
			run: func(ctx context.Context, p *pushRun) ([]PushCell, error) { return pushIdle(ctx, p, idle) },
		},
		fanOut(holders, "bursts of %d messages to %d connections", burstSize),
		fanOut(holders, "%d messages to %d, a request each", 1),
	}
}

// ComparePush measures every scenario on every server, one after the other: each on a process of its
// own, in front of the same origin, which runs in this process. Nothing is pinned to a core, since
// one of the servers may be several processes. What fails is part of the table; a server that does
// not start ends the comparison.
func ComparePush(ctx context.Context, c PushConfig) (*PushComparison, error) {
	scenarios := pushScenarios(&c)
	if len(c.Only) > 0 {
		scenarios = onlyPush(scenarios, c.Only)
	}
	if len(scenarios) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoRow, strings.Join(c.Only, ", "))
	}
	if err := raiseFileLimit(); err != nil {
		return nil, err
	}
	origin, err := startOrigin(ctx)
	if err != nil {
		return nil, err
	}
	defer origin.close()
	table := &PushComparison{Date: time.Now(), Machine: thisMachine(), Duration: c.Duration, Servers: make([]string, len(c.Starts))}
	for _, s := range scenarios {
		rows := s.rows
		for i, start := range c.Starts {
			cells, name, err := pushCells(ctx, &c, s, start, origin.address)
			if err != nil {
				return nil, err
			}
			table.Servers[i] = name
			for r := range rows {
				rows[r].Cells = append(rows[r].Cells, cells[r])
			}
		}
		table.Rows = append(table.Rows, rows...)
	}
	return table, nil
}

func onlyPush(scenarios []pushScenario, names []string) (kept []pushScenario) {
	for _, s := range scenarios {
		for _, r := range s.rows {
			if len(only([]scenarioRow{{name: r.Name}}, names)) > 0 {
				kept = append(kept, s)
				break
			}
		}
	}
	return kept
}

// pushCells measures one scenario on one server.
func pushCells(ctx context.Context, c *PushConfig, s pushScenario, start PushStart, origin string) (cells []PushCell, name string, err error) {
	dir, err := os.MkdirTemp("", "topicwire-bench-")
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := start(ctx, dir, origin)
	if err != nil {
		return nil, "", err
	}
	if c.Started != nil {
		c.Started(s.rows[0].Name, server.Name)
	}
	cells, err = s.run(ctx, &pushRun{server: server, duration: c.Duration})
	if stopped := server.Stop(); stopped != nil { // says more than the connection that broke
		err = stopped
	}
	if err == nil || ctx.Err() != nil {
		return cells, server.Name, ctx.Err()
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	cells = make([]PushCell, len(s.rows))
	for i := range cells {
		cells[i].Failed = why
	}
	return cells, server.Name, nil
}

// errPush says that a server did not do what its protocol says.
var errPush = errors.New("the push server answered wrongly")
