package rulesimport

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/rules/sql"
)

// finished is a rule as it will be written.
type finished struct {
	config bridge.RuleConfig
	// notes say what is left out of it; why, if not empty, why all of it is.
	notes []string
	why   string
}

// finishing makes one rule of ours of one of AWS's.
type finishing struct {
	*importer
	rule   rule
	out    finished
	failed bool
	places map[string]*node // of the texts, by their paths
}

// finish makes a rule of ours. What is wrong with it becomes a problem.
func (im *importer) finish(r rule) finished {
	f := &finishing{importer: im, rule: r, places: make(map[string]*node)}
	c := &f.out.config
	c.Name = r.name
	if r.payload.kind == unknownKind {
		f.missing(r.name, "", r.payload.wants)
		return f.out
	}
	f.only("", r.payload, "sql", "awsIotSqlVersion", "description", "ruleDisabled", "actions", "errorAction")
	c.SQL = strings.TrimSpace(f.text("sql", r.payload.get("sql")))
	c.Description = f.text("description", r.payload.get("description"))
	c.Disabled = f.truth("ruleDisabled", r.payload.get("ruleDisabled"))
	// A rule that names no version has AWS's default, which is not ours.
	if c.Version = sql.Version(f.text("awsIotSqlVersion", r.payload.get("awsIotSqlVersion"))); c.Version == "" {
		c.Version = sql.V20151008
	}
	f.actions()
	switch {
	case f.failed:
		f.statement()
	case c.SQL == "":
		f.wrong("sql", r.at, "the rule has none", "write SELECT * FROM 'TOPIC/FILTER'")
	default:
		f.compile()
	}
	return f.out
}

func (f *finishing) actions() {
	c := &f.out.config
	if f.rule.function != nil {
		c.Actions = append(c.Actions, action.Config{Lambda: &action.LambdaConfig{Function: f.called(f.rule.function)}})
	}
	list := f.rule.payload.get("actions")
	switch {
	case list.kind == unknownKind:
		f.missing(f.rule.name, "actions", list.wants)
	case list.given() && list.kind != listKind:
		f.wrong("actions", list, "is "+list.describe()+", and a list is wanted", "write a list of actions")
	}
	for i, n := range list.items {
		if a, ok := f.action(fmt.Sprintf("actions[%d]", i), n); ok {
			c.Actions = append(c.Actions, a)
		}
	}
	if n := f.rule.payload.get("errorAction"); n.given() {
		if a, ok := f.action("errorAction", n); ok {
			c.ErrorAction = &a
		}
	}
}

// statement looks at the statement of a rule that is wrong elsewhere, so that everything
// is said at once.
func (f *finishing) statement() {
	at, ok := f.places["sql"]
	if !ok || f.out.config.SQL == "" {
		return
	}
	_, err := sql.Compile(f.out.config.SQL, f.out.config.Version)
	if s, ok := errors.AsType[*sql.Error](err); ok {
		problem, remedy := inText(s)
		f.wrong("sql", at, problem, remedy)
	}
}

// inText says what is wrong at a place of a text.
func inText(s *sql.Error) (problem, remedy string) {
	return fmt.Sprintf("%s (line %d, column %d of the text)", s.Message, s.Line, s.Column), "correct it"
}

// compile refuses here and now what the configuration would be refused for.
func (f *finishing) compile() {
	c := &f.out.config
	_, err := bridge.Compile([]bridge.RuleConfig{*c}, nil)
	if err == nil {
		if _, lacks := sql.Compile(c.SQL, c.Version, sql.NoDescriptors); lacks != nil {
			f.warn(f.places["sql"], "rule "+c.Name+": decode() of protobuf needs the descriptors that AWS reads from S3", "name a folder in rules.descriptors, and put them there as BUCKET/KEY")
		}
		return
	}
	var wrong bridge.RuleErrors
	if !errors.As(err, &wrong) {
		f.wrong("", f.rule.at, err.Error(), "correct the rule")
		return
	}
	for _, e := range wrong {
		problem, remedy := e.Problem, e.Remedy
		if s, ok := errors.AsType[*sql.Error](e.Err); ok {
			problem, remedy = inText(s)
		}
		at, ok := f.places[e.Path]
		if !ok {
			at = f.rule.at
		}
		if !f.options.SkipUnsupported {
			f.wrong(e.Path, at, problem, remedy)
			continue
		}
		f.out.why = firstLine(joined(e.Path, problem))
		f.warn(at, "rule "+f.rule.name+" is left out: "+f.out.why, "")
		return
	}
}

// localised puts our names into the ARNs of functions that were read, as aws_lambda()
// has them, and marks the functions as called.
func (f *finishing) localised(text string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, arnName)
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		n := 0
		for n < len(rest) && nameByte(rest[n]) {
			n++
		}
		name := rest[:n]
		if l, ok := f.locals[name]; ok {
			name = f.called(l)
		}
		out.WriteString(arnName + name)
		text = rest[n:]
	}
}

// arnName stands before the name in a function's ARN.
const arnName = ":function:"

func nameByte(c byte) bool {
	return c == '-' || c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// called marks a function as called and gives its name.
func (f *finishing) called(l *lambda) string {
	l.used = true
	return l.name
}

// wrong reports a problem of the rule.
func (f *finishing) wrong(path string, at *node, problem, remedy string) {
	f.failed = true
	f.problem(at, "rule "+f.rule.name+": "+joined(path, problem), remedy)
}

func joined(path, problem string) string {
	if path == "" {
		return problem
	}
	return path + ": " + problem
}

// missing reports what has no value. A name is asked for once.
func (im *importer) missing(rule, path string, wants []want) {
	for _, w := range wants {
		if w.name == "" {
			im.problem(w.at, "rule "+rule+": "+joined(path, w.reason), w.remedy)
			continue
		}
		if !im.asked[w.name] {
			im.asked[w.name] = true
			im.problem(w.at, "rule "+rule+": "+joined(path, w.name+" has no value"), "give "+w.flag())
		}
	}
}

// madeUp asks for the pseudo parameters that have stand-ins; true if there are none.
func (im *importer) madeUp(rule, path string, n *node) bool {
	im.missing(rule, path, n.standIns)
	return len(n.standIns) == 0
}

// text is a field's text; empty if it is not there.
func (f *finishing) text(path string, n *node) string {
	if wants := lacks(n); len(wants) > 0 {
		f.failed = true
		f.missing(f.rule.name, path, wants)
		return ""
	}
	if !f.madeUp(f.rule.name, path, n) {
		f.failed = true
		return ""
	}
	for _, own := range []string{"${env:", "${file:"} {
		if strings.Contains(n.text, own) {
			f.wrong(path, n, own+"...} is a reference in topicwire's configuration, and something else here", "write it in another way")
		}
	}
	if n.kind != scalarKind {
		return ""
	}
	f.places[path] = n
	return f.localised(n.text)
}

// truth is a field that is true or false.
func (f *finishing) truth(path string, n *node) bool {
	switch s := f.text(path, n); s {
	case "true":
		return true
	case "false", "":
		return false
	default:
		f.wrong(path, n, fmt.Sprintf("%q is neither true nor false", s), "write true or false")
		return false
	}
}

// only reports keys that AWS does not have there: they would have no effect.
func (f *finishing) only(path string, n *node, keys ...string) {
	for _, e := range n.entries {
		if !slices.Contains(keys, e.key.text) {
			f.wrong(path, e.key, "there is no "+e.key.text+" here", "remove it")
		}
	}
}
