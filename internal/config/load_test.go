package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/internal/config"
)

func TestMissingFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	_, err := config.Load(path)
	want := path + ": there is no such file; write one (it may be empty), or name another with --config"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = config.Load(dir)
	want = dir + ": is a folder, not a file; write one (it may be empty), or name another with --config"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestFiles wants every file that a configuration depends on, whether it loads or not.
func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	join := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	writeFile(t, join("config.yaml"), `
listen:
  mqtts: 127.0.0.1:8883
  tls: {cert: tls/server.pem, key: /etc/key.pem}
functions:
  hello: {http: "http://127.0.0.1/", auth: {bearer: "${file:token}"}}
rules_dir: rules
`)
	writeFile(t, join("token"), "abc\n")
	writeFile(t, join("rules", "a.yaml"), "sql: SELECT * FROM 'a'")
	writeFile(t, join("rules", "b.json"), `{"sql": "SELECT * FROM 'b/${file:name}'"}`)
	writeFile(t, join("name"), "x\r\n")
	c, err := config.LoadWith(join("config.yaml"), environment)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{join("config.yaml"), join("name"), join("rules"), join("rules", "a.yaml"), join("rules", "b.json"), join("token")}
	if d := cmp.Diff(want, c.Files); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if got := c.Listen.TLS.Cert; got != join("tls", "server.pem") {
		t.Errorf("the certificate is %s: not resolved against the configuration's folder", got)
	}
	if got := c.Listen.TLS.Key; got != "/etc/key.pem" {
		t.Errorf("the key is %s: an absolute path was changed", got)
	}
	if c.Dir != dir || c.RulesDir != join("rules") || c.Functions["hello"].Auth.Bearer != "abc" || c.Rules[1].SQL != "SELECT * FROM 'b/x'" {
		t.Errorf("got %+v", c)
	}

	must(t, os.Remove(join("token")))
	_, err = config.LoadWith(join("config.yaml"), environment)
	failed, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if d := cmp.Diff(want, failed.Files); d != "" {
		t.Errorf("files of the failure (-want +got):\n%s", d)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestProblemsAsJSON wants everything a machine needs.
func TestProblemsAsJSON(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, path, "log: {level: inof}\nlisten:\n  mqqt: x\n")
	_, err := config.LoadWith(path, environment)
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		t.Fatalf("%v holds no Problems", err)
	}
	data, err := json.Marshal(problems)
	must(t, err)
	want := `[{"file":"FILE","line":1,"column":14,"path":"log.level","message":"log.level: \"inof\" is not known here","remedy":"did you mean \"info\"?","source":"log: {level: inof}"},` +
		`{"file":"FILE","line":3,"column":3,"path":"listen.mqqt","message":"unknown key \"mqqt\"","remedy":"did you mean \"mqtt\"?","source":"  mqqt: x"}]`
	if d := cmp.Diff(want, strings.ReplaceAll(string(data), path, "FILE")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestExplain gives an error that only the bridge can find its place in the file.
func TestExplain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, path, `rules:
  - name: one
    sql: SELECT * FROM 'a'
    actions:
      - lambda: {functionArn: "arn:aws:lambda:nowhere"}
`)
	c, err := config.LoadWith(path, environment)
	must(t, err)
	registry, err := function.NewRegistry(c.Functions, function.Options{}, nil)
	must(t, err)
	defer registry.Close()
	_, err = bridge.Compile(c.Rules, registry)
	if err == nil {
		t.Fatal("the bridge takes an ARN that is none")
	}
	problems, ok := errors.AsType[config.Problems](c.Explain(err))
	if !ok || len(problems) != 1 {
		t.Fatalf("got %v", c.Explain(err))
	}
	if p := problems[0]; p.Line != 5 || p.Column != 31 || p.Path != "rules[0].actions[0].lambda.functionArn" || !strings.Contains(p.Source, "arn:aws") {
		t.Errorf("got %#v", p)
	}
	if other := errors.New("other"); !errors.Is(c.Explain(other), other) || c.Explain(nil) != nil {
		t.Error("errors of others do not come back as they are")
	}
}

// TestOrder wants problems in the order of the files and lines, however they are found.
func TestOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "config.yaml"), "rules_dir: rules\nlog: {level: x}\nlisten: {mqtt: a}\n")
	writeFile(t, filepath.Join(dir, "rules", "b.yaml"), "sql: SELECT\nfoo: 1\n")
	writeFile(t, filepath.Join(dir, "rules", "a.yaml"), "sql: SELECT 1 FROM 'a'\nname: a b\nfoo: 1\n")
	_, err := config.LoadWith(filepath.Join(dir, "config.yaml"), environment)
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, strings.TrimPrefix(p.Position.String(), dir+"/"))
	}
	want := []string{"config.yaml:2:14", "config.yaml:3:16", "rules/a.yaml:2:7", "rules/a.yaml:3:1", "rules/b.yaml:1:12", "rules/b.yaml:2:1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestUnreadableRuleFile wants a broken link in rules_dir told, not skipped.
func TestUnreadableRuleFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "config.yaml"), "rules_dir: .\n")
	must(t, os.Symlink("nowhere", filepath.Join(dir, "zz.yaml")))
	_, err := config.LoadWith(filepath.Join(dir, "config.yaml"), environment)
	if err == nil || !strings.Contains(err.Error(), "zz.yaml: there is no such file; remove it, or make it readable") {
		t.Errorf("got %v", err)
	}
}

// FuzzLoad loads anything as a configuration with anything as a rule file: no panic,
// and either a configuration or problems.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.case")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(data), dashes)
		a := archive(input)
		rule := ""
		for name, text := range a {
			if name != "config.yaml" {
				rule = text
			}
		}
		f.Add(a["config.yaml"], rule)
	}
	f.Fuzz(func(t *testing.T, text, rule string) {
		dir := t.TempDir()
		path := filepath.Join(dir, "config.yaml")
		writeFile(t, path, text)
		writeFile(t, filepath.Join(dir, "rules", "rule.json"), rule)
		c, err := config.LoadWith(path, environment)
		if (c == nil) == (err == nil) {
			t.Errorf("got %v and %v", c, err)
		}
		if err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
	})
}

// TestLimitsShort: a profile alone may stand where its map could.
func TestLimitsShort(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, path, "limits: aws-iot\n")
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if l := c.Limits.Effective(); l.MaxTopicLevels != 8 || *l.MaxQoS != 1 {
		t.Errorf("not AWS IoT's limits: %+v", l)
	}
}
