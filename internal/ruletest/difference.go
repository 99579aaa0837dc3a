package ruletest

import (
	"slices"
	"strings"
)

func removed(text string) string { return marked("- ", text) }
func added(text string) string   { return marked("+ ", text) }

// marked puts a mark before every line.
func marked(mark, text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString(mark + line + "\n")
	}
	return b.String()
}

// around is how many lines that are the same are shown on each side of a difference.
const around = 3

// difference compares two texts line by line: "- " before lines of want alone, "+ "
// before lines of got alone, and a few lines that both have around them.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out strings.Builder
	same(&out, a[:head], false, true)
	middle(&out, a[head:len(a)-tail], b[head:len(b)-tail])
	same(&out, a[len(a)-tail:], true, false)
	return out.String()
}

// same writes lines that both have, those far from a difference left out. before and
// after say on which side there is one.
func same(out *strings.Builder, lines []string, before, after bool) {
	from, to := len(lines), 0
	if before {
		to = min(around, len(lines))
	}
	if after {
		from = max(len(lines)-around, 0)
	}
	if from-to == 1 {
		from = to // a line takes no more room than the dots
	}
	for i, line := range lines {
		switch {
		case i < to || i >= from:
			out.WriteString("  " + line + "\n")
		case i == to:
			out.WriteString("  ...\n")
		}
	}
}

// middle writes the lines between the first and the last difference, by their longest
// common subsequence; where that would take long, one after the other.
func middle(out *strings.Builder, a, b []string) {
	const most = 4 << 20 // cells of the table
	if len(a)*len(b) > most {
		out.WriteString(removed(strings.Join(a, "\n")) + added(strings.Join(b, "\n")))
		return
	}
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i, line := range slices.Backward(a) {
		for j := len(b) - 1; j >= 0; j-- {
			if line == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		begin := i
		for i < len(a) && j < len(b) && a[i] == b[j] {
			i++
			j++
		}
		same(out, a[begin:i], true, true)
		switch {
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out.WriteString("- " + a[i] + "\n")
			i++
		case j < len(b):
			out.WriteString("+ " + b[j] + "\n")
			j++
		}
	}
}
