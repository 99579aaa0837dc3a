package policy

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMatch compares the matcher with the same pattern as a regular expression.
func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{
		{"a/*/z", "a/b/c/z"},
		{"*", ""},
		{"?", "ü"},
		{"*a*a*b", "aaaaaaaaaab"},
		{"m?x*y?z*", "mAx/y/y2z/"},
		{"**?*", "x"},
		{"*ab", "aab"},
		{"a?*?b", "a12b"},
		{"+/#", "+/#"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(s) || len(pattern) > 30 || len(s) > 100 {
			return
		}
		quoted := regexp.QuoteMeta(pattern)
		quoted = strings.ReplaceAll(strings.ReplaceAll(quoted, `\*`, `(?s:.*)`), `\?`, `(?s:.)`)
		want := regexp.MustCompile(`\A` + quoted + `\z`).MatchString(s)
		if got := Match(pattern, s); got != want {
			t.Errorf("Match(%q, %q) = %v, want %v", pattern, s, got, want)
		}
	})
}

// FuzzParse looks for documents that bring the parser down, and for variables whose
// value widens what is allowed: whatever a client calls itself, it may publish below its
// own name alone.
func FuzzParse(f *testing.F) {
	f.Add(`{"Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}`, "*")
	f.Add(`{"Statement":[{"Effect":"Deny","Action":["iot:Publish"],"Resource":["arn:aws:iot:*:*:topic/${iot:ClientId}/*"],"Condition":{"StringLike":{"iot:ClientId":["${*}"]}}}]}`, "${*}")
	f.Add(`{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"s","Effect":"Allow","Action":"iot:Connect","Resource":"client/*","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":[true]}}}]}`, "?")
	own, err := Parse("own", []byte(`{"Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":"topic/own/${iot:ClientId}/x"}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, document, client string) {
		facts := &Facts{ClientID: client}
		if p, err := Parse("p", []byte(document)); err == nil {
			b := NewSet(p).Bind(facts)
			for a := range actions {
				if b.Allows(a, client) != b.Decide(a, client).Allowed || b.Allows(a, client) != NewSet(p).Explain(facts, a, client).Allowed {
					t.Errorf("%s on %q: the answers do not agree", a, client)
				}
			}
		}
		b := NewSet(own).Bind(facts)
		for _, topic := range []string{"own/other/x", "own/+/x", "own/" + client + "/y", "own/" + client + "x"} {
			if b.Allows(Publish, topic) && topic != "own/"+client+"/x" {
				t.Errorf("client %q may publish to %q", client, topic)
			}
		}
		if client != "" && !b.Allows(Publish, "own/"+client+"/x") {
			t.Errorf("client %q may not publish to its own topic", client)
		}
	})
}
