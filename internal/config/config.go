// Package config reads the configuration file: it composes the Config structs of the
// rooms, loads the rules beside it, checks what only shows when all of it is seen
// together, and watches the files. What is wrong comes back at once as [Problems],
// each with its place and a remedy. It starts nothing and opens no port.
package config

import (
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
	"github.com/topicwire/topicwire/internal/natsd"
	"github.com/topicwire/topicwire/internal/obs"
)

// Config is a configuration that has been checked. Paths of listen.tls, store
// and rules_dir are resolved against the configuration file's folder; paths of functions start at
// Dir and are resolved by whoever runs them. The holder treats it as read-only.
type Config struct {
	broker.Config `yaml:",inline"`

	Store     natsd.Config               `yaml:"store" jsonschema_description:"Where sessions, queues, retained messages and the outbox are kept."`
	Outbox    outbox.Config              `yaml:"outbox" jsonschema_description:"Bounds of what waits for functions, and of what was given up."`
	Functions map[string]function.Config `yaml:"functions" jsonschema_description:"The functions that rules may call, by name. Each is one of: an emulated Lambda (runtime and path), a real one (lambda), or an HTTP endpoint (http)."`
	Rules     Rules                      `yaml:"rules" jsonschema_description:"Topic rules: a list, or a map from name to rule. The map may hold settings for all rules besides: strict, sql_failures, integer_division; a list of rules then stands under list."`
	RulesDir  string                     `yaml:"rules_dir" jsonschema:"example=rules" jsonschema_description:"A folder with more rules: each .yaml, .yml or .json file in it holds a rule, a list of rules, or {rules: [...]}. AWS IoT TopicRulePayload files are such files."`
	Routes    []grip.RouteConfig         `yaml:"routes" jsonschema_description:"Which requests of the HTTP listener go to which function: plain WebSockets, long polling and HTTP streams."`
	Grip      grip.Config                `yaml:"grip" jsonschema_description:"What routes share: the door for publishing to them, keys, history."`
	Doors     Doors                      `yaml:"doors" jsonschema_description:"AWS's interfaces on the HTTP listener, for the aws command line and AWS's SDKs."`
	Log       obs.Config                 `yaml:"log" jsonschema_description:"The server's log, on standard error."`

	// RuleSettings stand under rules as well.
	RuleSettings RuleSettings `yaml:"-"`

	// Path is the configuration file as it was named, Dir its folder.
	Path, Dir string `yaml:"-"`
	// Files are the files and folders that the configuration was read from: the file
	// itself, rules_dir and its files, and what ${file:...} names. See [NewWatcher].
	Files []string `yaml:"-"`
	// Warnings are what works but hardly as meant.
	Warnings Problems `yaml:"-"`

	main    *yamldoc.Tree // of the configuration file
	origins []origin      // of Rules, in their order
}

// origin is where a rule was read.
type origin struct {
	tree *yamldoc.Tree
	path string // in the tree
}

// defaultConfig is what an empty file means.
func defaultConfig() Config {
	return Config{Config: broker.Config{Listen: listen.DefaultConfig()}}
}

// Problem is one thing that is wrong with a configuration, with its place and remedy.
type Problem = yamldoc.Problem

// Problems is everything that is wrong with a configuration, as one error: in the
// order of the files, then of the lines. It marshals to JSON as a list.
type Problems = yamldoc.Problems

// Error is why a configuration did not load. errors.As finds its [Problems].
type Error struct {
	// Problems are never empty and have no warnings among them.
	Problems Problems
	// Files are those that would have been in [Config.Files], as far as they became
	// known: what to watch for somebody correcting them.
	Files []string
}

// Error writes all problems, one below the other.
func (e *Error) Error() string { return e.Problems.Error() }

// Unwrap is the problems.
func (e *Error) Unwrap() error { return e.Problems }

// Explain gives the errors of [bridge.Compile] on the rules of c, and those of
// [auth.Authenticator.Prepare] on its methods, their places in the files. Other errors
// come back as they are.
func (c *Config) Explain(err error) error { return explain(c, err) }

// At gives an error about the value at a path, and what to do about it, their place in the
// configuration file.
func (c *Config) At(path string, err error, remedy string) error {
	return Problems{c.problemAt(path, err.Error(), remedy)}
}

// Warn adds a warning about the value at a path, which only showed after loading.
func (c *Config) Warn(path, problem, remedy string) {
	p := c.problemAt(path, problem, remedy)
	p.Warning = true
	c.Warnings = append(c.Warnings, p)
}

func (c *Config) problemAt(path, problem, remedy string) Problem {
	p := Problem{Position: yamldoc.Position{File: c.Path}, Path: path, Message: prefixed(path, problem), Remedy: remedy}
	if c.main == nil {
		return p
	}
	p.Position = c.main.At(path)
	return c.main.Described(p)
}

// Where is the place of a rule in the files, for messages: the rule's index in Rules.
func (c *Config) Where(rule int) string {
	if rule < 0 || rule >= len(c.origins) {
		return ""
	}
	o := c.origins[rule]
	return o.tree.At(o.path).String()
}
