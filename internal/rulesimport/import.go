// Package rulesimport makes topicwire's configuration of topic rules that were written
// for AWS IoT: CloudFormation and SAM templates, serverless.yml, Terraform's JSON, and
// the payloads of AWS's own API. It reads what it is given and nothing else: no file
// that another one names, no environment variable, no network. What it cannot do it
// says, with its place; it leaves nothing out in silence.
package rulesimport

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// Format is the form in which rules are written.
type Format string

// The formats.
const (
	Auto           Format = "auto"           // told by the file's content
	CloudFormation Format = "cloudformation" // templates, YAML or JSON, CDK's among them
	SAM            Format = "sam"            // the same: a template may hold both
	Serverless     Format = "serverless"     // serverless.yml
	Terraform      Format = "terraform"      // terraform show -json, of a plan or a state
	Payload        Format = "payload"        // TopicRulePayload, aws iot get-topic-rule
)

// File is a file to import.
type File struct {
	// Name is its path; paths in it start at its folder.
	Name string
	Data []byte
}

// Options say how to import.
type Options struct {
	// From is the files' format; "" is [Auto].
	From Format
	// Params are values of parameters and of whatever else a file does not say, by
	// the names under which problems ask for them.
	Params map[string]string
	// SkipUnsupported leaves out what topicwire cannot do, with a comment and a
	// warning, instead of refusing it.
	SkipUnsupported bool
	// Dir is the folder that the result will stand in; paths in it start there. Empty
	// is the working folder.
	Dir string
}

// Result is an imported configuration.
type Result struct {
	// YAML is the configuration: rules, and the functions that they call.
	YAML []byte
	// Rules is how many rules it has.
	Rules int
	// Warnings are what has been left out or needs a look.
	Warnings yamldoc.Problems
}

// ErrNoRules is returned when the files have no rules.
var ErrNoRules = errors.New("there is no rule in what was read")

// Import makes one configuration of files. If something is missing, or cannot be
// done, the error is [yamldoc.Problems]: everything at once, with places and remedies.
func Import(files []File, o Options) (*Result, error) {
	im := &importer{options: o, params: newParams(o.Params), locals: make(map[string]*lambda), asked: make(map[string]bool)}
	for _, f := range files {
		im.file(f)
	}
	var done []finished
	names := make(map[string]*node)
	for _, r := range im.rules {
		if first, ok := names[r.name]; ok {
			im.problem(r.at, "there are two rules named "+r.name, "rename one of them: the other is at "+first.position().String())
			continue
		}
		names[r.name] = r.at
		done = append(done, im.finish(r))
	}
	if len(im.problems) > 0 {
		return nil, unrepeated(im.problems)
	}
	if len(done) == 0 {
		return nil, ErrNoRules
	}
	for _, name := range im.params.unused() {
		im.warnings = append(im.warnings, yamldoc.Problem{
			Position: yamldoc.Position{File: "--param " + name}, Message: "nothing asks for it", Remedy: "correct the name", Warning: true,
		})
	}
	var w writer
	im.write(&w, files, done)
	return &Result{YAML: w.bytes(), Rules: len(done), Warnings: unrepeated(im.warnings)}, nil
}

// importer is one import under way.
type importer struct {
	options            Options
	params             *params
	dir                string // of the file being read
	rules              []rule
	functions          []*lambda
	locals             map[string]*lambda // by every name they have
	asked              map[string]bool    // the names that problems ask for
	problems, warnings yamldoc.Problems
}

// rule is a rule as it was read.
type rule struct {
	name string
	at   *node
	// payload is an AWS TopicRulePayload, its keys in the API's form, resolved.
	payload *node
	// function is set for the rules of SAM and Serverless that belong to one.
	function *lambda
}

func (im *importer) problem(at *node, message, remedy string) {
	im.problems = append(im.problems, yamldoc.Problem{Position: at.position(), Message: message, Remedy: remedy, Source: at.source()})
}

func (im *importer) warn(at *node, message, remedy string) {
	im.warnings = append(im.warnings, yamldoc.Problem{Position: at.position(), Message: message, Remedy: remedy, Source: at.source(), Warning: true})
}

// unrepeated drops what was said before: a value may be used in several places.
func unrepeated(all yamldoc.Problems) yamldoc.Problems {
	type key struct {
		yamldoc.Position
		message, remedy string
	}
	seen := make(map[key]bool, len(all))
	var out yamldoc.Problems
	for _, p := range all {
		k := key{p.Position, p.Message, p.Remedy}
		if !seen[k] {
			seen[k] = true
			out = append(out, p)
		}
	}
	return out
}

// file reads the rules of one file.
func (im *importer) file(f File) {
	im.dir = filepath.Dir(f.Name)
	root, problem := read(f.Name, f.Data)
	if problem != nil {
		im.problems = append(im.problems, *problem)
		return
	}
	format := im.options.From
	if format == "" || format == Auto {
		format = guess(root)
	}
	switch format {
	case CloudFormation, SAM:
		if root.get("Resources").kind != mapKind {
			im.problem(root, "a CloudFormation template has Resources, and this has none", "give another file, or another --from")
			return
		}
		im.template(newTemplate(root, im.params))
	case Serverless:
		im.serverless(root)
	case Terraform:
		im.terraform(root)
	case Payload:
		im.payloads(root, strings.TrimSuffix(filepath.Base(f.Name), filepath.Ext(f.Name)))
	default:
		if root.get("rules").kind == listKind && len(root.get("rules").items) > 0 && root.get("rules").items[0].has("topicPattern") {
			im.problem(root, "this is the output of aws iot list-topic-rules, which lacks the rules' statements", "give that of aws iot get-topic-rule --rule-name NAME, for all of them one behind the other")
			return
		}
		im.problem(root, "this is no CloudFormation template, no serverless.yml, no output of terraform show -json and no TopicRulePayload", "name its format with --from")
	}
}

// guess tells a file's format by its content; Auto if it is none that we know.
func guess(root *node) Format {
	switch {
	case root.get("Resources").kind == mapKind:
		return CloudFormation
	case root.has("service") && (root.has("provider") || root.has("functions")):
		return Serverless
	case root.has("format_version") && (root.has("values") || root.has("planned_values")):
		return Terraform
	case root.has("sql") || root.has("topicRulePayload") || root.get("rule").has("sql"):
		return Payload
	case root.kind == listKind && len(root.items) > 0:
		if f := guess(root.items[0]); f == Payload {
			return f
		}
	}
	return Auto
}

// payloads reads TopicRulePayload objects, alone, in a list, in the form of
// `aws iot create-topic-rule --cli-input-json`, or as `aws iot get-topic-rule` prints them.
func (im *importer) payloads(n *node, name string) {
	for i, item := range n.items {
		im.payloads(item, fmt.Sprintf("%s_%d", name, i+1))
	}
	if n.kind == listKind {
		return
	}
	payload := n
	for _, key := range []string{"rule", "topicRulePayload"} {
		if n.get(key).kind == mapKind {
			payload = n.get(key)
		}
	}
	for _, from := range []*node{n, payload} {
		if from.get("ruleName").text != "" {
			name = from.get("ruleName").text
		}
	}
	if payload.kind != mapKind {
		im.problem(n, "a rule is an object, and this is "+n.describe(), "write an object with sql and actions")
		return
	}
	im.add(n, name, payload.without("ruleName", "createdAt"), nil)
}

// add takes a rule and makes its name legal.
func (im *importer) add(at *node, name string, payload *node, of *lambda) {
	legal := legalName(name)
	if legal != name {
		im.warn(at, fmt.Sprintf("%q is no name of a rule", name), "it is written as "+legal)
	}
	im.rules = append(im.rules, rule{name: legal, at: at, payload: payload, function: of})
}

// legalName makes a rule's name of a text.
func legalName(name string) string {
	legal := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z') {
			return r
		}
		return '_'
	}, name)
	if legal == "" {
		legal = "rule"
	}
	return legal[:min(len(legal), 128)]
}
