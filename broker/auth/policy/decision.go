package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Decision is whether something may be done, and which statement says so.
type Decision struct {
	Action Action
	// Name is what it is to be done to, without its kind.
	Name    string
	Allowed bool
	// Policy, Statement (from 1) and Sid name the statement that decided. Without one,
	// nothing allows it.
	Policy    string
	Statement int
	Sid       string
	// Policies are the policies that were asked.
	Policies []string
}

// String says it in a sentence.
func (d Decision) String() string {
	what := fmt.Sprintf("%s on %.200s", d.Action, printable(d.Action.Resource(d.Name)))
	switch {
	case d.Allowed && d.Policy == "":
		return what + " is allowed"
	case d.Allowed:
		return what + " is allowed by " + d.By()
	case d.Policy != "":
		return what + " is denied by " + d.By()
	case len(d.Policies) == 0:
		return what + " is denied: no policy is attached"
	case len(d.Policies) == 1:
		return what + " is denied: no statement of policy " + d.Policies[0] + " allows it"
	}
	return what + " is denied: no statement of policies " + strings.Join(d.Policies, ", ") + " allows it"
}

// printable is text that a client has chosen, in one line: a line break in a topic must not
// make another line of a log, nor an escape sequence colour it.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// By names the statement that decided.
func (d Decision) By() string { return statementName(d.Policy, d.Statement, d.Sid) }

func statementName(policy string, n int, sid string) string {
	if sid == "" {
		return fmt.Sprintf("statement %d of policy %s", n, policy)
	}
	return fmt.Sprintf("statement %d (%s) of policy %s", n, sid, policy)
}

// Explanation is a decision and how every statement about the action came to it.
type Explanation struct {
	Decision
	// Steps are the statements about the action, in order.
	Steps []Step
	// Others is how many statements are about other actions.
	Others int
}

// Step is one statement's part in a decision.
type Step struct {
	Policy    string
	Statement int // from 1
	Sid       string
	Effect    string
	// Matches: the statement is about this resource, and its conditions hold.
	Matches bool
	// Why says why it does not match, or which of its resources does.
	Why string
}

// Name names the statement.
func (s Step) Name() string { return statementName(s.Policy, s.Statement, s.Sid) }

// Explain decides without anything prepared and tells of every statement why it does or
// does not match.
func (s *Set) Explain(f *Facts, a Action, name string) Explanation {
	e := Explanation{Decision: s.bind(f).Decide(a, name)}
	for _, p := range s.policies {
		for i := range p.statements {
			st := &p.statements[i]
			if !st.actions.has(a) {
				e.Others++
				continue
			}
			step := Step{Policy: p.name, Statement: st.index + 1, Sid: st.sid, Effect: st.effect()}
			step.Matches, step.Why = st.explain(f, a, name)
			e.Steps = append(e.Steps, step)
		}
	}
	return e
}

// explain says why a statement is about a name, or why not.
func (s *statement) explain(f *Facts, a Action, name string) (matches bool, why string) {
	var reasons []string
	for i := range s.resources {
		r := &s.resources[i]
		if r.kinds&table[a].kind == 0 {
			reasons = append(reasons, fmt.Sprintf("its resource %s is not %s", r.text, table[a].kind))
			continue
		}
		g, missing := r.fill(f)
		switch {
		case missing != "":
			reasons = append(reasons, fmt.Sprintf("its resource %s does not count: %s", r.text, missing))
		case !r.matches(&g, table[a].kind, name):
			reasons = append(reasons, mismatch(r, &g, a, name))
		default:
			if ok, why := s.applies(f, a == Connect); !ok {
				return false, "its condition is not met: " + why
			}
			return true, "its resource " + r.text + " matches"
		}
	}
	return false, strings.Join(reasons, "; ")
}

// mismatch says what a resource came to, and warns of what is taken for a wildcard.
func mismatch(r *resource, g *glob, a Action, name string) string {
	text := "its resource " + r.text
	if r.name.variable() {
		text += ", here " + a.Resource(g.String()) + ","
	}
	text += " does not match " + a.Resource(name)
	if table[a].kind != kindFilter && strings.ContainsAny(g.head, "+#") {
		text += " (+ and # are ordinary characters in a policy: write *)"
	}
	return text
}
