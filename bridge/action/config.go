package action

import (
	"errors"
	"strconv"
	"strings"
)

// Config is one action of a rule as its author writes it: an object with the action's
// kind as a key and, beside it, how the action is to be worked off. The kinds' keys and
// fields are those of AWS IoT's Action object; what is ours is said so.
// (https://docs.aws.amazon.com/iot/latest/apireference/API_Action.html)
type Config struct {
	Lambda    *LambdaConfig    `yaml:"lambda" jsonschema_description:"Invoke a function with the rule's result and publish what it answers."`
	HTTP      *HTTPConfig      `yaml:"http" jsonschema_description:"POST the rule's result to a URL and publish what it answers."`
	Republish *RepublishConfig `yaml:"republish" jsonschema_description:"Publish the rule's result to another topic."`

	Retry     *RetryConfig `yaml:"retry" jsonschema_description:"How hard to try. Without it an action of a QoS 0 message is tried once."`
	OrderedBy string       `yaml:"ordered_by" jsonschema:"example=client" jsonschema_description:"What keeps its order: client, topic, none (the default), or an SQL expression over the message. Messages with the same value are worked off one after the other, as they were published, retries included; others go on meanwhile."`
	Batch     *BatchConfig `yaml:"batch" jsonschema_description:"With lambda and http: hand several messages to one invocation."`
}

// Report takes one problem: where, relative to the value that is checked, what, and
// how to put it right.
type Report = func(path, problem, remedy string)

// Check reports what is wrong with the action's form. What needs the rule's statement,
// the templates, is checked by [Config.Compile].
func (c Config) Check(report Report) {
	var names []string
	for _, k := range kinds {
		if s := k.settings(c); s != nil {
			names = append(names, k.name)
			s.check(func(path, problem, remedy string) { report(join(k.name, path), problem, remedy) })
		}
	}
	c.Retry.check(func(path, problem, remedy string) { report(join("retry", path), problem, remedy) })
	if c.Batch != nil {
		c.Batch.check(func(path, problem, remedy string) { report(join("batch", path), problem, remedy) })
		if c.Lambda == nil && c.HTTP == nil && len(names) == 1 {
			report("batch", "is for lambda and http actions", "remove it: "+names[0]+" takes one message at a time")
		}
		if l := c.Lambda; l != nil && l.Reply != nil && l.Reply.Stream || c.HTTP != nil && c.HTTP.Reply != nil && c.HTTP.Reply.Stream {
			report("batch", "one answer to several messages cannot be streamed to each", "remove batch, or stream from the reply")
		}
	}
	switch len(names) {
	case 0:
		report("", "the action is empty", "write one of "+kindNames())
	case 1:
	default:
		report("", "one action has "+strings.Join(names, " and "), "make an action of each: a list item with one key")
	}
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// Value is a field that may be a number, a truth value, or text with a ${} template
// that gives one.
type Value string

var errNotScalar = errors.New("is a list or a map: write a number, true or false, or a template in quotes")

// UnmarshalConfig takes any scalar.
func (v *Value) UnmarshalConfig(value any) error {
	switch x := value.(type) {
	case string:
		*v = Value(x)
	case int64:
		*v = Value(strconv.FormatInt(x, 10))
	case float64:
		*v = Value(strconv.FormatFloat(x, 'g', -1, 64))
	case bool:
		*v = Value(strconv.FormatBool(x))
	default:
		return errNotScalar
	}
	return nil
}

// Error is one thing that is wrong with an action, found when it was compiled. If a
// template is the cause, errors.As finds its *sql.Error.
type Error struct {
	// Path leads to the field from where the action stands, for instance
	// "actions[0].lambda.reply.topic".
	Path string
	// Problem says what is wrong.
	Problem string
	// Remedy says what to do about it.
	Remedy string
	// Err is the cause; may be nil.
	Err error
}

// Error puts all of it on one line.
func (e *Error) Error() string {
	s := e.Problem
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.Remedy != "" {
		s += " (" + e.Remedy + ")"
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// join puts a relative path behind another.
func join(base, path string) string {
	switch {
	case base == "":
		return path
	case path == "":
		return base
	case path[0] == '[':
		return base + path
	default:
		return base + "." + path
	}
}
