package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Write prints a result as a table of two columns.
func (r *Result) Write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range r.lines() {
		if _, err := fmt.Fprintf(tw, "%s\t%s\n", l[0], l[1]); err != nil {
			return err
		}
	}
	return tw.Flush()
}

func (r *Result) lines() (lines [][2]string) {
	add := func(name, format string, args ...any) {
		lines = append(lines, [2]string{name, fmt.Sprintf(format, args...)})
	}
	if r.Scenario == Connections {
		add("scenario", "%s, %s, %s", r.Scenario, r.Server, r.Protocol)
		add("opened", "%d of %d in %.2f s, %.0f/s", r.Count-r.Failed, r.Count, r.SetupTime, r.SetupRate)
	} else {
		add("scenario", "%s, %s, %s, QoS %d, %d-byte payloads", r.Scenario, r.Server, r.Protocol, r.QoS, r.PayloadSize)
		r.load(add)
	}
	if q := r.Latency; q != nil {
		add("latency", "p50 %.0f µs, p90 %.0f, p99 %.0f, p99.9 %.0f, max %.0f (%d messages)", q.P50, q.P90, q.P99, q.P999, q.Max, q.Count)
	}
	if r.Late > 0 {
		add("generator", "at worst %.2f ms late; this is part of the latency", r.Late)
	}
	if faults := r.Faults(); faults != "" {
		add("faults", "%s", faults)
	} else {
		add("faults", "none: nothing lost, reordered or doubled")
	}
	if b := r.Broker; b != nil {
		r.usage(b, add)
	}
	return lines
}

func (r *Result) load(add func(name, format string, args ...any)) {
	switch r.Scenario {
	case Subs:
		add("other filters", "%d, subscribed in %.2f s", r.Count, r.SetupTime)
	case Retained:
		add("retained", "%d messages in %.2f s, %.0f/s", r.Count, r.SetupTime, r.SetupRate)
	case Offline:
		add("queued", "%d messages in %.2f s, %.0f/s", r.Count, r.SetupTime, r.SetupRate)
	case Request:
		add("in flight", "%d requests", r.Window)
	default:
	}
	clients := fmt.Sprintf("%s, %s", count(r.Publishers, "publisher"), count(r.Subscribers, "subscriber"))
	switch {
	case r.Rate > 0:
		add("clients", "%s, %.0f messages/s in all", clients, r.Rate)
	case r.Window > 0 && r.Publishers > 0:
		add("clients", "%s, window %d", clients, r.Window)
	}
	add("sent", "%d in %.2f s", r.Sent, r.Seconds)
	add("received", "%d of %d, %.0f/s", r.Received, r.Expected, r.PerSecond)
}

func (r *Result) usage(b *BrokerUsage, add func(name, format string, args ...any)) {
	if b.CPUMicrosPerMessage > 0 {
		add("broker CPU", "%.2f s (%.0f %% of a core), %.2f µs per message received", b.CPUSeconds, b.CPUPercent, b.CPUMicrosPerMessage)
	} else {
		add("broker CPU", "%.2f s (%.1f %% of a core)", b.CPUSeconds, b.CPUPercent)
	}
	memory := fmt.Sprintf("%.1f MB", float64(b.RSSBytes)/(1<<20))
	if b.BytesPerUnit > 0 {
		memory += fmt.Sprintf(", %.0f bytes each", b.BytesPerUnit)
	}
	add("broker memory", "%s", memory)
}

// count writes a number and what it counts.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
