package policy

import (
	"fmt"
	"strings"
)

// Action is what a policy is asked about.
type Action byte

// The actions. Each is about a resource of one kind, named in the comment.
const (
	Publish              Action = iota // a topic name
	Subscribe                          // a topic filter; of a shared subscription, its filter part
	Receive                            // a topic name
	Connect                            // a client identifier
	RetainPublish                      // a topic name; in addition to Publish
	GetRetainedMessage                 // a topic name
	ListRetainedMessages               // everything: an empty name
	GetThingShadow                     // THING, or THING/SHADOW
	UpdateThingShadow                  // THING, or THING/SHADOW
	DeleteThingShadow                  // THING, or THING/SHADOW
	ListNamedShadows                   // THING
	GetConnection                      // a client identifier
	DeleteConnection                   // a client identifier
	ListSubscriptions                  // a client identifier
	SendDirectMessage                  // a client identifier
	InvokeFunction                     // the name of a function, or NAME:QUALIFIER
	Debug                              // the server itself, an empty name: profiles
	Metrics                            // the server itself: metrics
	Admin                              // the server itself: what changes or shows its state

	actions // how many there are
)

// kinds are kinds of resource, as a set.
type kinds uint16

const (
	kindClient kinds = 1 << iota
	kindTopic
	kindFilter
	kindThing
	kindFunction
	kindAccount // all that AWS IoT has; it has no name
	kindServer  // the same of this server
	kindForeign // AWS has it, and no action here is about it

	kindsIoT = kindClient | kindTopic | kindFilter | kindThing | kindAccount | kindForeign
	kindsAll = kindsIoT | kindFunction | kindServer
)

// kindNames are the kinds as ARNs spell them, with what separates kind and name.
var kindNames = [...]struct {
	kind   kinds
	prefix string
}{
	{kindClient, "client/"},
	{kindTopic, "topic/"},
	{kindFilter, "topicfilter/"},
	{kindThing, "thing/"},
	{kindFunction, "function:"},
}

// prefix is how names of a kind begin in ARNs.
func (k kinds) prefix() string {
	for _, n := range kindNames {
		if n.kind == k {
			return n.prefix
		}
	}
	return ""
}

// String names the kinds for messages: "topic/NAME or topicfilter/NAME".
func (k kinds) String() string {
	var all []string
	for _, n := range kindNames {
		if k&n.kind != 0 {
			all = append(all, n.prefix+"NAME")
		}
	}
	if k&(kindServer|kindAccount) != 0 || len(all) == 0 {
		all = append(all, "*")
	}
	return strings.Join(all, " or ")
}

// table says of each action how policies spell it and what it is about.
var table = [actions]struct {
	name string
	kind kinds
}{
	Publish:              {"iot:Publish", kindTopic},
	Subscribe:            {"iot:Subscribe", kindFilter},
	Receive:              {"iot:Receive", kindTopic},
	Connect:              {"iot:Connect", kindClient},
	RetainPublish:        {"iot:RetainPublish", kindTopic},
	GetRetainedMessage:   {"iot:GetRetainedMessage", kindTopic},
	ListRetainedMessages: {"iot:ListRetainedMessages", kindAccount},
	GetThingShadow:       {"iot:GetThingShadow", kindThing},
	UpdateThingShadow:    {"iot:UpdateThingShadow", kindThing},
	DeleteThingShadow:    {"iot:DeleteThingShadow", kindThing},
	ListNamedShadows:     {"iot:ListNamedShadowsForThing", kindThing},
	GetConnection:        {"iot:GetConnection", kindClient},
	DeleteConnection:     {"iot:DeleteConnection", kindClient},
	ListSubscriptions:    {"iot:ListSubscriptions", kindClient},
	SendDirectMessage:    {"iot:SendDirectMessage", kindClient},
	InvokeFunction:       {"lambda:InvokeFunction", kindFunction},
	Debug:                {"topicwire:Debug", kindServer},
	Metrics:              {"topicwire:Metrics", kindServer},
	Admin:                {"topicwire:Admin", kindServer},
}

// foreign are actions that AWS IoT's policies may have and that nothing here asks for.
var foreign = [...]string{
	"iot:AssumeRoleWithCertificate",
	"iot:DescribeJobExecution", "iot:GetPendingJobExecutions", "iot:StartNextPendingJobExecution", "iot:UpdateJobExecution",
	"iotjobsdata:DescribeJobExecution", "iotjobsdata:GetPendingJobExecutions",
	"iotjobsdata:StartNextPendingJobExecution", "iotjobsdata:UpdateJobExecution",
	"greengrass:Discover",
}

// String is the action as policies spell it.
func (a Action) String() string {
	if a >= actions {
		return fmt.Sprintf("action %d", byte(a))
	}
	return table[a].name
}

// Resource is the resource of an action on name, as the last part of an ARN spells it:
// "topic/a/b". Of the server itself it is "*".
func (a Action) Resource(name string) string {
	if a >= actions || table[a].kind&(kindServer|kindAccount) != 0 {
		return "*"
	}
	return table[a].kind.prefix() + name
}

// actionSet is a set of actions.
type actionSet uint32

func (s actionSet) has(a Action) bool { return s&(1<<a) != 0 }

// kinds are the kinds of resource that the actions of a set are about.
func (s actionSet) kinds() kinds {
	var k kinds
	for a := range actions {
		if s.has(a) {
			k |= table[a].kind
		}
	}
	return k
}

// parseAction gives the actions that text stands for: one, or with wildcards several.
// None without a problem means that it is an action of AWS's that has no effect here.
func parseAction(text string) (actionSet, *problem) {
	pattern, wrong := parsePattern(text, wild)
	if wrong != nil || pattern.variable() {
		return 0, problemf("write iot:Publish, iot:*, or another action", "action %q cannot have variables", text)
	}
	// Names of actions do not tell capitals (IAM, "Action").
	g := pattern.lower().constant()
	var set actionSet
	for a := range actions {
		if g.match(strings.ToLower(table[a].name)) {
			set |= 1 << a
		}
	}
	if set != 0 {
		return set, nil
	}
	for _, name := range foreign {
		if g.match(strings.ToLower(name)) {
			return 0, nil
		}
	}
	return 0, &problem{fmt.Sprintf("there is no action %q", text), suggest(text, Actions())}
}

// ActionOf finds an action by its name.
func ActionOf(name string) (Action, bool) {
	for a := range actions {
		if strings.EqualFold(table[a].name, name) {
			return a, true
		}
	}
	return 0, false
}

// Actions are the names of all actions.
func Actions() []string {
	names := make([]string, actions)
	for a := range actions {
		names[a] = table[a].name
	}
	return names
}
