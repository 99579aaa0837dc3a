package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
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
	return writeTable(w, c.lines(), c.Caption(), markdown)
}

// lines is the table as cells, its head first.
func (c *PushComparison) lines() [][]string {
	lines := [][]string{tableHead(c.Servers, "better by")}
	for _, r := range c.Rows {
		lines = append(lines, tableRow(r.Name, r.Unit, r.Cells, r.better))
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
