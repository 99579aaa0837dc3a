package config

import (
	"os"
	"slices"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// RuleSettings hold for all rules, those of rules_dir among them. They stand under
// `rules` of the configuration file, beside the rules: a rule is never a scalar.
type RuleSettings struct {
	Strict          bool            `yaml:"strict" jsonschema_description:"true refuses rules in which something can never give a value, such as a call with a wrong number of arguments. AWS takes them and gives Undefined; without strict so does topicwire, with a warning."`
	SQLFailures     SQLFailures     `yaml:"sql_failures" jsonschema:"enum=error_action,enum=log" jsonschema_description:"What follows when a function that a statement calls fails: error_action (default) runs the rule's error action, log only logs it, as AWS does."`
	IntegerDivision IntegerDivision `yaml:"integer_division" jsonschema:"enum=truncate,enum=decimal" jsonschema_description:"What Int/Int gives: truncate (default) an Int, 7/2 = 3, as AWS's table of operators says; decimal a Decimal, 7/2 = 3.5, as an example of AWS's has it."`
	Descriptors     string          `yaml:"descriptors" jsonschema:"example=descriptors" jsonschema_description:"A folder with the protobuf FileDescriptorSets that decode(..., 'proto', ...) names by bucket and key: FOLDER/BUCKET/KEY. They are read when they are needed."`
}

// SQLFailures says what follows a statement that could not be run.
type SQLFailures string

// The ways.
const (
	RunErrorAction SQLFailures = "error_action"
	OnlyLog        SQLFailures = "log"
)

// IntegerDivision says what the division of two Ints gives.
type IntegerDivision string

// The results.
const (
	TruncateDivision IntegerDivision = "truncate"
	DecimalDivision  IntegerDivision = "decimal"
)

// The keys of RuleSettings, and the one under which a list of rules stands beside them.
const (
	keyStrict          = "strict"
	keySQLFailures     = "sql_failures"
	keyIntegerDivision = "integer_division"
	keyDescriptors     = "descriptors"
	keyList            = "list"
)

func ruleSettingKeys() []string {
	return []string{keyStrict, keySQLFailures, keyIntegerDivision, keyDescriptors}
}

// splitRules takes the settings out of a document's `rules`: what is left are rules, as
// a rule file has them, and the settings come back as a document of their own.
func (l *loading) splitRules(root *yamldoc.Node) (rest, settings *yamldoc.Node) {
	section, ok := root.Get("rules")
	if !ok || section.Value.Kind() != yamldoc.Map {
		return root, nil
	}
	var own, others []yamldoc.Entry
	var list *yamldoc.Entry
	for _, e := range section.Value.Entries() {
		switch {
		case slices.Contains(ruleSettingKeys(), e.Key) && e.Value.Kind() != yamldoc.Map:
			own = append(own, e)
		case e.Key == keyList && e.Value.Kind() == yamldoc.List:
			list = &e
		default:
			others = append(others, e)
		}
	}
	rules := section.Value.WithEntries(others)
	if list != nil {
		for _, e := range others {
			l.loader.Report(Problem{
				Position: e.KeyPosition(), Path: "rules." + e.Key,
				Message: "rules." + e.Key + ": stands beside rules.list", Remedy: "move the rule into the list",
			})
		}
		rules = list.Value
	}
	entries := slices.Clone(root.Entries())
	for i := range entries {
		if entries[i].Key == "rules" {
			section = entries[i]
			entries[i].Value = rules
		}
	}
	section.Value = section.Value.WithEntries(own)
	return root.WithEntries(entries), root.WithEntries([]yamldoc.Entry{section})
}

// ruleSettings reads the settings and hands them to every rule.
func (l *loading) ruleSettings(doc *yamldoc.Node) {
	if doc == nil {
		return
	}
	var d struct {
		Rules RuleSettings `yaml:"rules"`
	}
	tree := l.loader.Decode(doc, &d)
	d.Rules.Descriptors = l.resolved(d.Rules.Descriptors)
	l.config.RuleSettings = d.Rules
	dir := d.Rules.Descriptors
	if info, err := os.Stat(dir); dir != "" && (err != nil || !info.IsDir()) {
		path := "rules." + keyDescriptors
		l.loader.Report(Problem{Position: tree.At(path), Path: path, Message: path + ": there is no folder " + dir, Remedy: "create it, or remove " + keyDescriptors})
	}
}

// applyRuleSettings hands the settings to every rule, wherever it was read.
func (l *loading) applyRuleSettings() {
	s := &l.config.RuleSettings
	for i := range l.config.Rules {
		r := &l.config.Rules[i]
		r.Silent, r.DecimalDivision = s.SQLFailures == OnlyLog, s.IntegerDivision == DecimalDivision
		r.NoDescriptors = s.Descriptors == ""
	}
}
