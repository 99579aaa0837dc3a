package rulesimport

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// writer writes YAML in the style of topicwire's own configurations. It is its own
// writer because goccy's encoder has no folded blocks and no comments between keys.
type writer struct{ b bytes.Buffer }

func (w *writer) bytes() []byte { return w.b.Bytes() }

// line writes one line.
func (w *writer) line(indent int, text string) {
	w.b.WriteString(strings.Repeat(" ", indent))
	w.b.WriteString(text)
	w.b.WriteByte('\n')
}

// comment writes a comment, a long one on several lines.
func (w *writer) comment(indent int, text string) {
	for _, l := range wrap(strings.Join(strings.Fields(printable(text)), " "), 100-indent) {
		w.line(indent, "# "+l)
	}
}

// printable keeps a text inside its comment: what YAML takes for the end of a line, or
// for no text, does not get in.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd {
			return ' '
		}
		return r
	}, text)
}

// text writes a key and its text; nothing if the text is empty.
func (w *writer) text(indent int, key, text string) {
	switch {
	case text == "":
	case strings.Contains(text, "\n") && blockSafe(text):
		w.line(indent, key+": |-")
		for l := range strings.SplitSeq(text, "\n") {
			w.line(indent+2, l)
		}
	case len(key)+len(text)+indent > 118 && foldSafe(text):
		w.line(indent, key+": >-")
		for _, l := range wrap(text, 100-indent) {
			w.line(indent+2, l)
		}
	default:
		w.line(indent, key+": "+quoted(text))
	}
}

// blockSafe reports whether a block scalar gives the text back as it is.
func blockSafe(text string) bool {
	for l := range strings.SplitSeq(text, "\n") {
		if l == "" || l != strings.TrimRight(l, " \t") || !isPrintable(l) || strings.ContainsRune(l, '\t') {
			return false
		}
	}
	return text[0] != ' '
}

// foldSafe reports whether a folded block gives the text back: its lines are joined by
// one blank.
func foldSafe(text string) bool {
	return isPrintable(text) && !strings.Contains(text, "  ") && !strings.ContainsAny(text, "\n\t") && text == strings.TrimSpace(text)
}

func isPrintable(text string) bool {
	return strings.ReplaceAll(text, "\t", " ") == printable(text)
}

// wrap breaks a text at blanks. Words that are longer stay whole.
func wrap(text string, width int) []string {
	var lines []string
	for len(text) > width {
		i := strings.LastIndexByte(text[:width+1], ' ')
		if i <= 0 {
			if i = strings.IndexByte(text, ' '); i <= 0 {
				break
			}
		}
		lines = append(lines, text[:i])
		text = text[i+1:]
	}
	return append(lines, text)
}

var (
	plainForm = regexp.MustCompile(`^[A-Za-z/_$][-A-Za-z0-9 _./$(){}*'"+=<>,!:%~^;?#]*$`)
	wordForm  = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n)$`)
)

// quoted is a text as it can stand behind a key.
func quoted(text string) string {
	if plainForm.MatchString(text) && !wordForm.MatchString(text) && !strings.Contains(text, ": ") && !strings.Contains(text, " #") && !strings.HasSuffix(text, ":") && !strings.HasSuffix(text, " ") {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case printable(string(r)) != string(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// escaped is a text of a function's settings: there ${ would be a reference.
func escaped(text string) string { return strings.ReplaceAll(text, "${", "$${") }
