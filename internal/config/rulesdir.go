package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// ruleDocument is a document of a rule file: one rule, a list of them, or {rules: ...}.
type ruleDocument struct {
	Rules Rules `yaml:"rules"`
}

// rulesDir reads the rules in rules_dir, in the order of the files' names. Files that
// begin with a dot are none of ours: Kubernetes keeps its own there.
func (l *loading) rulesDir() {
	dir := l.config.RulesDir
	if dir == "" || l.main == nil || l.main.Tainted("rules_dir") {
		return
	}
	l.files = append(l.files, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		problem, remedy := "cannot read the folder "+dir+": "+yamldoc.Reason(err), "correct its permissions"
		if info, statErr := os.Stat(dir); os.IsNotExist(statErr) {
			problem, remedy = "there is no folder "+dir, "create it, or remove rules_dir"
		} else if statErr == nil && !info.IsDir() {
			problem, remedy = dir+" is a file", "name the folder that it is in"
		}
		l.loader.Report(Problem{Position: l.main.At("rules_dir"), Path: "rules_dir", Message: "rules_dir: " + problem, Remedy: remedy})
		return
	}
	for _, e := range entries {
		name := e.Name()
		switch strings.ToLower(filepath.Ext(name)) {
		case ".yaml", ".yml", ".json":
		default:
			continue
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); strings.HasPrefix(name, ".") || err == nil && info.IsDir() {
			continue
		}
		l.ruleFile(path)
	}
}

// ruleFile reads every document of a file.
func (l *loading) ruleFile(path string) {
	docs, ok := l.read(path, "remove it, or make it readable")
	if !ok {
		return
	}
	var found Rules
	var origins []origin
	for _, doc := range docs {
		r, o := l.ruleDocument(doc)
		found, origins = append(found, r...), append(origins, o...)
	}
	ext := filepath.Ext(path)
	base := strings.TrimSuffix(filepath.Base(path), ext)
	for i := range found {
		r, o := &found[i], origins[i]
		if r.Name == "" && len(found) == 1 && rules.CheckName(base) == nil {
			r.Name = base
		}
		// A TopicRulePayload that names no version means AWS's default. YAML is ours.
		if r.Version == "" && strings.EqualFold(ext, ".json") && !o.tree.Tainted(yamldoc.Join(o.path, "awsIotSqlVersion")) {
			r.Version = sql.V20151008
		}
	}
	l.config.Rules = append(l.config.Rules, found...)
	l.config.origins = append(l.config.origins, origins...)
}

// ruleDocument reads one document in whichever of the three forms it has.
func (l *loading) ruleDocument(doc *yamldoc.Node) (Rules, []origin) {
	var d ruleDocument
	var tree *yamldoc.Tree
	prefix := ""
	_, wrapped := doc.Get("rules")
	switch {
	case doc.Kind() == yamldoc.Null:
		return nil, nil
	case wrapped:
		tree, prefix = l.loader.Decode(doc, &d), "rules"
	case doc.Kind() == yamldoc.List:
		tree = l.loader.Decode(doc, &d.Rules)
	default:
		d.Rules = make(Rules, 1)
		tree = l.loader.Decode(ruleNode(doc), &d.Rules[0])
		return d.Rules, []origin{{tree, ""}}
	}
	origins := make([]origin, len(d.Rules))
	for i := range origins {
		origins[i] = origin{tree, at(prefix, i)}
	}
	return d.Rules, origins
}
