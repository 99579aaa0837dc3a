package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Caption says in one paragraph when, on what and how the table was measured.
func (c *PushComparison) Caption() string {
	return fmt.Sprintf("%s in front of the same HTTP origin, which runs in the load generator, measured %s on %s, %d cores shared by all, %s, %s; "+
		"%d-byte text messages, %v a row of echoes, pushpin with its limits raised (as shipped it drops bursts), a fresh process for each cell. "+
		"The last column says by how much the first server is better.",
		strings.Join(c.Servers, " and "), c.Date.Format("2006-01-02"), c.Machine.CPU, c.Machine.Cores, c.Machine.Kernel, c.Machine.Go,
		echoPayload, c.Duration)
}

// Write prints the table as text, or as Markdown.
func (c *PushComparison) Write(w io.Writer, markdown bool) error {
	if markdown {
		for i, line := range c.lines() {
			if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | ")); err != nil {
				return err
			}
			if i == 0 {
				if _, err := fmt.Fprintf(w, "|---|---|%s\n", strings.Repeat("---:|", len(line)-2)); err != nil {
					return err
				}
			}
		}
		_, err := fmt.Fprintf(w, "\n%s\n", c.Caption())
		return err
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", c.Caption()); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range c.lines() {
		if _, err := fmt.Fprintln(tw, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// lines is the table as cells, its head first.
func (c *PushComparison) lines() [][]string {
	head := append([]string{"scenario", "unit"}, c.Servers...)
	for range c.Servers[1:] {
		head = append(head, "better by")
	}
	lines := [][]string{head}
	for _, r := range c.Rows {
		line := []string{r.Name, r.Unit}
		for _, cell := range r.Cells {
			line = append(line, cell.String())
		}
		for _, cell := range r.Cells[1:] {
			line = append(line, r.better(cell))
		}
		lines = append(lines, line)
	}
	return lines
}

// better is by how much the first server's cell is better than another's.
func (r *PushRow) better(other PushCell) string {
	a, b := r.Cells[0].Value, other.Value
	if !r.More {
		a, b = b, a
	}
	if a <= 0 || b <= 0 {
		return "–"
	}
	return strconv.FormatFloat(a/b, 'f', 1, 64) + "×"
}

// String is the value, what belongs to it, and everything that went wrong.
func (c PushCell) String() string {
	if c.Failed != "" {
		return "failed: " + strings.ReplaceAll(c.Failed, "|", "/")
	}
	s := figures([]float64{c.Value}, "")
	if c.Detail != "" {
		s += " (" + c.Detail + ")"
	}
	if c.Faults != "" {
		s += ", " + c.Faults
	}
	return s
}
