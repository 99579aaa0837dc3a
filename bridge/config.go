package bridge

import (
	"errors"
	"fmt"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// RuleConfig is a rule as its author writes it, under the names of AWS IoT's
// TopicRulePayload.
// (https://docs.aws.amazon.com/iot/latest/apireference/API_TopicRulePayload.html)
type RuleConfig struct {
	rules.Definition `yaml:",inline"`
	Actions          []action.Config  `yaml:"actions" jsonschema_description:"What is done with the rule's result. Each action runs on its own: one that fails does not stop the others."`
	ErrorAction      *action.Config   `yaml:"errorAction" jsonschema_description:"What is done, once a message, when actions of the rule have failed: it gets AWS's error document."`
	Ack              string           `yaml:"ack" jsonschema:"enum=stored,enum=done" jsonschema_description:"When a QoS 1 or 2 message that the rule takes is acknowledged to its publisher: when it is safe in the outbox (stored, the default), or when the rule's actions have ended (done), at most 30 seconds later. Failures are told by a reason code in MQTT 5."`
	Tests            []rules.TestCase `yaml:"tests" jsonschema_description:"Tests of the rule, for topicwire rules test: a message, and what comes of it. The server does not run them."`
}

// maxActions is AWS's limit on a rule's actions.
const maxActions = 10

// Check reports what is wrong with the rule: its name, if it has one already, its
// statement and the templates of its actions. Whether the functions exist is seen by
// [Compile], and the form of each action by the action's own Check.
func (c RuleConfig) Check(report func(path, problem, remedy string)) {
	if c.Name != "" {
		if err := rules.CheckName(c.Name); err != nil {
			report("name", err.Error(), "choose another name")
		}
	}
	if len(c.Actions) > maxActions {
		report("actions", fmt.Sprintf("the rule has %d actions, and AWS takes %d at most", len(c.Actions), maxActions), "make two rules of it")
	}
	switch c.Ack {
	case "", ackStored, ackDone:
	default:
		report("ack", fmt.Sprintf("%q is neither stored nor done", c.Ack), "write ack: stored or ack: done")
	}
	for i, t := range c.Tests {
		if _, err := testSource(t); err != nil {
			report(fmt.Sprintf("tests[%d].source_ip", i), "is not an IP address", "write one, such as 192.0.2.7")
		}
	}
	version := c.version()
	if c.SQL == "" {
		report("sql", rules.ErrNoSQL.Error(), "write sql: SELECT * FROM 'TOPIC/FILTER'")
		return
	}
	program, err := sql.Compile(c.SQL, version)
	if err != nil {
		report("sql", err.Error(), "correct the statement")
		return
	}
	for _, a := range c.listed() {
		_, err := a.config.Compile(a.path, version, program)
		eachActionError(err, func(e *action.Error) {
			if e.Err != nil { // the others are reported by the action's own Check
				report(e.Path, e.Problem, e.Remedy)
			}
		})
	}
}

func (c RuleConfig) version() sql.Version {
	if c.Version == "" {
		return sql.V20160323
	}
	return c.Version
}

// listedAction is an action and where it stands in the rule.
type listedAction struct {
	path   string
	config action.Config
}

func (c RuleConfig) listed() []listedAction {
	list := make([]listedAction, 0, len(c.Actions)+1)
	for i, a := range c.Actions {
		list = append(list, listedAction{fmt.Sprintf("actions[%d]", i), a})
	}
	if c.ErrorAction != nil {
		list = append(list, listedAction{"errorAction", *c.ErrorAction})
	}
	return list
}

// eachActionError takes joined errors apart.
func eachActionError(err error, f func(*action.Error)) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			eachActionError(e, f)
		}
		return
	}
	if e, ok := errors.AsType[*action.Error](err); ok {
		f(e)
	}
}
