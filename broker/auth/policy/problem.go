package policy

import (
	"fmt"
	"strings"
)

// problem is what is wrong with a piece of a document, and what to do about it.
type problem struct{ message, remedy string }

func problemf(remedy, format string, args ...any) *problem {
	return &problem{fmt.Sprintf(format, args...), remedy}
}

// Error is for documents that have no file to point into.
func (p *problem) Error() string {
	if p.remedy == "" {
		return p.message
	}
	return p.message + "; " + p.remedy
}

// suggest is the remedy for a word that is none of known: the nearest one, or all of
// them if they are few.
func suggest(word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance counts the characters to insert, remove or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
