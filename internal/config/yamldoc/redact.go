package yamldoc

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// secret is a value that came from the environment or a file.
type secret struct{ ref, value string }

// minBare is the length from which a value is hidden wherever it appears; a shorter
// one only where it stands in quotes, since it may be part of any word.
const minBare = 4

// keepSecret remembers a value that messages must not show. Of a text of several lines
// every line is one, and so are the forms that a message may give it.
func (l *Loader) keepSecret(ref, value string) {
	values := []string{value}
	if strings.Contains(value, "\n") {
		values = append(values, strings.Split(value, "\n")...)
	}
	for _, v := range values {
		v = strings.TrimSpace(v)
		for _, form := range []string{v, strings.Join(strings.Fields(v), ""), url.QueryEscape(v), url.PathEscape(v), strings.ToLower(v), strings.ToUpper(v)} {
			l.addSecret(ref, form)
		}
	}
}

func (l *Loader) addSecret(ref, v string) {
	if v != "" && !slices.Contains(l.secrets, secret{ref, v}) {
		l.secrets = append(l.secrets, secret{ref, v})
	}
}

// keepLiteral remembers a secret that stands in the file as it is. Messages may come into
// a log, so they show asterisks in its place; the file's owner should rather use ${...}.
func (l *Loader) keepLiteral(value string) {
	if len(value) >= minBare && !slices.Contains(l.literals, value) {
		l.literals = append(l.literals, value)
	}
}

// masked hides literal secrets in a line of the source, which keeps its length.
func (l *Loader) masked(line string) string {
	// The longest first: of a secret that begins with another one the rest would be left.
	for _, v := range slices.SortedFunc(slices.Values(l.literals), func(a, b string) int { return len(b) - len(a) }) {
		line = strings.ReplaceAll(line, v, strings.Repeat("*", len(v)))
	}
	return line
}

// redact puts the reference where a message shows what it stood for.
func (l *Loader) redact(message string) string {
	if message == "" || len(l.secrets) == 0 {
		return message
	}
	longest := slices.SortedFunc(slices.Values(l.secrets), func(a, b secret) int { return len(b.value) - len(a.value) })
	pairs := make([]string, 0, 6*len(longest))
	for _, s := range longest {
		quoted := strconv.Quote(s.value)
		pairs = append(pairs, quoted, `"`+s.ref+`"`)
		if len(s.value) >= minBare {
			pairs = append(pairs, s.value, s.ref, quoted[1:len(quoted)-1], s.ref)
		}
	}
	return strings.NewReplacer(pairs...).Replace(message)
}
