package config

import (
	"fmt"
	"regexp"
	"strings"
)

// settingsIntroduction is what stands before the tables of CONFIGURATION.md.
const settingsIntroduction = `# Configuration

Every setting there is. In a terminal: ` + "`topicwire settings`, `topicwire settings limits`, `topicwire settings functions.timeout`" + `.
This page is made of the program itself by ` + "`make schema`" + `; a test compares the two.

The file is ` + "`config.yaml`" + ` in the working folder, ` + "`--config FILE` or `TOPICWIRE_CONFIG`" + ` say otherwise. It is YAML 1.2, and so
it may be JSON. ` + "`topicwire check`" + ` says everything that is wrong with it, with its place. An unknown key is an error. Editors that
know the YAML language server complete and check it when its first line is
` + "`# yaml-language-server: $schema=topicwire.schema.json`" + ` (` + "`topicwire schema`" + ` prints that file).

| written | means |
|---|---|
| address | ` + "`127.0.0.1:1883`, `:1883` for every address of the machine; port 0 is a free one" + ` |
| duration | ` + "`500ms`, `3s`, `5m`, `2h`, `7d`, `1d12h`" + `: always with a unit |
| size | ` + "`512`, `128KB`, `1.5MB`, `2GB`" + `: bytes; K, M, G and T are powers of 1024 |
| section | keys of its own, below |
| ` + "`NAME` in a key" + ` | a name that you choose |
| ` + "`[]` in a key" + ` | each element of a list |
| ` + "`${NAME}`, `${NAME:-default}`" + ` | an environment variable, anywhere in a value; ` + "`$${`" + ` is a literal ` + "`${`" + ` |
| ` + "`${file:/path}`" + ` | what is in a file, without the line end at its end |
| ` + "`${env:NAME}`, `${file:/path}`" + ` | the same inside rules, policies and API Gateway routes, where other ` + "`${…}`" + ` are templates |
| ` + "`x-…`" + ` at the root | a place for YAML anchors; ` + "`<<`" + ` merges them |

Relative paths start at the configuration file's folder. A change of the file, of ` + "`rules_dir`" + ` or of a file that it names holds
within a second, and on SIGHUP, for ` + "`functions`, `rules`, `rules_dir`, `routes` and `auth`" + `; ` + "`listen`, `limits`, `store`, `outbox`,\n`grip`, `doors` and `log`" + ` need a restart, and the log says so.
`

// SettingsMarkdown is the reference of all settings: CONFIGURATION.md.
func SettingsMarkdown() string {
	var b strings.Builder
	b.WriteString(settingsIntroduction)
	all := Settings()
	for i, s := range all {
		if strings.ContainsAny(s.Key, ".[") {
			continue
		}
		below := 0
		for _, t := range all[i+1:] {
			if !strings.ContainsAny(t.Key, ".[") {
				break
			}
			below++
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.Key, markdownText(&s))
		if below == 0 {
			continue
		}
		b.WriteString("\n| key | takes | what it means |\n|---|---|---|\n")
		for _, t := range all[i+1 : i+1+below] {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", t.Key, markdownType(&t), markdownText(&t))
		}
	}
	return b.String()
}

func markdownType(s *Setting) string {
	text := s.Takes()
	if len(s.Values) > 0 {
		text = "`" + strings.Join(s.Values, "`, `") + "`"
	}
	if s.Required {
		text += ", **required**"
	}
	return text
}

// Takes says what the setting takes: its values if they are listed, else its type and
// bounds.
func (s *Setting) Takes() string {
	switch {
	case len(s.Values) > 0:
		return strings.Join(s.Values, ", ")
	case s.Minimum != "" && s.Maximum != "":
		return fmt.Sprintf("%s, %s to %s", s.Type, s.Minimum, s.Maximum)
	case s.Minimum != "" && s.Minimum != "0":
		return fmt.Sprintf("%s, %s or more", s.Type, s.Minimum)
	default:
		return s.Type
	}
}

var (
	markdownReference = regexp.MustCompile(`\$?\$\{[^}]*\}`)
	markdownSpecial   = strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`, "$", `\$`)
)

// markdownText is a setting's meaning in a table's cell.
func markdownText(s *Setting) string {
	var b strings.Builder
	rest := 0
	for _, at := range markdownReference.FindAllStringIndex(s.Text, -1) {
		b.WriteString(markdownSpecial.Replace(s.Text[rest:at[0]]))
		b.WriteString("`" + strings.ReplaceAll(s.Text[at[0]:at[1]], "|", `\|`) + "`")
		rest = at[1]
	}
	b.WriteString(markdownSpecial.Replace(s.Text[rest:]))
	if s.Example != "" {
		b.WriteString(" For example `" + strings.ReplaceAll(s.Example, "|", `\|`) + "`.")
	}
	if s.Same != "" {
		b.WriteString(" Its keys are those of `" + s.Same + "`.")
	}
	return b.String()
}
