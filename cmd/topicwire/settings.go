package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// SettingsCmd is the reference of the configuration in the terminal.
type SettingsCmd struct {
	Key      string `arg:"" optional:"" placeholder:"KEY" help:"A setting or a section, such as limits, store.dir or functions.timeout; without it, the sections are listed."`
	JSON     bool   `name:"json" xor:"out" help:"Print JSON, one object a setting."`
	Markdown bool   `xor:"out" help:"Print all of them as a document: CONFIGURATION.md."`
}

// Help shows examples.
func (SettingsCmd) Help() string {
	return `What the configuration can say: each setting with what it takes, what it means, and what
holds without it. NAME in a key stands for a name that you choose, [] for the elements of a list.

Examples:
  topicwire settings limits
  topicwire settings timeout
  topicwire settings auth.methods.jwt --json`
}

// Run prints the settings that were asked for.
func (c SettingsCmd) Run(s *Streams) error {
	if c.Markdown {
		_, err := io.WriteString(s.Out, config.SettingsMarkdown())
		return err
	}
	all := config.Settings()
	found := all
	if c.Key != "" {
		if found = config.FindSettings(all, c.Key); len(found) == 0 {
			return noSetting(c.Key, all)
		}
	}
	switch {
	case c.JSON:
		enc := json.NewEncoder(s.Out)
		enc.SetEscapeHTML(false)
		for i := range found {
			if err := enc.Encode(&found[i]); err != nil {
				return err
			}
		}
		return nil
	case c.Key == "":
		return sections(s.Out, all)
	}
	for i := range found {
		if i > 0 {
			fmt.Fprintln(s.Out)
		}
		printSetting(s.Out, &found[i])
	}
	return nil
}

func noSetting(key string, all []config.Setting) error {
	names := make(map[string]bool)
	var known []string
	for _, s := range all {
		parts := strings.Split(s.Key, ".")
		if name := strings.TrimSuffix(parts[len(parts)-1], "[]"); !names[name] {
			names[name] = true
			known = append(known, name)
		}
	}
	parts := strings.Split(key, ".")
	remedy := "`topicwire settings` lists the sections"
	if near, ok := yamldoc.Nearest(parts[len(parts)-1], known); ok {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Errorf("there is no setting %q; %s", key, remedy)
}

func sections(w io.Writer, all []config.Setting) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range all {
		if !strings.ContainsAny(s.Key, ".[") {
			fmt.Fprintf(table, "%s\t%s\n", s.Key, firstSentence(s.Text))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\ntopicwire settings KEY says more: of a section, of a setting, or of all settings of a name.")
	return err
}

// settingWidth is how long a line of text is at most.
const settingWidth = 92

func printSetting(w io.Writer, s *config.Setting) {
	about := s.Takes()
	if s.Required {
		about += ", required"
	}
	fmt.Fprintf(w, "%s  (%s)\n", s.Key, about)
	text := s.Text
	if s.Example != "" {
		text += " For example: " + s.Example
	}
	if s.Same != "" {
		text += " Its keys are those of " + s.Same + "."
	}
	line := "   "
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > settingWidth {
			fmt.Fprintln(w, line)
			line = "   "
		}
		line += " " + word
	}
	fmt.Fprintln(w, line)
}
