package sql

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// stringFunctions work on Strings. Other values are converted to one; Null and
// Undefined cannot be and make them Undefined. Characters are Unicode code points.
func stringFunctions() []Function {
	return []Function{
		ofText("upper", "The text in upper case.", 1, func(in *Input, a []value) value {
			return in.makeText(inCase(a[0].s, strings.ToUpper, cases.Upper))
		},
			Example{"upper('hello')", `"HELLO"`}, Example{"upper(true)", `"TRUE"`}, Example{"upper(null)", ""}),
		ofText("lower", "The text in lower case.", 1, func(in *Input, a []value) value {
			return in.makeText(inCase(a[0].s, strings.ToLower, cases.Lower))
		},
			Example{"lower('HELLO')", `"hello"`}, Example{`lower(["HELLO"])`, `"[\"hello\"]"`}, Example{"lower(null)", ""}),
		since(ofText("length", "How many characters the text has.", 1,
			func(_ *Input, a []value) value { return integer(int64(utf8.RuneCountInString(a[0].s))) },
			Example{"length('hi')", "2"}, Example{"length('€')", "1"}, Example{"length(false)", "5"}, Example{"length(null)", ""})),
		since(ofText("numbytes", "How many bytes the text has in UTF-8.", 1,
			func(_ *Input, a []value) value { return integer(int64(len(a[0].s))) },
			Example{"numbytes('hi')", "2"}, Example{"numbytes('€')", "3"}, Example{"numbytes(null)", ""})),
		ofText("trim", "The text without tabs and spaces at both ends.", 1, func(_ *Input, a []value) value { return text(strings.Trim(a[0].s, " \t")) },
			Example{"trim('  hi ')", `"hi"`}, Example{"trim(12)", `"12"`}, Example{"trim(null)", ""}),
		ofText("ltrim", "The text without tabs and spaces at its beginning.", 1, func(_ *Input, a []value) value { return text(strings.TrimLeft(a[0].s, " \t")) },
			Example{"ltrim(' h i ')", `"h i "`}, Example{"ltrim(false)", `"false"`}, Example{"ltrim(null)", ""}),
		ofText("rtrim", "The text without tabs and spaces at its end.", 1, func(_ *Input, a []value) value { return text(strings.TrimRight(a[0].s, " \t")) },
			Example{"rtrim(' h i ')", `" h i"`}, Example{"rtrim(1.5)", `"1.5"`}, Example{"rtrim(null)", ""}),
		pad("lpad", "front", func(s, spaces string) string { return spaces + s },
			Example{"lpad('hello', 2)", `"  hello"`}, Example{"lpad(1, '3')", `"   1"`}, Example{"lpad('x', -5)", `"x"`}, Example{"lpad('x', true)", ""}),
		pad("rpad", "back", func(s, spaces string) string { return s + spaces },
			Example{"rpad('hello', 2.9)", `"hello  "`}, Example{"rpad(1, 3)", `"1   "`}, Example{"rpad('x', 'y')", ""}),
		{
			Name: "substring", Signature: "substring(text, from[, to])",
			Text:     "The characters from one place up to and without another, counted from 0. Places outside of the text are moved to its ends.",
			Examples: []Example{{"substring('012345', 2)", `"2345"`}, {"substring('012345', 2.745)", `"2345"`}, {"substring(123, 2)", `"3"`}, {"substring('012345', -1)", `"012345"`}, {"substring('012345', 1, 3)", `"12"`}, {"substring('012345', 3, 1)", `""`}, {"substring('012', 'x')", ""}},
			min:      2, max: 3, params: []param{textArg, numberArg},
			call: func(_ *Input, a []value, _ *memo) value { return substring(a) },
		},
		{
			Name: "indexof", Signature: "indexof(text, part)", Since: V20160323,
			Text:     "Where the part begins in the text for the first time, counted from 0; -1 if it does not. Both must be Strings.",
			Examples: []Example{{"indexof('abcd', 'bc')", "1"}, {"indexof('a€b', 'b')", "2"}, {"indexof('abcd', 'zz')", "-1"}, {"indexof(12, '2')", ""}},
			min:      2, max: 2, params: []param{stringOnly},
			call: func(_ *Input, a []value, _ *memo) value {
				i := strings.Index(a[0].s, a[1].s)
				if i > 0 {
					i = utf8.RuneCountInString(a[0].s[:i])
				}
				return integer(int64(i))
			},
		},
		ofText("startswith", "Whether the text begins with the other.", 2, func(_ *Input, a []value) value { return boolean(strings.HasPrefix(a[0].s, a[1].s)) },
			Example{"startswith('ranger', 'ran')", "true"}, Example{"startswith(123, 2)", "false"}, Example{"startswith(null, 'x')", ""}),
		ofText("endswith", "Whether the text ends with the other.", 2, func(_ *Input, a []value) value { return boolean(strings.HasSuffix(a[0].s, a[1].s)) },
			Example{"endswith('cat', 'at')", "true"}, Example{"endswith(true, 'true')", "true"}, Example{"endswith(null, 'x')", ""}),
		ofText("replace", "The text with every occurrence of one part replaced by another.", 3, replaceAll,
			Example{"replace('abcdabcd', 'b', 'x')", `"axcdaxcd"`}, Example{"replace(121, 1, '')", `"2"`}, Example{"replace('a', null, 'b')", ""}),
		{
			Name: "concat", Signature: "concat(value, ...)",
			Text:     "If any value is an Array, one Array of all values and of the Arrays' elements; else, if any is a String, all of them joined to one. A single value stays as it is.",
			Examples: []Example{{"concat('he', 'is', 'man')", `"heisman"`}, {"concat('a', 1, true)", `"a1true"`}, {"concat([1, 2, 3], 4)", "[1,2,3,4]"}, {"concat('x', [1], [[2]])", `["x",1,[2]]`}, {"concat(1)", "1"}, {"concat(1, 2)", ""}, {"concat('a', null)", ""}, {"concat()", ""}},
			max:      -1,
			call:     concat,
		},
		{
			Name: "chr", Signature: "chr(code)", Text: "The character with an ASCII code between 0 and 127.",
			Examples: []Example{{"chr(65)", `"A"`}, {"chr('49')", `"1"`}, {"chr(65.9)", `"A"`}, {"chr(128)", ""}, {"chr(true)", ""}},
			min:      1, max: 1, params: []param{numberArg},
			call: func(_ *Input, a []value, _ *memo) value {
				n, ok := toInt(a[0], down)
				if !ok || n < 0 || n > 127 {
					return undefined
				}
				return text(string(rune(n)))
			},
		},
	}
}

// inCase changes the case of a text as Java does: a letter may become several (ß is SS),
// and a sigma at the end of a word has its own form. plain does the same for ASCII.
func inCase(s string, plain func(string) string, full func(language.Tag, ...cases.Option) cases.Caser) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return full(language.Und).String(s)
		}
	}
	return plain(s)
}

// ofText declares a function whose arguments are all converted to Strings.
func ofText(name, does string, args int, f func(in *Input, a []value) value, examples ...Example) Function {
	return Function{
		Name: name, Signature: name + "(" + strings.Join([]string{"text", "part", "by"}[:args], ", ") + ")", Text: does, Examples: examples,
		min: args, max: args, params: []param{textArg},
		call: func(in *Input, a []value, _ *memo) value { return f(in, a) },
	}
}

// since marks a function that 2016-03-23 added.
func since(f Function) Function {
	f.Since = V20160323
	return f
}

func pad(name, where string, join func(s, spaces string) string, examples ...Example) Function {
	return Function{
		Name: name, Signature: name + "(text, n)", Examples: examples,
		Text: "The text with n spaces more at its " + where + ", 0 to 1000; n is rounded down.",
		min:  2, max: 2, params: []param{textArg, numberArg},
		call: func(in *Input, a []value, _ *memo) value {
			n := int64(0)
			if compareNumbers(a[1], integer(maxPad)) >= 0 {
				n = maxPad
			} else if m, ok := toInt(a[1], down); ok {
				n = max(m, 0)
			}
			return in.makeText(join(a[0].s, strings.Repeat(" ", int(n))))
		},
	}
}

func substring(a []value) value {
	s := a[0].s
	from := place(a[1], len(s))
	to := len(s)
	if len(a) > 2 {
		to = place(a[2], len(s))
	}
	if from >= to {
		return text("")
	}
	// Turn characters into bytes; a place behind the end is the end.
	start, end, seen := len(s), len(s), 0
	for i := range s {
		if seen == from {
			start = i
		}
		if seen == to {
			end = i
			break
		}
		seen++
	}
	return text(s[start:end])
}

// place moves an index into the range 0 to most.
func place(v value, most int) int {
	if compareNumbers(v, integer(int64(most))) >= 0 {
		return most
	}
	n, ok := toInt(v, towardsZero)
	if !ok {
		return 0 // far below
	}
	return int(max(n, 0))
}

func replaceAll(in *Input, a []value) value {
	s, from, to := a[0].s, a[1].s, a[2].s
	n := strings.Count(s, from)
	if n == 0 {
		return a[0]
	}
	if !in.spend(len(s)) || !in.spend(n*(len(to)+1)) {
		return undefined
	}
	return text(strings.ReplaceAll(s, from, to))
}

func concat(in *Input, a []value, _ *memo) value {
	switch len(a) {
	case 0:
		return undefined
	case 1:
		return a[0]
	}
	strs := false
	for i := range a {
		switch a[i].kind {
		case kindArray:
			return in.flatten(a)
		case kindString:
			strs = true
		default: // it may join to either
		}
	}
	if !strs {
		return undefined
	}
	var b strings.Builder
	for i := range a {
		s, ok := in.toText(a[i])
		if !ok || !in.spend(len(s)) {
			return undefined
		}
		b.WriteString(s)
	}
	return text(b.String())
}

// flatten makes one Array of the values and of the elements of those that are Arrays.
func (in *Input) flatten(a []value) value {
	var items []value
	for i := range a {
		if a[i].kind != kindArray {
			if a[i].defined() {
				items = append(items, a[i])
			}
			continue
		}
		for w := newWalk(a[i], in.whole); w.next() && in.spend(64); {
			items = append(items, w.item)
		}
	}
	return array(items)
}
