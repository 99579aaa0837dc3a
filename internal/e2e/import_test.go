package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// Templates as people write them, with the code of their functions, are imported and
// served as they come out: only the listeners are put on free ports.
func TestImportedTemplatesRun(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	testkit.Need(t, "python3", "python3")
	for _, c := range []struct {
		file           string
		topic, payload string
		await          string // the topic to wait at; empty = the answer to the request
		want           string
	}{
		{"sam/template.yaml", "dev/truck-7/readings", `{"temperature": 11.6}`, "", `{"stage":"dev","device":"truck-7","rounded":12}`},
		{"sam/template.yaml", "dev/truck-7/readings", `{"temperature": 11.6}`, "alarms/dev/truck-7", `{"temperature":11.6,"alarm":"warm"}`},
		{
			"cdk/Fleet.template.json", "fleet/v9/telemetry", `{"speed":80,"sensors":[{"n":"oil","v":1},{"n":"fuel","v":41.5}]}`, "",
			`{"fleet":"north","vehicle":"v9","fuel":41.5}`,
		},
		{"serverless/serverless.yml", "dev/garden/fern/moisture", `{"moisture":5}`, "", `{"plant":"fern","litres":1.5,"stage":"dev"}`},
	} {
		t.Run(filepath.Dir(c.file)+" "+c.await, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "import", filepath.Dir(c.file)))); err != nil {
				t.Fatal(err)
			}
			config := filepath.Join(dir, "config.yaml")
			r := testkit.Command(t, nil, binary.Path(t), "rules", "import", filepath.Join(dir, filepath.Base(c.file)), "-o", config)
			if r.Code != 0 {
				t.Fatalf("import: exit status %d: %s", r.Code, r.Stderr)
			}
			imported, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			imported = append(imported, "\nlisten: {mqtt: 127.0.0.1:0}\n"...)
			if err := os.WriteFile(config, imported, 0o600); err != nil {
				t.Fatal(err)
			}
			s := testkit.Serve(t, binary.Path(t), config)
			host, port := splitAddress(t, s.MQTT)
			args := []string{"request", "-h", host, "-p", port, "-W", "25", "-t", c.topic, "-m", c.payload}
			if c.await != "" {
				args = append(args, "-e", c.await)
			}
			r = testkit.Command(t, nil, binary.Path(t), args...)
			if r.Code != 0 {
				t.Fatalf("request: exit status %d: %s\n%s", r.Code, r.Stderr, s.Log)
			}
			sameJSON(t, c.want, r.Stdout)
		})
	}
}
