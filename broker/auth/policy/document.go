package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Document is a policy document as AWS IoT has it. Its keys are AWS's, capitals and all.
type Document struct {
	Version   string      `yaml:"Version" json:"Version" jsonschema:"enum=2012-10-17" jsonschema_description:"The version of the policy language."`
	ID        string      `yaml:"Id" json:"Id" jsonschema_description:"A name for people; it means nothing."`
	Statement []Statement `yaml:"Statement" json:"-" single:"true" jsonschema_description:"What is allowed and what is denied: one statement, or a list of them."`
}

// Statement is one statement of a document.
type Statement struct {
	Sid       string                        `yaml:"Sid" json:"Sid" jsonschema_description:"A name for the statement; refusals mention it."`
	Effect    string                        `yaml:"Effect" json:"Effect" jsonschema:"required,enum=Allow,enum=Deny" jsonschema_description:"Allow or Deny. A Deny wins over every Allow."`
	Action    Strings                       `yaml:"Action" json:"Action" single:"true" jsonschema:"example=iot:Publish" jsonschema_description:"What the statement is about: iot:Connect, iot:Publish, iot:Receive, iot:Subscribe, iot:RetainPublish, ... with * and ? as wildcards."`
	Resource  Strings                       `yaml:"Resource" json:"Resource" single:"true" jsonschema:"example=topic/${iot:ClientId}/*" jsonschema_description:"ARNs, or their last parts: client/ID, topic/TOPIC, topicfilter/FILTER, thing/NAME, function:NAME. * and ? are wildcards, + and # are not; ${iot:ClientId} and other variables stand for what is known of the client."`
	Condition map[string]map[string]Strings `yaml:"Condition" json:"Condition" single:"true" jsonschema_description:"When the statement holds: operator, key, and the values to compare with."`

	// IAM has these and AWS IoT's policies do not; they are here to be refused by name.
	NotAction   Strings `yaml:"NotAction" json:"NotAction" single:"true" jsonschema:"-"`
	NotResource Strings `yaml:"NotResource" json:"NotResource" single:"true" jsonschema:"-"`
}

// Strings is a list of texts, or one text without a list around it.
type Strings []string

// UnmarshalJSON takes both forms, and truth values and numbers as text.
func (s *Strings) UnmarshalJSON(data []byte) error {
	list := []json.RawMessage{data}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
	}
	*s = make(Strings, len(list))
	for i, raw := range list {
		raw = bytes.TrimSpace(raw)
		switch {
		case len(raw) > 0 && raw[0] == '"':
			if err := json.Unmarshal(raw, &(*s)[i]); err != nil {
				return err
			}
		case len(raw) > 0 && strings.IndexByte("tf-0123456789", raw[0]) >= 0:
			(*s)[i] = string(raw)
		default:
			return fmt.Errorf("%.40s must be text", raw)
		}
	}
	return nil
}

// UnmarshalJSON takes a document strictly; Statement may be one or a list.
func (d *Document) UnmarshalJSON(data []byte) error {
	type outline Document // without this method
	var form struct {
		outline
		Statement json.RawMessage `json:"Statement"`
	}
	if err := noDuplicates(json.NewDecoder(bytes.NewReader(data))); err != nil {
		return err
	}
	if err := strict(data, &form); err != nil {
		return err
	}
	*d = Document(form.outline)
	raw := bytes.TrimSpace(form.Statement)
	switch {
	case len(raw) == 0:
		return nil
	case raw[0] == '[':
		return strict(raw, &d.Statement)
	}
	d.Statement = make([]Statement, 1)
	return strict(raw, &d.Statement[0])
}

func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// noDuplicates refuses a JSON value in which an object has a key twice: of two conditions
// encoding/json would drop one, without a word.
func noDuplicates(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			key, _ := t.(string)
			name := key
			if !strings.Contains(key, ":") { // not the key of a condition: encoding/json tells no capitals
				name = strings.ToLower(key)
			}
			if seen[name] {
				return fmt.Errorf("the key %.60q is there twice", key)
			}
			seen[name] = true
		}
		if err := noDuplicates(d); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end
	return err
}

// Parse reads and checks a document in JSON, as a custom authorizer gives it, and
// compiles it. The name is for messages.
func Parse(name string, data []byte) (*Policy, error) {
	var d Document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	var problems []error
	d.Check(func(path, message, remedy string) {
		p := problem{path + ": " + message, remedy}
		problems = append(problems, fmt.Errorf("policy %s: %w", name, &p))
	})
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return Compile(name, &d), nil
}

// language is the version of the policy language.
const language = "2012-10-17"

// Check reports everything that is wrong with the document.
func (d *Document) Check(report func(path, problem, remedy string)) {
	if d.Version != "" && d.Version != language {
		report("Version", fmt.Sprintf("%q is not supported", d.Version), "write "+language)
	}
	if len(d.Statement) == 0 {
		report("Statement", "the policy has no statement", "add Effect, Action and Resource below Statement")
	}
	for i := range d.Statement {
		at := fmt.Sprintf("Statement[%d]", i)
		compileStatement(&d.Statement[i], i, func(path string, p *problem) {
			if path != "" {
				path = "." + path
			}
			report(at+path, p.message, p.remedy)
		})
	}
}

// Warn reports what is right and has no effect, or hardly the one that was meant.
func (d *Document) Warn(report func(path, problem, remedy string)) {
	wildcardClient := d.letsIn("+") || d.letsIn("#")
	for i := range d.Statement {
		s := compileStatement(&d.Statement[i], i, func(string, *problem) {})
		at := fmt.Sprintf("Statement[%d]", i)
		for j, text := range d.Statement[i].Action {
			if set, wrong := parseAction(text); set == 0 && wrong == nil {
				report(fmt.Sprintf("%s.Action[%d]", at, j), text+" has no effect: nothing here asks for it", "leave it: it does no harm")
			}
		}
		need := s.actions.kinds()
		for a := range actions {
			k := table[a].kind
			if s.actions.has(a) && !s.wildcard && s.kinds()&k == 0 {
				report(at, fmt.Sprintf("%s is about %s, and no resource of the statement is one", a, k), "add one, or write the action in a statement of its own")
			}
		}
		for j := range s.resources {
			r := &s.resources[j]
			if need != 0 && r.kinds&need == 0 {
				report(fmt.Sprintf("%s.Resource[%d]", at, j), fmt.Sprintf("%q has no effect: the actions of the statement are about %s", r.text, need), "correct it, or remove it")
			}
			if s.deny {
				continue
			}
			if wildcardClient && r.kinds == kindFilter && r.name.uses(varClientID) && s.actions.has(Subscribe) {
				report(fmt.Sprintf("%s.Resource[%d]", at, j), "a client whose identifier is + or # may subscribe to everybody's topics", "let iot:Connect allow no such identifier: name them, deny client/+ and client/#, or use things")
			}
		}
	}
}

// letsIn reports whether a client of that identifier might connect: by this document, or
// by another if this one does not speak of it.
func (d *Document) letsIn(clientID string) bool {
	p := Compile("", d)
	for i := range p.statements {
		if p.statements[i].actions.has(Connect) {
			return NewSet(p).Bind(&Facts{ClientID: clientID}).Allows(Connect, clientID)
		}
	}
	return true
}

// uses reports whether a variable of some kind is in p.
func (p pattern) uses(kind variableKind) bool {
	for i := range p {
		if p[i].kind == named && p[i].name.kind == kind {
			return true
		}
	}
	return false
}
