package policy

import "fmt"

// Policy is a compiled document: immutable, and safe for concurrent use.
type Policy struct {
	name       string
	statements []statement
}

// Name is the policy's name.
func (p *Policy) Name() string { return p.name }

// statement is a compiled statement.
type statement struct {
	policy     string // name of its policy
	index      int    // in the document, from 0
	sid        string
	deny       bool
	actions    actionSet
	wildcard   bool // an action was written with a wildcard
	resources  []resource
	conditions []condition
}

// Compile makes a policy of a document in which Check finds nothing. What it would find
// is left out.
func Compile(name string, d *Document) *Policy {
	p := &Policy{name: name, statements: make([]statement, len(d.Statement))}
	for i := range d.Statement {
		s := compileStatement(&d.Statement[i], i, func(string, *problem) {})
		s.policy = name
		p.statements[i] = *s
	}
	return p
}

// compileStatement compiles the i-th statement and reports what is wrong with it. A
// statement in which something is wrong is never made to allow more than was written.
func compileStatement(s *Statement, i int, report func(path string, p *problem)) *statement {
	out := &statement{index: i, sid: s.Sid}
	switch s.Effect {
	case "Allow":
	case "Deny":
		out.deny = true
	case "":
		report("Effect", problemf("add Effect: Allow or Effect: Deny", "is missing"))
	default:
		report("Effect", &problem{fmt.Sprintf("%q is no effect", s.Effect), suggest(s.Effect, []string{"Allow", "Deny"})})
	}
	if len(s.NotAction) > 0 {
		report("NotAction", problemf("write Action with the actions that are meant", "policies of AWS IoT have no NotAction"))
	} else if len(s.Action) == 0 {
		report("Action", problemf("add Action: iot:Publish, or others", "is missing"))
	}
	for j, text := range s.Action {
		set, wrong := parseAction(text)
		if wrong != nil {
			report(fmt.Sprintf("Action[%d]", j), wrong)
		}
		out.actions |= set
		out.wildcard = out.wildcard || set&(set-1) != 0
	}
	if len(s.NotResource) > 0 {
		report("NotResource", problemf("allow all with one statement and deny the exceptions with another", "policies of AWS IoT have no NotResource"))
	} else if len(s.Resource) == 0 {
		report("Resource", problemf(resourceRemedy, "is missing"))
	}
	for j, text := range s.Resource {
		r, wrong := parseResource(text)
		if wrong != nil {
			report(fmt.Sprintf("Resource[%d]", j), wrong)
			continue
		}
		out.resources = append(out.resources, *r)
	}
	out.conditions = parseConditions(s.Condition, func(path string, p *problem) { report("Condition."+path, p) })
	return out
}

// kinds are the kinds of all resources.
func (s *statement) kinds() kinds {
	var k kinds
	for i := range s.resources {
		k |= s.resources[i].kinds
	}
	return k
}

// applies decides the conditions; why says which does not hold.
func (s *statement) applies(f *Facts, connecting bool) (ok bool, why string) {
	for i := range s.conditions {
		if ok, why := s.conditions[i].holds(f, connecting); !ok {
			return false, why
		}
	}
	return true, ""
}

// constant reports whether the statement says the same of every connection.
func (s *statement) constant() bool {
	if len(s.conditions) > 0 {
		return false
	}
	for i := range s.resources {
		if s.resources[i].name.variable() {
			return false
		}
	}
	return true
}

// effect is how documents spell it.
func (s *statement) effect() string {
	if s.deny {
		return "Deny"
	}
	return "Allow"
}

// AllowsAll reports whether the policy allows every client to publish to and to receive
// from every topic.
func (p *Policy) AllowsAll() bool {
	b := NewSet(p).bind(&Facts{})
	return b.All(Publish) && b.All(Receive) && b.All(Subscribe)
}
