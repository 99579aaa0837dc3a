package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/topicwire/topicwire/internal/config"
)

// compile makes a validator of a schema.
func compile(t *testing.T, make func() ([]byte, error)) *jsonschema.Schema {
	t.Helper()
	data, err := make()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value decodes YAML with a decoder that is not ours.
func value(text string) (any, error) {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(data))
}

// TestSchemaFiles compares the files that editors use with what the structs give.
func TestSchemaFiles(t *testing.T) {
	t.Parallel()
	for file, make := range map[string]func() ([]byte, error){
		"schema/topicwire.schema.json": config.Schema,
		"schema/rules.schema.json":     config.RuleSchema,
	} {
		data, err := make()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			writeFile(t, file, string(data))
		}
		onDisk, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(onDisk), string(data)); d != "" {
			t.Errorf("%s is out of date, run make schema (-file +structs):\n%s", file, d)
		}
	}
}

// TestSchemaReferences looks for definitions that are missing, unused or unnamed, and
// for keys without a word of explanation.
func TestSchemaReferences(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() ([]byte, error){"config": config.Schema, "rules": config.RuleSchema} {
		data, err := make()
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Defs map[string]struct {
				Properties map[string]struct{ Description string } `json:"properties"`
			} `json:"$defs"`
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		refs := references(data)
		for def, d := range doc.Defs {
			if !refs[def] {
				t.Errorf("%s: nothing refers to %q", name, def)
			}
			for key, p := range d.Properties {
				if p.Description == "" && !strings.Contains(def, "rappedRule") && def != "config.ruleDocument" {
					t.Errorf("%s: %s.%s has no description", name, def, key)
				}
				if key[0] >= 'A' && key[0] <= 'Z' && def != "policy.Statement" && def != "auth.PolicyDocument" { // AWS's own
					t.Errorf("%s: %s.%s is no key of ours", name, def, key)
				}
			}
		}
		for r := range refs {
			if _, ok := doc.Defs[r]; !ok {
				t.Errorf("%s: %q is not defined", name, r)
			}
		}
	}
}

var refForm = regexp.MustCompile(`"\$ref": "#/\$defs/([^"]*)"`)

func references(data []byte) map[string]bool {
	refs := make(map[string]bool)
	for _, m := range refForm.FindAllSubmatch(data, -1) {
		refs[string(m[1])] = true
	}
	return refs
}

// TestSchemaOnRepository validates the configurations and rule files that we ship, and
// loads them.
func TestSchemaOnRepository(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	configs, err := filepath.Glob(filepath.Join(root, "examples", "*", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ruleFiles, err := filepath.Glob(filepath.Join(root, "examples", "*", "rules", "*"))
	if err != nil {
		t.Fatal(err)
	}
	configs = append(configs, filepath.Join(root, "config.yaml"))
	validate := func(s *jsonschema.Schema, file string) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := value(string(data))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, file := range configs {
		validate(compile(t, config.Schema), file)
		if _, err := config.LoadWith(file, environment); err != nil {
			t.Errorf("does not load:\n%v", err)
		}
	}
	for _, file := range ruleFiles {
		validate(compile(t, config.RuleSchema), file)
	}
}

// Cases whose problem no schema can see: it takes a look at several places, into a
// statement, into the environment, or at the file system.
var beyondSchema = regexp.MustCompile(`^(sql_|template_|listen_(dollar|nowhere|bad_address|exposed|twice|tls)|function_(name|not_declared|none_declared|env|file|url|arn|runtime|secret|by|duplicate)` +
	`|routes_no_http|auth_(anonymous|order|beyond)|policy_file|rules_dir|rules_descriptors|rules_map_two_names|rule_(duplicate|many|empty_sql)|action_bad_qos|anchors|second_document|syntax|listen_number|store_nats_(wrong|replicas))`)

// TestSchemaAgrees runs the cases of the loader, and wants the schema to accept what
// the loader accepts and to refuse what it refuses.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	s := compile(t, config.Schema)
	files, err := filepath.Glob("testdata/*.case")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".case")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		input, want, _ := strings.Cut(string(data), dashes)
		good := strings.Contains(want, "\nmqtt [") || strings.HasPrefix(want, "mqtt [")
		if !good && beyondSchema.MatchString(name) {
			continue
		}
		v, err := value(archive(input)["config.yaml"])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen++
		if err := s.Validate(v); (err == nil) != good {
			t.Errorf("%s: the loader says %q, the schema %v", name, want, err)
		}
	}
	if seen < 30 {
		t.Errorf("only %d cases were compared", seen)
	}
}
