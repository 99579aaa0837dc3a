package rulesimport

import (
	"regexp"
	"strconv"
	"strings"
)

// variables resolves the ${source:address} of a serverless.yml as far as the file goes.
// (https://www.serverless.com/framework/docs/guides/variables)
type variables struct {
	params *params
	root   *node
	open   map[string]bool // addresses being resolved, to find those that need themselves
	budget budget
	depth  int
}

// source is the form of a variable. What has another form, such as ${topic(2)} or
// ${AWS::Region}, is somebody else's and stays.
var source = regexp.MustCompile(`(?s)^(self|opt|env|file|param|sls|ssm|cf|s3|aws|git|strToBool)(\(.*?\))?(:.*)?$`)

// value is n with its variables resolved.
func (v *variables) value(n *node) *node {
	if v.depth++; v.depth > 4*maxDepth || !v.budget.spend(len(n.text)) {
		v.depth--
		return n.unknown(tooMuch)
	}
	defer func() { v.depth-- }()
	switch n.kind {
	case scalarKind:
		return v.scalar(n)
	case listKind:
		out := n.like(listKind)
		for _, item := range n.items {
			out.items = append(out.items, v.value(item))
		}
		return out
	case mapKind:
		out := n.like(mapKind)
		for _, e := range n.entries {
			out.entries = append(out.entries, entry{e.key, v.value(e.value)})
		}
		return out
	case nullKind, absentKind, unknownKind:
	}
	return n
}

// scalar replaces the variables of a text. A text that is one variable may become a
// list or a map.
func (v *variables) scalar(n *node) *node {
	var out strings.Builder
	var wants []want
	rest := n.text
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		end := closing(rest[i:])
		if end < 0 {
			break
		}
		inside := rest[i+2 : i+end-1]
		parts := alternatives(inside)
		if !source.MatchString(parts[0]) {
			out.WriteString(rest[:i+2])
			rest = rest[i+2:]
			continue
		}
		value := v.first(n, parts)
		if i == 0 && end == len(rest) && out.Len() == 0 {
			return value
		}
		wants = append(wants, lacks(value)...)
		out.WriteString(rest[:i] + value.text)
		rest = rest[i+end:]
		if !v.budget.spend(out.Len()) {
			return n.unknown(tooMuch)
		}
	}
	switch {
	case len(wants) > 0:
		return n.unknown(wants...)
	case rest == n.text:
		return n
	}
	return n.scalar(out.String() + rest)
}

// closing finds the end of the ${ that s begins with; -1 if it has none.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth++
			i++
		case s[i] == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// alternatives splits a variable at the commas that stand in no quotes, brackets or
// variable.
func alternatives(s string) []string {
	var parts []string
	depth, quote, from := 0, byte(0), 0
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(' || c == '{':
			depth++
		case c == ')' || c == '}':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[from:]))
}

// first is the first alternative that has a value.
func (v *variables) first(n *node, parts []string) *node {
	var missing *node
	for _, part := range parts {
		value := v.alternative(n, part)
		if value.kind != unknownKind && value.given() {
			return value
		}
		if missing == nil || len(missing.wants) == 0 {
			missing = value
		}
	}
	if missing.kind != unknownKind {
		return n.unknown(want{name: parts[0]})
	}
	return missing
}

func (v *variables) alternative(n *node, part string) *node {
	switch {
	case len(part) > 1 && (part[0] == '\'' || part[0] == '"') && part[len(part)-1] == part[0]:
		return v.scalar(n.scalar(part[1 : len(part)-1]))
	case part == "null" || part == "":
		return n.like(nullKind)
	case strings.Contains(part, "${"): // ${self:custom.${opt:stage}}
		inner := v.value(n.scalar(part))
		if inner.kind != scalarKind || strings.Contains(inner.text, "${") {
			return inner
		}
		part = inner.text
	}
	if _, err := strconv.ParseFloat(part, 64); err == nil || part == "true" || part == "false" {
		return n.scalar(part)
	}
	if value, ok := v.params.get(part); ok {
		return n.scalar(value)
	}
	m := source.FindStringSubmatch(part)
	if m == nil {
		return n.scalar(part)
	}
	if v.open[part] || len(v.open) > maxDepth {
		return n.impossible("${"+part+"} needs itself", "take the circle apart")
	}
	v.open[part] = true
	defer delete(v.open, part)
	return v.sourced(n, m[1], part, strings.TrimPrefix(m[3], ":"))
}

// sourced resolves source:address.
func (v *variables) sourced(n *node, from, whole, address string) *node {
	switch from {
	case "self":
		return v.self(n, whole, address)
	case "sls":
		if address == "stage" {
			return v.stage(n)
		}
	case "aws":
		if address == "region" {
			return v.self(n, whole, "provider.region")
		}
	case "param":
		return v.param(n, whole, address)
	case "file":
		return n.impossible("${"+whole+"} is in another file", "put everything into one file, serverless print > all.yml, and import that")
	case "strToBool":
		inner := v.alternative(n, strings.TrimSuffix(strings.TrimPrefix(whole, "strToBool("), ")"))
		switch inner.text {
		case "true", "1":
			return n.scalar("true")
		case "false", "0":
			return n.scalar("false")
		}
		return inner
	}
	return n.unknown(want{name: whole})
}

// self resolves self:a.b.c.
func (v *variables) self(n *node, whole, address string) *node {
	found := v.root
	for key := range strings.SplitSeq(address, ".") {
		if found.kind == scalarKind && strings.Contains(found.text, "${") {
			found = v.scalar(found)
		}
		if i, err := strconv.Atoi(key); err == nil && found.kind == listKind && i >= 0 && i < len(found.items) {
			found = found.items[i]
			continue
		}
		if found.kind == unknownKind {
			return found
		}
		found = found.get(key)
	}
	if found.given() && address != "" {
		return v.value(found)
	}
	switch address { // what Serverless itself puts there
	case "provider.stage":
		return v.stage(n)
	case "provider.region":
		if region, ok := v.params.get("opt:region"); ok {
			return n.scalar(region)
		}
		return n.scalar(standInRegion)
	}
	return n.unknown(want{name: whole})
}

// stage is the stage: --param opt:stage, or what the file says, or dev.
func (v *variables) stage(n *node) *node {
	if stage, ok := v.params.get("opt:stage"); ok {
		return n.scalar(stage)
	}
	if stage := v.root.path("provider", "stage"); stage.given() {
		return v.value(stage)
	}
	return n.scalar("dev")
}

// param resolves param:name from the stage's params.
func (v *variables) param(n *node, whole, name string) *node {
	for _, stage := range []string{v.stage(n).text, "default"} {
		if found := v.root.path("params", stage, name); found.given() {
			return v.value(found)
		}
	}
	return n.unknown(want{name: whole})
}
