package yamldoc

import (
	"fmt"
	"strings"
)

// maxListed is how many known keys a message lists.
const maxListed = 12

// Nearest finds the candidate that is so close to word that it was probably meant: one with
// few letters changed, or the only one that begins with it.
func Nearest(word string, candidates []string) (string, bool) {
	best, distance := "", len(word)/3+2
	begin := 0
	var longer string
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(c), distance); d < distance {
			best, distance = c, d
		}
		if len(word) >= minPrefix && strings.HasPrefix(strings.ToLower(c), strings.ToLower(word)) {
			begin, longer = begin+1, c
		}
	}
	if best == "" && begin == 1 {
		best = longer
	}
	return best, best != ""
}

// minPrefix is from how many letters on a word may be the beginning of another.
const minPrefix = 3

// Suggest is the remedy for a word that is none of known: the nearest one, or all of
// them if they are few.
func Suggest(word string, known []string) string {
	if near, ok := Nearest(word, known); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) > 0 && len(known) <= maxListed {
		return "known here: " + strings.Join(known, ", ")
	}
	return ""
}

// editDistance counts the characters to insert, remove, replace or swap with their
// neighbour to make b of a. It gives up at limit.
func editDistance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
