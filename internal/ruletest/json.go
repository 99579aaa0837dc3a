package ruletest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// jsonDifference compares a value with JSON text; empty means that they are the same.
func jsonDifference(want any, got []byte) string {
	w := plain(want)
	g, err := parse(got)
	if err != nil {
		return removed(indented(w)) + added(Shown(got))
	}
	if a, b := indented(w), indented(g); a != b {
		return difference(a, b)
	}
	return ""
}

// plain brings a value into the one form that equal values share.
func plain(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error() // no value of a configuration is of a type that JSON lacks
	}
	p, _ := parse(text)
	return p
}

func parse(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, strconv.ErrSyntax
	}
	return canonical(v), nil
}

// canonical writes equal numbers the same.
func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = canonical(v[k])
		}
	case []any:
		for i := range v {
			v[i] = canonical(v[i])
		}
	case json.Number:
		return number(string(v))
	}
	return v
}

// number writes a JSON number in its shortest plain form, or with an exponent where
// that would be long: 1.50 and 15e-1 become 1.5. No digit is lost.
func number(text string) json.Number {
	const longest = 34
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	exp := 0
	if exponent != "" {
		var err error
		if exp, err = strconv.Atoi(exponent); err != nil {
			return json.Number(text)
		}
	}
	digits, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	exp -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	exp += len(digits) - len(short)
	sign := ""
	if negative {
		sign = "-"
	}
	switch point := len(short) + exp; {
	case short == "":
		return "0"
	case exp >= 0 && point <= longest:
		return json.Number(sign + short + strings.Repeat("0", exp))
	case exp < 0 && point > 0:
		return json.Number(sign + short[:point] + "." + short[point:])
	case exp < 0 && point > -longest:
		return json.Number(sign + "0." + strings.Repeat("0", -point) + short)
	}
	return json.Number(sign + short + "e" + strconv.Itoa(exp))
}

// indented writes a value as JSON, a line for each member.
func indented(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// mentioned leaves of got what want speaks of: the keys that it has, at every depth.
// Lists of the same length are gone through item by item.
func mentioned(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return got
		}
		part := make(map[string]any, len(w))
		for key := range w {
			if v, ok := g[key]; ok {
				part[key] = mentioned(w[key], v)
			}
		}
		if len(part) == 0 && len(w) > 0 {
			return got // nothing in common: show what there is
		}
		return part
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return got
		}
		part := make([]any, len(w))
		for i := range w {
			part[i] = mentioned(w[i], g[i])
		}
		return part
	}
	return got
}

// Shown is a payload for people: text as it is, anything else quoted.
func Shown(payload []byte) string {
	text := string(payload)
	odd := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, odd) {
		return strconv.Quote(text)
	}
	return text
}
