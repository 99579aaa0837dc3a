package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Machine is what a comparison ran on; figures of two machines cannot be compared.
type Machine struct {
	CPU    string
	Cores  int
	Kernel string
	Go     string
}

func thisMachine() Machine {
	m := Machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), Kernel: runtime.GOOS, Go: runtime.Version()}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.SplitSeq(string(info), "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(release))
	}
	return m
}

// Caption says in one paragraph when, on what and how the table was measured.
func (c *Comparison) Caption() string {
	pinned := "not pinned to cores: the machine has only one, so broker and generator shared it"
	if c.Pinned {
		pinned = "the broker pinned to one core and the generator to another"
	}
	floor := ""
	if len(c.Floor) > 0 {
		floor = fmt.Sprintf(" A bare TCP echo in the broker's place has a median round trip of %.0f to %.0f µs here: a message cannot be faster, "+
			"and a request through a function takes two.", slices.Min(c.Floor), slices.Max(c.Floor))
	}
	return fmt.Sprintf("%s, measured %s on %s, %d cores, %s, %s; %s; 128-byte payloads, MQTT 3.1.1, TCP_NODELAY, %v a row, "+
		"a fresh process for each cell. The ratio is the first column divided by the other: below 1 is better, except for messages received and answers a second. "+
		"Requests are MQTT 5 at QoS 1; mosquitto's are answered by a bridge, a Go process on the broker's core with this program's MQTT client and net/http, "+
		"and the function runs beside the generator.%s",
		strings.Join(c.Brokers, " and "), c.Date.Format("2006-01-02"), c.Machine.CPU, c.Machine.Cores, c.Machine.Kernel, c.Machine.Go,
		pinned, c.Duration, floor)
}

// Write prints the table as text, or as Markdown.
func (c *Comparison) Write(w io.Writer, markdown bool) error {
	return writeTable(w, c.lines(), c.Caption(), markdown)
}

// lines is the table as cells, its head first.
func (c *Comparison) lines() [][]string {
	lines := [][]string{tableHead(c.Brokers, "ratio")}
	for _, r := range c.Rows {
		lines = append(lines, tableRow(r.Name, r.Unit, r.Cells, func(other Cell) string { return ratio(r.Cells[0].Values, other.Values) }))
	}
	return lines
}

// String is the cell's values, its speed if it has one, and everything that went wrong.
func (c Cell) String() string {
	if c.Err != nil {
		line, _, _ := strings.Cut(c.Err.Error(), "\n")
		return "failed: " + strings.ReplaceAll(line, "|", "/")
	}
	s := figures(c.Values, " / ")
	r := c.Result
	switch r.Scenario {
	case Latency:
		s += fmt.Sprintf(" (CPU %.0f %%)", r.Broker.CPUPercent)
	case Request:
		s += fmt.Sprintf(" (p99 %.0f µs, %.0f µs CPU)", r.Latency.P99, r.Broker.CPUMicrosPerMessage)
	case Connections:
		s += fmt.Sprintf(" (%s/s)", thousands(r.SetupRate))
	case Retained, Offline:
		s += fmt.Sprintf(" (%.0f ms)", 1e3*r.Seconds)
	default:
		s += fmt.Sprintf(" (%s/s)", thousands(r.PerSecond))
	}
	if faults := r.Faults(); faults != "" {
		s += ", " + faults
	}
	return s
}

// Faults lists what went wrong, such as "12 lost, 3 reordered"; empty if nothing did.
func (r *Result) Faults() string {
	var s []string
	for _, f := range []struct {
		n    uint64
		what string
	}{
		{r.Lost, "lost"},
		{r.Reordered, "reordered"},
		{r.Duplicate, "duplicates"},
		{r.Unacked, "not acknowledged"},
		{uint64(r.Failed), "connections failed"},
		{r.Stalls, "stalls"},
	} {
		if f.n > 0 {
			s = append(s, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	return strings.Join(s, ", ")
}

func ratio(a, b []float64) string {
	if len(a) == 0 || len(a) != len(b) {
		return "–"
	}
	var q []string
	for i := range a {
		if b[i] == 0 {
			return "–"
		}
		q = append(q, strconv.FormatFloat(a[i]/b[i], 'f', 2, 64))
	}
	return strings.Join(q, " / ")
}

// figures writes numbers with as many digits as they deserve.
func figures(values []float64, sep string) string {
	var s []string
	for _, v := range values {
		digits := 0
		switch {
		case v < 1:
			digits = 3
		case v < 10:
			digits = 2
		case v < 100:
			digits = 1
		}
		s = append(s, strconv.FormatFloat(v, 'f', digits, 64))
	}
	return strings.Join(s, sep)
}

func thousands(v float64) string {
	if v < 10_000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v/1000, 'f', 0, 64) + "k"
}
