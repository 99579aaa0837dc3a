package config

import (
	"fmt"
	"slices"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// Rules are rules as a file has them: a list of rules with a name each, or a map from
// name to rule.
type Rules []bridge.RuleConfig

// DecodeNode takes both forms.
func (r *Rules) DecodeNode(d *yamldoc.Decoder, n *yamldoc.Node, path string) {
	switch n.Kind() {
	case yamldoc.Null:
	case yamldoc.List:
		*r = make(Rules, len(n.Items()))
		for i, item := range n.Items() {
			d.Element(ruleNode(item), at(path, i), &(*r)[i])
		}
	case yamldoc.Map:
		if sql, ok := n.Get("sql"); ok && sql.Value.Kind() == yamldoc.Scalar {
			d.Problem(n.Position(), path, "is one rule, must be a list of rules or a map from name to rule", `write "- " before its first key`)
			return
		}
		*r = make(Rules, len(n.Entries()))
		for i, e := range n.Entries() {
			rule := &(*r)[i]
			e.Value = ruleNode(e.Value)
			d.Entry(e, at(path, i), rule)
			if name, ok := e.Value.Get("name"); ok && rule.Name != e.Key {
				d.Problem(name.Value.Position(), at(path, i)+".name",
					fmt.Sprintf("the rule stands under %q and has another name", e.Key), "remove one of the two names")
			}
			rule.Name = e.Key
		}
	default:
		d.WrongKind(n, path, "a list or a map of rules", `write "- name: NAME" and "sql: SELECT ..." for each rule`)
	}
}

func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// The keys around a rule where the AWS command line writes it, as for
// `aws iot create-topic-rule --cli-input-json`.
const (
	keyRuleName = "ruleName"
	keyPayload  = "topicRulePayload"
)

// ruleNode brings the AWS command line's form of a rule,
// {"ruleName": ..., "topicRulePayload": {...}}, into ours. Everything keeps its place.
func ruleNode(n *yamldoc.Node) *yamldoc.Node {
	if n.Kind() != yamldoc.Map {
		return n
	}
	_, named := n.Get("name")
	_, awsNamed := n.Get(keyRuleName)
	payload, nested := n.Get(keyPayload)
	nested = nested && payload.Value.Kind() == yamldoc.Map
	if !nested && (named || !awsNamed) {
		return n
	}
	var entries []yamldoc.Entry
	for _, e := range n.Entries() {
		switch {
		case e.Key == keyRuleName && !named:
			entries = append(entries, e.Renamed("name"))
		case e.Key == keyPayload && nested:
			for _, inner := range payload.Value.Entries() {
				if !slices.ContainsFunc(n.Entries(), func(o yamldoc.Entry) bool { return o.Key == inner.Key }) {
					entries = append(entries, inner)
				}
			}
		default:
			entries = append(entries, e)
		}
	}
	return n.WithEntries(entries)
}
