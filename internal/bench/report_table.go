package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A comparison is a table with a column for each server, and behind those one for each
// but the first that compares it with the first.

// tableHead is its first line.
func tableHead(servers []string, compared string) []string {
	head := append([]string{"scenario", "unit"}, servers...)
	for range servers[1:] {
		head = append(head, compared)
	}
	return head
}

// tableRow is one of the others.
func tableRow[C fmt.Stringer](name, unit string, cells []C, compare func(other C) string) []string {
	line := []string{name, unit}
	for _, c := range cells {
		line = append(line, c.String())
	}
	for _, c := range cells[1:] {
		line = append(line, compare(c))
	}
	return line
}

// writeTable prints the lines of a table as text, below its caption, or as Markdown, above
// it.
func writeTable(w io.Writer, lines [][]string, caption string, markdown bool) error {
	if markdown {
		return writeMarkdown(w, lines, caption)
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", caption); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		if _, err := fmt.Fprintln(tw, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

func writeMarkdown(w io.Writer, lines [][]string, caption string) error {
	for i, line := range lines {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | ")); err != nil {
			return err
		}
		if i == 0 {
			if _, err := fmt.Fprintf(w, "|---|---|%s\n", strings.Repeat("---:|", len(line)-2)); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", caption)
	return err
}
