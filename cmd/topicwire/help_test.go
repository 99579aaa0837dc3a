package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every command's --help has an example, as the README says.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&CLI{}, kong.Name("topicwire"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, command := range parser.Model.Leaves(true) {
		seen++
		if !strings.Contains(command.Detail, "Example") {
			t.Errorf("%s --help has no example", command.FullPath())
		}
	}
	if seen < 30 {
		t.Errorf("only %d commands were looked at", seen)
	}
}

func TestAsMeant(t *testing.T) {
	t.Parallel()
	for typed, meant := range map[string]string{
		"":                     "--help",
		"help":                 "--help",
		"help rules list":      "rules list --help",
		"--version":            "version",
		"rules list -h":        "rules list --help",
		"pub -h host":          "pub -h host",
		"rules eval --version": "rules eval --version",
		"pub -m help":          "pub -m help",
	} {
		if got := strings.Join(asMeant(strings.Fields(typed)), " "); got != meant {
			t.Errorf("%q is taken for %q, want %q", typed, got, meant)
		}
	}
}
