package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/topicwire/topicwire/broker/auth"
)

// whyText writes a decision for people: the sentence, where the policies come from, and
// what each statement about the action says.
func whyText(w io.Writer, e *auth.Explanation, function string) {
	if e.Open && function != "" {
		fmt.Fprintf(w, "%s: functions.%s has no policy, and nobody else is restricted\n", e.Decision, function)
		return
	}
	if e.Open {
		fmt.Fprintf(w, "%s: nobody has to say who he is, and auth.attach attaches no policy to anybody\n", e.Decision)
		return
	}
	fmt.Fprintln(w, e.Decision)
	switch {
	case function != "" && len(e.Policies) == 0:
		fmt.Fprintf(w, "  functions.%s has no policy: name some under its key policy\n", function)
	case function != "":
		fmt.Fprintf(w, "  functions.%s.policy: %s\n", function, strings.Join(e.Policies, ", "))
	case e.Own:
		fmt.Fprintln(w, "  the policies came with the credentials; those of auth.attach do not count")
	default:
		attachedText(w, e)
	}
	for _, s := range e.Steps {
		verb := "does not count"
		switch {
		case e.Policy == s.Policy && e.Statement == s.Statement:
			verb = "decides"
		case s.Matches && !e.Allowed:
			verb = "allows it, and a Deny wins"
		case s.Matches:
			verb = "says the same"
		}
		fmt.Fprintf(w, "  %s, %s, %s: %s\n", s.Name(), s.Effect, verb, s.Why)
	}
	if e.Others > 0 {
		fmt.Fprintf(w, "  %s about other actions\n", count(e.Others, "other statement is", "other statements are"))
	}
	if !e.Allowed && e.Policy == "" {
		fmt.Fprintf(w, "  to allow it: {Effect: Allow, Action: %s, Resource: %q} in a policy that is attached\n", e.Action, e.Action.Resource(e.Name))
	}
}

func attachedText(w io.Writer, e *auth.Explanation) {
	if len(e.Attachments) == 0 {
		fmt.Fprintln(w, "  auth.attach is empty: nobody has a policy")
	}
	for i, a := range e.Attachments {
		if a.Fits {
			fmt.Fprintf(w, "  auth.attach[%d] gives %s\n", i, strings.Join(a.Policies, ", "))
		} else {
			fmt.Fprintf(w, "  auth.attach[%d] gives %s to others: its %s does not fit\n", i, strings.Join(a.Policies, ", "), a.Misfit)
		}
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// whyJSON is a decision as `why --json` prints it.
type whyJSON struct {
	Action      string          `json:"action"`
	Resource    string          `json:"resource"`
	Allowed     bool            `json:"allowed"`
	Why         string          `json:"why"`
	Policy      string          `json:"policy,omitempty"`
	Statement   int             `json:"statement,omitempty"`
	Sid         string          `json:"sid,omitempty"`
	Policies    []string        `json:"policies"`
	Attachments []whyAttachment `json:"attachments,omitempty"`
	Statements  []whyStatement  `json:"statements,omitempty"`
}

type whyAttachment struct {
	Attachment int      `json:"attachment"`
	Policies   []string `json:"policies"`
	Fits       bool     `json:"fits"`
	Misfit     string   `json:"misfit,omitempty"`
}

type whyStatement struct {
	Policy    string `json:"policy"`
	Statement int    `json:"statement"`
	Sid       string `json:"sid,omitempty"`
	Effect    string `json:"effect"`
	Matches   bool   `json:"matches"`
	Why       string `json:"why"`
}

func writeWhy(w io.Writer, out whyJSON) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func explainedDecision(e *auth.Explanation) whyJSON {
	out := whyJSON{
		Action: e.Action.String(), Resource: e.Action.Resource(e.Name), Allowed: e.Allowed, Why: e.Decision.String(),
		Policy: e.Policy, Statement: e.Statement, Sid: e.Sid, Policies: e.Policies,
	}
	if out.Policies == nil {
		out.Policies = []string{}
	}
	for i, a := range e.Attachments {
		out.Attachments = append(out.Attachments, whyAttachment{i, a.Policies, a.Fits, a.Misfit})
	}
	for _, s := range e.Steps {
		out.Statements = append(out.Statements, whyStatement{s.Policy, s.Statement, s.Sid, s.Effect, s.Matches, s.Why})
	}
	return out
}
