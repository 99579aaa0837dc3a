//go:build unix

package emulator_test

import (
	"path/filepath"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// TestExamples runs the functions of the examples as their configurations have them.
func TestExamples(t *testing.T) {
	for folder, c := range map[string]struct {
		program     string
		cfg         emulator.Config
		event, want string
		bad         string
		errorType   string
	}{
		"hello": {
			"go",
			emulator.Config{Runtime: "go"},
			`{"name":"ada","message":{"n":1}}`, `{"greeting":"Hello, ada!","name":"ada","message":{"n":1}}`,
			`[]`, "UnmarshalTypeError",
		},
		"node": {
			"node",
			emulator.Config{Runtime: "nodejs", Handler: "index.handler", Environment: map[string]string{"WANTED_CELSIUS": "21"}},
			`{"room":"kitchen","celsius":19.5}`, `{"room":"kitchen","heating":"on","by":"fn"}`,
			`{"room":"kitchen"}`, "TypeError",
		},
		"python": {
			"python3",
			emulator.Config{Runtime: "python", Handler: "app.handler"},
			`{"machine":"press","samples":[1,2,12]}`, `{"machine": "press", "count": 3, "mean": 5.0, "max": 12}`,
			`{"machine":"press"}`, "KeyError",
		},
	} {
		t.Run(folder, func(t *testing.T) {
			need(t, c.program)
			path, err := filepath.Abs(filepath.Join("..", "..", "examples", folder))
			if err != nil {
				t.Fatal(err)
			}
			c.cfg.Path = path
			f := start(t, c.cfg, nil)
			if r := f.invoke(t, c.event); string(r.Payload) != c.want {
				t.Errorf("got %s, want %s", r.Payload, c.want)
			}
			if r := f.invoke(t, c.bad); r.ErrorType != c.errorType {
				t.Errorf("got %s %s, want %s", r.ErrorType, r.Payload, c.errorType)
			}
		})
	}
}
