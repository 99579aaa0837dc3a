package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// condition is one key of one operator of a statement's Condition.
type condition struct {
	text     string // "StringEquals iot:ClientId"
	key      variable
	compare  comparison
	negated  bool // ...Not...: no value may match
	quantor  quantor
	ifExists bool
	values   []pattern
	nets     []netip.Prefix
	yes, no  bool // of Bool: what it may be
}

type comparison byte

const (
	compareEquals comparison = iota
	compareEqualsFold
	compareLike
	compareIP
	compareBool
)

type quantor byte

const (
	anyOf    quantor = iota // a key with one value
	forAll                  // ForAllValues:
	forAnyOf                // ForAnyValue:
)

// operators are the names of the operators.
var operators = [...]struct {
	name    string
	compare comparison
	negated bool
}{
	{"StringEquals", compareEquals, false},
	{"StringNotEquals", compareEquals, true},
	{"StringEqualsIgnoreCase", compareEqualsFold, false},
	{"StringNotEqualsIgnoreCase", compareEqualsFold, true},
	{"StringLike", compareLike, false},
	{"StringNotLike", compareLike, true},
	{"IpAddress", compareIP, false},
	{"NotIpAddress", compareIP, true},
	{"Bool", compareBool, false},
}

// parseOperator reads the name of an operator with its prefix and suffix.
func parseOperator(text string) (condition, *problem) {
	c := condition{}
	name := text
	for _, q := range [...]struct {
		prefix  string
		quantor quantor
	}{{"ForAllValues:", forAll}, {"ForAnyValue:", forAnyOf}} {
		if rest, ok := strings.CutPrefix(text, q.prefix); ok {
			name, c.quantor = rest, q.quantor
		}
	}
	name, c.ifExists = strings.CutSuffix(name, "IfExists")
	names := make([]string, len(operators))
	for i, o := range operators {
		if o.name == name {
			c.compare, c.negated = o.compare, o.negated
			if c.quantor != anyOf && c.compare > compareLike {
				return c, problemf("use it without", "ForAllValues and ForAnyValue are for texts, not for %s", name)
			}
			return c, nil
		}
		names[i] = o.name
	}
	return c, &problem{fmt.Sprintf("there is no condition operator %q", text), suggest(name, names)}
}

// parseConditions compiles a Condition block. report is told of every problem and its
// path.
func parseConditions(block map[string]map[string]Strings, report func(path string, p *problem)) []condition {
	var all []condition
	for _, operator := range slices.Sorted(maps.Keys(block)) {
		form, wrong := parseOperator(operator)
		if wrong != nil {
			report(operator, wrong)
			continue
		}
		if len(block[operator]) == 0 {
			report(operator, problemf("write KEY: VALUE below it, or remove it", "compares nothing"))
		}
		for _, key := range slices.Sorted(maps.Keys(block[operator])) {
			c := form
			c.text = operator + " " + key
			path := operator + "." + key
			if c.key, wrong = parseVariable(key); wrong != nil {
				report(path, wrong)
				continue
			}
			if c.key.conditionOnly() && c.quantor == anyOf {
				report(path, problemf(fmt.Sprintf("write ForAllValues:%s or ForAnyValue:%s", operator, operator), "%s has several values", key))
				continue
			}
			values := block[operator][key]
			if len(values) == 0 && c.quantor == anyOf {
				report(path, problemf("write a value, or a list of values", "is compared with nothing"))
			}
			for i, value := range values {
				if wrong := c.add(value); wrong != nil {
					report(fmt.Sprintf("%s[%d]", path, i), wrong)
				}
			}
			all = append(all, c)
		}
	}
	return all
}

// add takes a value to compare with.
func (c *condition) add(value string) *problem {
	switch c.compare {
	case compareIP:
		p, err := netip.ParsePrefix(value)
		if err != nil {
			a, addrErr := netip.ParseAddr(value)
			if addrErr != nil {
				return problemf("write 203.0.113.0/24, 2001:db8::/32 or one address", "%q is no range of addresses", value)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() { // a client's address is never written that way, and nothing would match
			return problemf("write the IPv4 address or range itself", "%q is an IPv4 address in an IPv6 one", value)
		}
		c.nets = append(c.nets, p.Masked())
		return nil
	case compareBool:
		switch strings.ToLower(value) {
		case "true":
			c.yes = true
			return nil
		case "false":
			c.no = true
			return nil
		}
		return problemf("write true or false", "%q is no truth value", value)
	case compareEquals, compareEqualsFold, compareLike:
	}
	p, wrong := parsePattern(value, wildcards(c.compare == compareLike))
	if wrong != nil {
		return wrong
	}
	c.values = append(c.values, p)
	return nil
}

// connectAlone reports a condition that is about a CONNECT and nothing else.
func (c *condition) connectAlone() bool { return c.key.kind == varConnectAttributes }

// holds decides a condition. connecting says that it is asked for a CONNECT, the only
// time that iot:ConnectAttributes exists. why says why it does not hold.
//
// A key without a value does not satisfy a comparison, and satisfies a negated one, as
// in IAM. A variable without a value on the right makes the statement not apply.
func (c *condition) holds(f *Facts, connecting bool) (ok bool, why string) {
	values, missing := f.values(&c.key)
	if c.connectAlone() && !connecting {
		values, missing = nil, "has no value: this is no CONNECT"
	}
	globs := make([]glob, len(c.values))
	for i, p := range c.values {
		g, unknown := p.fill(f)
		if unknown != "" {
			return false, unknown
		}
		globs[i] = g
	}
	switch {
	case missing != "" && c.ifExists, missing != "" && c.quantor == forAll:
		return true, ""
	case missing != "" && c.quantor == forAnyOf, missing != "" && !c.negated:
		return false, c.key.text + " " + missing
	case missing != "":
		return true, ""
	}
	matched := 0
	for _, v := range values {
		if c.matches(v, globs) != c.negated {
			matched++
		}
	}
	switch {
	case c.quantor == forAll, c.negated && c.quantor == anyOf:
		ok = matched == len(values)
	default:
		ok = matched > 0
	}
	if !ok {
		why = fmt.Sprintf("%s does not hold: it is %q", c.text, strings.Join(values, ", "))
	}
	return ok, why
}

// matches reports whether one value is among those to compare with.
func (c *condition) matches(value string, globs []glob) bool {
	switch c.compare {
	case compareIP:
		a, err := netip.ParseAddr(value)
		return err == nil && slices.ContainsFunc(c.nets, func(p netip.Prefix) bool { return p.Contains(a) })
	case compareBool:
		return c.yes && strings.EqualFold(value, "true") || c.no && strings.EqualFold(value, "false")
	case compareEqualsFold:
		return slices.ContainsFunc(globs, func(g glob) bool { return strings.EqualFold(g.head, value) })
	case compareEquals, compareLike:
	}
	return slices.ContainsFunc(globs, func(g glob) bool { return g.match(value) })
}
