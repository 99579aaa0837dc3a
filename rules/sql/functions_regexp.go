package sql

import (
	"regexp"
	"strings"
)

// regexpFunctions use regular expressions. AWS has Java's dialect, here it is RE2's
// (https://github.com/google/re2/wiki/Syntax), which is the same but for look-around,
// back-references and possessive quantifiers. A literal pattern that needs those is
// refused; a pattern that comes from a message and needs them, and any pattern that
// is wrong in both dialects, gives Undefined.
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
				return boolean(re.MatchString(a[0].s))
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
	var b strings.Builder
	from := 0
	for _, at := range in.matches(re, s) {
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

// matches finds all matches, a few at first and then more. Each may have looked at the
// whole rest of the text, and is charged as if it had.
func (in *Input) matches(re *pattern, s string) [][]int {
	for n := 64; ; n *= 4 {
		if !in.spendMatch(re, len(s)) {
			return nil
		}
		found := re.FindAllStringSubmatchIndex(s, n)
		if !in.spend(2*len(found)*len(s)*(128+re.size)/128) || len(found) < n {
			return found
		}
		if err := in.ctx.Err(); err != nil {
			in.fail(err)
			return nil
		}
	}
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
