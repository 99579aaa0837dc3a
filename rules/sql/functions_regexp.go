package sql

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// regexpFunctions use regular expressions. AWS has Java's dialect; here RE2 runs it
// (https://github.com/google/re2/wiki/Syntax), which has no look-around, no
// back-references and no possessive quantifiers. A literal pattern that needs those is
// refused; a pattern that comes from a message and needs them, and any pattern that
// Java refuses, gives Undefined. What else the two read differently, [javaPattern]
// rewrites.
func regexpFunctions() []Function {
	lint := func(arg int, v value) (string, bool) {
		if arg != 1 || v.kind != kindString {
			return "", false
		}
		_, err := compilePattern(v.content())
		switch {
		case err == nil:
			return "", false
		case err.javaOnly:
			return err.message, true
		}
		return err.message + ", so the result is always Undefined", false
	}
	text3 := []param{textArg}
	return []Function{
		{
			Name: "regexp_matches", Signature: "regexp_matches(text, pattern)", Text: "Whether the pattern is found anywhere in the text.",
			Examples: []Example{{"regexp_matches('aaaa', 'a{2,}')", "true"}, {"regexp_matches('aaaa', 'b')", "false"}, {"regexp_matches('a', '(')", ""}, {"regexp_matches(null, 'a')", ""}},
			min:      2, max: 2, params: text3, lint: lint,
			call: func(in *Input, a []value, m *memo) value {
				re := m.regexp(in, a[1].s)
				if re == nil || !in.spendMatch(re, len(a[0].s)) {
					return undefined
				}
				found := re.MatchString(a[0].s)
				if line, ok := re.line(a[0].s); ok && !found && in.spendMatch(re, len(line)) {
					found = re.MatchString(line)
				}
				return boolean(found)
			},
		},
		{
			Name: "regexp_replace", Signature: "regexp_replace(text, pattern, by)", Text: "The text with every match replaced; $1 in the replacement is the first group.",
			Examples: []Example{{"regexp_replace('abcd', 'b(.*)d', '$1')", `"ac"`}, {"regexp_replace('2024-05', '(\\d+)-(\\d+)', '$2/$1')", `"05/2024"`}, {"regexp_replace('aba', 'a', '\\$')", `"$b$"`}, {"regexp_replace('aba', 'b', '$7')", ""}, {"regexp_replace(null, 'a', 'b')", ""}},
			min:      3, max: 3, params: text3, lint: lint,
			call: func(in *Input, a []value, m *memo) value {
				return in.regexpReplace(m.regexp(in, a[1].s), a[0].s, a[2].s)
			},
		},
		{
			Name: "regexp_substr", Signature: "regexp_substr(text, pattern)", Text: "The first match of the pattern; Undefined if there is none.",
			Examples: []Example{{"regexp_substr('hihihello', 'hi')", `"hi"`}, {"regexp_substr('hihihello', '(hi)*')", `"hihi"`}, {"regexp_substr('a', 'b')", ""}, {"regexp_substr(null, 'b')", ""}},
			min:      2, max: 2, params: text3, lint: lint,
			call: func(in *Input, a []value, m *memo) value {
				re := m.regexp(in, a[1].s)
				if re == nil || !in.spendMatch(re, len(a[0].s)) {
					return undefined
				}
				at := re.FindStringIndex(a[0].s)
				if line, ok := re.line(a[0].s); ok && in.spendMatch(re, len(line)) {
					if short := re.FindStringIndex(line); at == nil || short != nil && re.prefers(short, at) {
						at = short
					}
				}
				if at == nil {
					return undefined
				}
				return text(a[0].s[at[0]:at[1]])
			},
		},
	}
}

// spendMatch charges the run for one match over so many bytes. In the worst case RE2
// follows every instruction of the pattern for each of them.
func (in *Input) spendMatch(re *pattern, n int) bool {
	return in.spend(64 + n*(8+re.size)/8)
}

// line gives a text without the line end behind it, before which Java's $ looks too;
// ok is false if it makes no difference.
func (re *pattern) line(s string) (line string, ok bool) {
	if !re.ends {
		return s, false
	}
	for _, end := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
		if line, ok = strings.CutSuffix(s, end); ok {
			return line, true
		}
	}
	return s, false
}

// regexpReplace replaces every match, one by one, so that a pattern which looks at
// the whole rest for every match runs into the limit and not into the night.
func (in *Input) regexpReplace(re *pattern, s, by string) value {
	if re == nil {
		return undefined
	}
	parts, ok := parseReplacement(by, re.Regexp)
	if !ok {
		return undefined
	}
	found := in.matches(re, s)
	if line, ok := re.line(s); ok {
		found = re.merged(found, in.matches(re, line))
	}
	var b strings.Builder
	from := 0
	for _, at := range found {
		b.WriteString(s[from:at[0]])
		for _, p := range parts {
			if p.group < 0 {
				b.WriteString(p.text)
			} else if i := at[2*p.group]; i >= 0 {
				b.WriteString(s[i:at[2*p.group+1]])
			}
		}
		from = at[1]
		if b.Len() > maxWork {
			in.spend(b.Len())
			return undefined
		}
	}
	b.WriteString(s[from:])
	if in.err != nil {
		return undefined
	}
	return in.makeText(b.String())
}

// prefers reports whether a match that ends before the last line end comes before one
// in the whole text: the earlier one does; of two in one place the shorter one, if the
// pattern takes as little as it can.
func (re *pattern) prefers(short, whole []int) bool {
	return short[0] < whole[0] || short[0] == whole[0] && re.lazy
}

// merged puts the matches in a text, and those in it without the line end behind it, in
// their order. Where they overlap one is preferred.
func (re *pattern) merged(whole, line [][]int) [][]int {
	var all [][]int
	end, empty := -1, -1 // where the last match ended, and the last one of nothing was
	for len(whole) > 0 || len(line) > 0 {
		from := &whole
		if len(whole) == 0 || len(line) > 0 && re.prefers(line[0], whole[0]) {
			from = &line
		}
		at := (*from)[0]
		*from = (*from)[1:]
		if at[0] < end || at[0] == empty {
			continue
		}
		if all, end = append(all, at), at[1]; at[0] == end {
			empty = end
		}
	}
	return all
}

// matches finds all matches, a few at first and then more. Each may have looked at the
// whole rest of the text, and is charged as if it had.
func (in *Input) matches(re *pattern, s string) [][]int {
	for n := 64; ; n *= 4 {
		if !in.spendMatch(re, len(s)) {
			return nil
		}
		found := re.FindAllStringSubmatchIndex(s, n)
		cost := 2 * len(found) * len(s) * (128 + re.size) / 128
		if re.again != nil {
			cost *= 2
		}
		if !in.spend(cost) {
			return nil
		}
		if len(found) < n {
			return re.withEmpty(found, s)
		}
		if err := in.ctx.Err(); err != nil {
			in.fail(err)
			return nil
		}
	}
}

// withEmpty adds the empty matches right behind other matches. For Java they count, Go
// leaves them out.
func (re *pattern) withEmpty(found [][]int, s string) [][]int {
	if re.again == nil {
		return found
	}
	var all [][]int
	for i, at := range found {
		all = append(all, at)
		end := at[1]
		if at[0] == end || i+1 < len(found) && found[i+1][0] == end {
			continue
		}
		_, size := utf8.DecodeLastRuneInString(s[:end])
		empty := re.again.FindStringSubmatchIndex(s[end-size:])
		if empty == nil || empty[1] != size {
			continue
		}
		for j := range empty {
			if empty[j] >= 0 {
				empty[j] += end - size
			}
		}
		empty[0] = end
		all = append(all, empty)
	}
	return all
}

// piece is a part of a replacement: text, or a group of the match.
type piece struct {
	text  string
	group int // -1 for text
}

// parseReplacement reads a replacement as Java does: $1 and ${name} are groups, a
// backslash takes the next character as it is. ok is false if it names a group that
// the pattern does not have.
func parseReplacement(s string, re *regexp.Regexp) (parts []piece, ok bool) {
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			parts = append(parts, piece{plain.String(), -1})
			plain.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i++; i == len(s) {
				return nil, false
			}
			plain.WriteByte(s[i])
		case s[i] != '$':
			plain.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '{':
			name, _, found := strings.Cut(s[i+2:], "}")
			group := re.SubexpIndex(name)
			if !found || group < 0 {
				return nil, false
			}
			flush()
			parts = append(parts, piece{group: group})
			i += 2 + len(name)
		default:
			if i+1 >= len(s) || !digit(s[i+1]) {
				return nil, false
			}
			i++
			group := int(s[i] - '0')
			if group > re.NumSubexp() {
				return nil, false
			}
			for i+1 < len(s) && digit(s[i+1]) && group*10+int(s[i+1]-'0') <= re.NumSubexp() {
				i++
				group = group*10 + int(s[i]-'0')
			}
			flush()
			parts = append(parts, piece{group: group})
		}
	}
	flush()
	return parts, true
}
