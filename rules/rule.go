// Package rules holds topic rules: which messages each one takes, and the compiled
// statement that says what becomes of them. It is pure: no I/O, no clock of its own,
// and it knows nothing of the actions that a rule asks for.
package rules

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/topicwire/topicwire/rules/sql"
)

// Definition is a rule as its author writes it, under the field names of AWS IoT's
// TopicRulePayload. The actions are added by the room that runs them.
// (https://docs.aws.amazon.com/iot/latest/apireference/API_TopicRulePayload.html)
type Definition struct {
	Name        string      `yaml:"name" jsonschema:"pattern=^[a-zA-Z0-9_]+$,maxLength=128" jsonschema_description:"The rule's name: letters, digits and underscores. Left out, it is the file's name or the key it stands under."`
	SQL         string      `yaml:"sql" jsonschema:"required,example=SELECT * FROM 'sensors/+/data' WHERE temperature > 30" jsonschema_description:"The statement in AWS IoT SQL that selects messages and shapes what the actions receive."`
	Version     sql.Version `yaml:"awsIotSqlVersion" jsonschema:"enum=2016-03-23,enum=2015-10-08,enum=beta" jsonschema_description:"The version of AWS IoT SQL; 2016-03-23 if left out, except in JSON TopicRulePayload files, which keep AWS's default of 2015-10-08."`
	Description string      `yaml:"description" jsonschema_description:"What the rule is for, in your words."`
	Disabled    bool        `yaml:"ruleDisabled" jsonschema_description:"A disabled rule is checked and never runs."`

	// Silent: a statement that cannot be run, because a function that it calls fails,
	// runs no error action, as on AWS.
	Silent bool `yaml:"-"`
	// DecimalDivision: two Ints divide to a Decimal; see [sql.DecimalDivision].
	DecimalDivision bool `yaml:"-"`
	// NoDescriptors: decode() of protobuf is refused; see [sql.NoDescriptors].
	NoDescriptors bool `yaml:"-"`
}

// Rule is a definition that compiled. It is immutable and safe for concurrent use.
type Rule struct {
	Definition
	// Program is the compiled statement.
	Program *sql.Program
	// Index is the rule's place in the Set that holds it.
	Index int

	filter string // FROM; empty for a rule reached through Basic Ingest alone
}

// What can be wrong with a definition besides its statement.
var (
	ErrNoName = errors.New("the rule has no name")
	ErrName   = errors.New("not a rule name: use 1 to 128 letters, digits and underscores")
	ErrNoSQL  = errors.New("the rule has no sql")
)

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9_]{1,128}$`)

// CheckName reports why name cannot name a rule, or nil.
func CheckName(name string) error {
	switch {
	case name == "":
		return ErrNoName
	case !nameForm.MatchString(name):
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}

// Compile turns a definition into a rule. A statement that does not compile gives a
// *sql.Error with its place.
func Compile(d Definition) (*Rule, error) {
	if err := CheckName(d.Name); err != nil {
		return nil, err
	}
	if d.SQL == "" {
		return nil, fmt.Errorf("rule %s: %w", d.Name, ErrNoSQL)
	}
	if d.Version == "" {
		d.Version = sql.V20160323
	}
	var options []sql.Option
	if d.DecimalDivision {
		options = append(options, sql.DecimalDivision)
	}
	if d.NoDescriptors {
		options = append(options, sql.NoDescriptors)
	}
	p, err := sql.Compile(d.SQL, d.Version, options...)
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", d.Name, err)
	}
	filter, _ := p.Filter()
	return &Rule{Definition: d, Program: p, filter: filter}, nil
}

// Filter is the topic filter of the rule's FROM clause; empty if it has none, and
// then only Basic Ingest reaches it.
func (r *Rule) Filter() string { return r.filter }
