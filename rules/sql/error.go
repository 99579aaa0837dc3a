package sql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error says why a statement or template is refused, or, as a warning, what in it
// will never give a value.
type Error struct {
	// Line and Column are where the wrong token starts, counted from 1; the column
	// in characters.
	Line, Column int
	// Message says what is wrong and what was expected.
	Message string
	// Snippet is the source line and, in a second line, a caret under the place.
	Snippet string
}

// Error gives the place and the message: line:column: message.
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// newError describes the token that begins at the byte offset at of src.
func newError(src string, at int, message string) *Error {
	at = min(max(at, 0), len(src))
	before := src[:at]
	start := strings.LastIndexByte(before, '\n') + 1
	line := src[start:]
	if end := strings.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	column := utf8.RuneCountInString(before[start:]) + 1
	return &Error{
		Line:    strings.Count(before, "\n") + 1,
		Column:  column,
		Message: message,
		Snippet: snippet([]rune(strings.TrimSuffix(line, "\r")), column),
	}
}

// snippet shows the part of a line around a column, with a caret below it.
func snippet(line []rune, column int) string {
	caret := min(column-1, len(line))
	head, tail := "", ""
	if len(line) > maxSnippet {
		from := min(max(caret-maxSnippet/2, 0), len(line)-maxSnippet)
		if from+maxSnippet < len(line) {
			tail = "…"
		}
		line = line[from : from+maxSnippet]
		if caret -= from; from > 0 {
			head = "…"
			caret++
		}
	}
	shown := []rune(head + string(line) + tail)
	pad := make([]rune, caret)
	for i := range pad {
		pad[i] = ' '
		if i < len(shown) && shown[i] == '\t' {
			pad[i] = '\t' // so that the caret stands right whatever a tab's width
		}
	}
	return string(shown) + "\n" + string(pad) + "^"
}

// nearest finds the candidate that is so close to word that it was probably meant.
func nearest(word string, candidates []string) (string, bool) {
	best, distance := "", len(word)/3+2
	if len(word) > maxMeant {
		return "", false
	}
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(c), distance); d < distance {
			best, distance = c, d
		}
	}
	return best, best != ""
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
