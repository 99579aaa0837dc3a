package rulesimport_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
	"github.com/topicwire/topicwire/internal/rulesimport"
)

// FuzzImport wants problems or a configuration that loads, whatever it reads.
func FuzzImport(f *testing.F) {
	for _, p := range problems {
		f.Add([]byte(p.text))
	}
	for _, tt := range templates {
		data, err := os.ReadFile(filepath.Join("testdata", "sam", tt.file))
		if err == nil {
			f.Add(data)
		}
	}
	for _, bomb := range []string{
		"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nResources: {R: {Type: 'AWS::IoT::TopicRule', Properties: {TopicRulePayload: {Sql: *c}}}}",
		"service: s\nprovider: {}\ncustom: {a: '${self:custom.b}${self:custom.b}', b: '${self:custom.c}${self:custom.c}', c: x}\nfunctions: {f: {events: [{iot: {sql: '${self:custom.a}'}}]}}",
		"a: &a\n  <<: *a\n", "? [a]\n: b", "!Sub", "- !Ref", "Resources: {R: !If [a, b, c]}", "[", "{\"a\":", "- - - -", "Resources: !Sub x",
	} {
		f.Add([]byte(bomb))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := rulesimport.Import([]rulesimport.File{{Name: "f.yaml", Data: data}}, rulesimport.Options{SkipUnsupported: true})
		if err == nil {
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, r.YAML, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := config.Load(path)
			var wrong *config.Error
			if err != nil && !errors.As(err, &wrong) {
				t.Fatal(err)
			}
			for _, p := range problemsOf(wrong) { // functions may be left to the user
				if !strings.Contains(p.Message, "under functions") {
					t.Fatalf("does not load:\n%v\n%s", p, r.YAML)
				}
			}
			return
		}
		var wrong yamldoc.Problems
		if !errors.As(err, &wrong) && !errors.Is(err, rulesimport.ErrNoRules) || err.Error() == "" {
			t.Fatalf("%T: %v", err, err)
		}
	})
}

func problemsOf(e *config.Error) config.Problems {
	if e == nil {
		return nil
	}
	return e.Problems
}

// written is the part of the result that carries texts.
type written struct {
	Rules []struct {
		Name        string `yaml:"name"`
		Description string `yaml:"description"`
		Version     string `yaml:"awsIotSqlVersion"`
		SQL         string `yaml:"sql"`
		Disabled    bool   `yaml:"ruleDisabled"`
		Actions     []any  `yaml:"actions"`
		ErrorAction any    `yaml:"errorAction"`
	} `yaml:"rules"`
}

func parsed(t *testing.T, text []byte) (written, yamldoc.Problems) {
	t.Helper()
	var w written
	l := yamldoc.NewLoader(yamldoc.Options{Env: func(string) (string, bool) { return "", false }})
	for _, doc := range l.Parse("want.yaml", text) {
		l.Decode(doc, &w)
	}
	var wrong yamldoc.Problems
	for _, p := range l.Problems() {
		if !p.Warning && p.Path == "" { // others are about ${}, which Decode takes for its own here
			wrong = append(wrong, p)
		}
	}
	return w, wrong
}

// TestTexts writes texts of every kind and reads them with the loader.
func TestTexts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		description := rapid.OneOf(
			rapid.StringMatching(`[ -~]{0,160}`), rapid.StringMatching(`[a-z #:'"\n\t{}\[\]&*!|>%@-]{0,60}`), rapid.String(),
			rapid.SampledFrom([]string{"true", "no", "1e3", "0x1f", "~", "null", ".5", "- a", "a: b", "a #b", "#a", "'", "\"", "a:", "2016-03-23", "?", "a\n", "\na", "a\n b"}),
		).Filter(utf8.ValidString).Draw(rt, "text")
		data := `{"ruleName":"r","sql":"SELECT * FROM 'a'","description":` + quote(description) + `}`
		r, err := rulesimport.Import([]rulesimport.File{{Name: "f.json", Data: []byte(data)}}, rulesimport.Options{})
		if err != nil {
			rt.Skip(err.Error())
		}
		w, wrong := parsed(t, r.YAML)
		if len(wrong) > 0 || len(w.Rules) != 1 {
			rt.Fatalf("%v\n%s", wrong, r.YAML)
		}
		if d := cmp.Diff(description, w.Rules[0].Description); d != "" && !hasReference(description) {
			rt.Fatalf("%s\n%s", d, r.YAML)
		}
	})
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// hasReference reports a ${, which the loader replaces outside of rules.
func hasReference(s string) bool { return strings.Contains(s, "${") }
