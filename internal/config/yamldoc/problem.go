package yamldoc

import (
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file. Line and Column count from 1, the column in
// characters; a Line of 0 means the file as a whole.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String writes file:line:column, as compilers do, or the file alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one thing that is wrong with a document.
type Problem struct {
	Position
	// Path leads to the value from the document's root, for instance
	// "functions.hello.timeout"; empty for the root and for syntax errors.
	Path string `json:"path,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Remedy says what to do about it; may be empty.
	Remedy string `json:"remedy,omitempty"`
	// Source is the line that Position points into, as it stands in the file.
	Source string `json:"source,omitempty"`
	// Warning: it works, but hardly as meant.
	Warning bool `json:"warning,omitempty"`

	file int // the file's place in the order of loading
}

// String writes the problem in one line, and the source line and a caret below it.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Position.String())
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message)
	if p.Remedy != "" {
		b.WriteString("; ")
		b.WriteString(p.Remedy)
	}
	if p.Line > 0 {
		line, caret := snippet(p.Source, p.Column)
		b.WriteString("\n    " + line + "\n    " + caret)
	}
	return b.String()
}

// Problems is everything that is wrong, as one error. It is ordered by file, in the
// order of loading, then by line and column.
type Problems []Problem

// Error writes all problems, one below the other.
func (p Problems) Error() string {
	all := make([]string, len(p))
	for i, one := range p {
		all[i] = one.String()
	}
	return strings.Join(all, "\n")
}

// sorted puts problems in order and drops repetitions.
func sorted(p Problems) Problems {
	p = slices.Clone(p)
	slices.SortStableFunc(p, func(a, b Problem) int {
		if a.file != b.file {
			return a.file - b.file
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	type key struct {
		Position
		message string
	}
	seen := make(map[key]bool, len(p))
	return slices.DeleteFunc(p, func(one Problem) bool {
		k := key{one.Position, one.Message}
		was := seen[k]
		seen[k] = true
		return was
	})
}

// maxSnippet is how many characters of a source line are shown.
const maxSnippet = 110

// snippet gives the part of a line around a column, and a line with a caret for it.
func snippet(source string, column int) (line, caret string) {
	text := []rune(source)
	at := min(max(column-1, 0), len(text))
	head, tail := "", ""
	if len(text) > maxSnippet {
		from := min(max(at-maxSnippet/2, 0), len(text)-maxSnippet)
		if from+maxSnippet < len(text) {
			tail = "…"
		}
		text = text[from : from+maxSnippet]
		if at -= from; from > 0 {
			head = "…"
		}
	}
	pad := make([]rune, at)
	for i := range pad {
		pad[i] = ' '
		if text[i] == '\t' {
			pad[i] = '\t' // so that the caret stands right whatever a tab's width
		}
	}
	for i, r := range text {
		if r < ' ' && r != '\t' || r == 0x7f {
			text[i] = '�' // no control sequence of a file reaches a terminal
		}
	}
	if head != "" {
		pad = append([]rune{' '}, pad...)
	}
	return head + string(text) + tail, string(pad) + "^"
}
