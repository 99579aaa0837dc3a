package config_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/internal/config"
)

// TestSettingsFile compares CONFIGURATION.md with the structs.
func TestSettingsFile(t *testing.T) {
	t.Parallel()
	const file = "../../CONFIGURATION.md"
	made := config.SettingsMarkdown()
	if *update {
		writeFile(t, file, made)
	}
	onDisk, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(onDisk), made); d != "" {
		t.Errorf("%s is out of date, run make schema (-file +structs):\n%s", file, d)
	}
}

// TestSettingsAreAll compares the reference with the schema: every key of every
// definition is listed, or refers to where it is, with the words that editors show.
func TestSettingsAreAll(t *testing.T) {
	t.Parallel()
	data, err := config.Schema()
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
	all := config.Settings()
	listed := make(map[string]bool)
	for _, s := range all {
		if s.Type == "" || s.Text == "" {
			t.Errorf("%s has no type or no text", s.Key)
		}
		parts := strings.Split(s.Key, ".")
		listed[parts[len(parts)-1]+": "+s.Text] = true
	}
	for def, d := range doc.Defs {
		for key, p := range d.Properties {
			if key == "$schema" || key == "ruleName" || key == "topicRulePayload" || p.Description == "" && def == "config.Config" {
				continue // for editors and for files from AWS
			}
			if !listed[key+": "+p.Description] {
				t.Errorf("the reference lacks %s of %s", key, def)
			}
		}
	}
	keys := make([]string, len(all))
	for i, s := range all {
		keys[i] = s.Key
		if s.Same != "" && !slices.ContainsFunc(all, func(o config.Setting) bool { return strings.HasPrefix(o.Key, s.Same+".") }) {
			t.Errorf("%s refers to %s, which is not there", s.Key, s.Same)
		}
	}
	slices.Sort(keys)
	if n := len(slices.Compact(keys)); n != len(all) {
		t.Errorf("%d of %d keys are there twice", len(all)-n, len(all))
	}
}

func TestFindSettings(t *testing.T) {
	t.Parallel()
	all := config.Settings()
	for key, want := range map[string]string{
		"log":                               "log, log.level, log.format",
		"log.level":                         "log.level",
		"functions.hello.timeout":           "functions.NAME.timeout",
		"functions.timeout":                 "functions.NAME.timeout",
		"rules[3].actions[0].republish.qos": "rules[].actions[].republish.qos",
		"durability":                        "store.durability",
		"nothing":                           "",
	} {
		var keys []string
		for _, s := range config.FindSettings(all, key) {
			keys = append(keys, s.Key)
		}
		if got := strings.Join(keys, ", "); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}
