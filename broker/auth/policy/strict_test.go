package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unicode"
)

// allow is a document with one statement that allows publishing, and what is put into it.
func allow(resource, more string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":%q%s}]}`, resource, more)
}

func when(text string) string { return `,"Condition":` + text }

// What the language of policies has and we have not, and what is wrong in it, is refused,
// and never left out: a policy must not come to allow more than it says.
func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct{ document, want string }{
		// Elements.
		{`{"Statement":{"Effect":"Allow","NotAction":"iot:Publish","Resource":"*"}}`, "policies of AWS IoT have no NotAction"},
		{`{"Statement":{"Effect":"Allow","Action":"iot:Publish","NotResource":"topic/a"}}`, "policies of AWS IoT have no NotResource"},
		{allow("*", `,"Principal":"*"`), `unknown field "Principal"`},
		{allow("*", `,"NotPrincipal":"*"`), `unknown field "NotPrincipal"`},
		{allow("*", `,"Conditions":{}`), `unknown field "Conditions"`},
		{`{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}}`, "is not supported"},
		{`{"Version":"2012-10-17"}`, "has no statement"},
		{`{"Statement":{"Effect":"allow","Action":"iot:Publish","Resource":"*"}}`, `"allow" is no effect; did you mean "Allow"?`},
		{`{"Statement":{"Effect":"Allow","Action":null,"Resource":"*"}}`, "must be text"},
		{`{"Statement":{"Effect":"Allow","Action":[["iot:Publish"]],"Resource":"*"}}`, "must be text"},
		// A key that is there twice: one of the two would be lost.
		{`{"Statement":{"Effect":"Deny","Effect":"Allow","Action":"iot:Publish","Resource":"*"}}`, `the key "Effect" is there twice`},
		{`{"Statement":{"Effect":"Deny","effect":"Allow","Action":"iot:Publish","Resource":"*"}}`, `the key "effect" is there twice`},
		{allow("*", when(`{"StringEquals":{"iot:ClientId":"a"},"StringEquals":{"topicwire:Username":"b"}}`)), `the key "StringEquals" is there twice`},
		{allow("*", when(`{"StringEquals":{"iot:ClientId":"a","iot:ClientId":"b"}}`)), `the key "iot:ClientId" is there twice`},
		// ARNs: one that is not whole must not stand for more.
		{allow("arn:aws:iot:eu-central-1:topic/a*", ""), "is no whole ARN"},
		{allow("arn:aws:iot:topic/a/*", ""), "is no whole ARN"},
		{allow("arn:aws:iot:eu-*", ""), "is no whole ARN"},
		{allow("arn:aws:io*", ""), "is no whole ARN"},
		{allow("arn*", ""), "is no resource"},
		{allow("arn:aws:iot:topic/a:*:*", ""), "where its region or account should be"},
		{allow("arn:aws:iot:*:topic/a:*", ""), "where its region or account should be"},
		{allow("arn:aws:iot:eu-central-1:123456789012:topic", ""), "there is no kind of resource"},
		{allow("topics/a", ""), "is no resource"},
		{allow("Topic/a", ""), "is no resource"},
		{allow("", ""), "is no resource"},
		// Variables and escapes.
		{allow("topic/${iot:ClientId", ""), "has a ${ without its }"},
		{allow("topic/${}", ""), "there is no variable"},
		{allow("topic/${iot:ClientId, 'x'}", ""), "there is no variable"},
		{allow("topic/${aws:username}", ""), "there is no variable"},
		{allow("topic/${**}", ""), "there is no variable"},
		{allow("topic/${iot:ConnectAttributes}", ""), "has several values"},
		{allow("topic/${iot:Certificate.Subject.Organization.List}", ""), "has several values"},
		{allow("arn:aws:iot:${aws:region}:*:topic/a", ""), "has a variable in front of the resource's name"},
		{`{"Statement":{"Effect":"Allow","Action":"iot:${iot:ClientId}","Resource":"*"}}`, "cannot have variables"},
		// Conditions.
		{allow("*", when(`{"StringEquals":{}}`)), "StringEquals: compares nothing"},
		{allow("*", when(`{"StringEquals":null}`)), "StringEquals: compares nothing"},
		{allow("*", when(`{"StringEquals":{"iot:ClientId":[]}}`)), "is compared with nothing"},
		{allow("*", when(`{"NumericEquals":{"iot:ClientId":"1"}}`)), "there is no condition operator"},
		{allow("*", when(`{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`)), "there is no condition operator"},
		{allow("*", when(`{"ArnLike":{"iot:ClientId":"a"}}`)), "there is no condition operator"},
		{allow("*", when(`{"Null":{"iot:ClientId":"true"}}`)), "there is no condition operator"},
		{allow("*", when(`{"stringequals":{"iot:ClientId":"a"}}`)), `did you mean "StringEquals"?`},
		{allow("*", when(`{"StringEqualsIfexists":{"iot:ClientId":"a"}}`)), "there is no condition operator"},
		{allow("*", when(`{"ForAllValues:ForAnyValue:StringEquals":{"jwt:a":"a"}}`)), "there is no condition operator"},
		{allow("*", when(`{"ForSomeValue:StringEquals":{"jwt:a":"a"}}`)), "there is no condition operator"},
		{allow("*", when(`{"ForAllValues:IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`)), "are for texts"},
		{allow("*", when(`{"StringEquals":{"aws:CurrentTime":"x"}}`)), "there is no variable"},
		{allow("*", when(`{"StringEquals":{"iot:ClientId":"${iot:Nothing}"}}`)), "there is no variable"},
		{allow("*", when(`{"StringEquals":{"iot:ClientId":"${iot:ClientId"}}`)), "has a ${ without its }"},
		{allow("*", when(`{"StringEquals":{"iot:ConnectAttributes":"LastWill"}}`)), "has several values"},
		{allow("*", when(`{"IpAddress":{"aws:SourceIp":"::ffff:10.0.0.0/104"}}`)), "is an IPv4 address in an IPv6 one"},
		{allow("*", when(`{"IpAddress":{"aws:SourceIp":"10.0.0/8"}}`)), "is no range of addresses"},
		{allow("*", when(`{"IpAddress":{"aws:SourceIp":"${jwt:net}"}}`)), "is no range of addresses"},
		{allow("*", when(`{"Bool":{"jwt:admin":"yes"}}`)), "is no truth value"},
	} {
		_, err := Parse("p", []byte(c.document))
		if err == nil || c.want != "" && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.document, err, c.want)
		}
	}
}

// Conditions with several values hold if one of them fits; a claim that is no truth value is
// neither true nor false.
func TestValuesOfConditions(t *testing.T) {
	facts := func(claim any) *Facts {
		return &Facts{ClientID: "lamp-1", Username: "lamp-1", Source: netip.MustParseAddr("10.1.2.3"), Claims: map[string]any{"x": claim}}
	}
	for _, c := range []struct {
		condition string
		claim     any
		want      bool
	}{
		{`{"Bool":{"jwt:x":"true"}}`, true, true},
		{`{"Bool":{"jwt:x":true}}`, "TRUE", true},
		{`{"Bool":{"jwt:x":"false"}}`, true, false},
		{`{"Bool":{"jwt:x":"false"}}`, "maybe", false},
		{`{"Bool":{"jwt:x":"true"}}`, "maybe", false},
		{`{"Bool":{"jwt:x":["true","false"]}}`, true, true},
		{`{"Bool":{"jwt:x":["true","false"]}}`, false, true},
		{`{"Bool":{"jwt:x":["true","false"]}}`, 7.0, false},
		{`{"BoolIfExists":{"jwt:y":"true"}}`, true, true},
		{`{"Bool":{"jwt:y":"false"}}`, true, false},
		{`{"StringEquals":{"jwt:x":["a","b"]}}`, "b", true},
		{`{"StringNotEquals":{"jwt:x":["a","b"]}}`, "b", false},
		{`{"StringNotEquals":{"jwt:x":["a","b"]}}`, "c", true},
		{`{"StringNotEquals":{"jwt:y":"a"}}`, "c", true},
		{`{"StringEqualsIfExists":{"jwt:y":"a"}}`, "c", true},
		{`{"StringEqualsIfExists":{"jwt:x":"a"}}`, "c", false},
		{`{"ForAnyValue:StringEqualsIfExists":{"jwt:y":"a"}}`, "c", true},
		{`{"ForAllValues:StringEquals":{"jwt:x":["a","b"]}}`, []any{"a", "b"}, true},
		{`{"ForAllValues:StringEquals":{"jwt:x":["a"]}}`, []any{"a", "b"}, false},
		{`{"ForAllValues:StringEquals":{"jwt:x":["a"]}}`, []any{}, true},
		{`{"ForAnyValue:StringEquals":{"jwt:x":["a"]}}`, []any{"a", "b"}, true},
		{`{"ForAnyValue:StringEquals":{"jwt:x":["a"]}}`, []any{}, false},
		{`{"ForAnyValue:StringNotEquals":{"jwt:x":["a"]}}`, []any{"a", "b"}, true},
		{`{"ForAllValues:StringNotEquals":{"jwt:x":["a"]}}`, []any{"b", "c"}, true},
		{`{"StringLike":{"jwt:x":"lamp-?"}}`, "lamp-1", true},
		{`{"StringLike":{"jwt:x":"lamp-${?}"}}`, "lamp-1", false},
		{`{"StringEquals":{"jwt:x":"lamp-*"}}`, "lamp-1", false},
		{`{"StringEquals":{"jwt:x":"lamp-*"}}`, "lamp-*", true},
		{`{"StringEqualsIgnoreCase":{"jwt:x":"LAMP"}}`, "lamp", true},
		{`{"StringEquals":{"jwt:x":"LAMP"}}`, "lamp", false},
		{`{"StringEquals":{"jwt:x":"${topicwire:Username}"}}`, "lamp-1", true}, // a variable on the right
		{`{"StringEquals":{"IOT:clientid":"${topicwire:username}"}}`, "", true},
		{`{"StringLike":{"jwt:x":"${topicwire:Username}*"}}`, "lamp-1/x", true},
		{`{"StringNotEquals":{"jwt:x":"${iot:CertificateId}"}}`, "a", false}, // without a value the statement does not count
		{`{"StringEquals":{"jwt:X":"a"}}`, "a", false},                       // capitals count in claims
		{`{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}`, "", true},
		{`{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}`, "", false},
		{`{"IpAddress":{"aws:SourceIp":"10.1.2.3"}}`, "", true},
		{`{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`, "", false},
		{`{"StringEquals":{"iot:ClientId":"lamp-1"},"Bool":{"jwt:x":"true"}}`, true, true},
		{`{"StringEquals":{"iot:ClientId":"lamp-2"},"Bool":{"jwt:x":"true"}}`, true, false},
	} {
		p, err := Parse("p", []byte(allow("topic/a", when(c.condition))))
		if err != nil {
			t.Errorf("%s: %v", c.condition, err)
			continue
		}
		if got := NewSet(p).Bind(facts(c.claim)).Allows(Publish, "a"); got != c.want {
			t.Errorf("%s with x = %v: %v, want %v", c.condition, c.claim, got, c.want)
		}
	}
}

// What a client calls its topics goes into logs: it makes no line of its own there.
func TestDecisionsAreOneLine(t *testing.T) {
	p, err := Parse("p", []byte(allow("topic/ok", "")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a\n12:00:00 INF nothing is wrong", "a\x1b[31m", "a\u2028b", "a\u202eb", "a\rb"} {
		text := NewSet(p).Bind(&Facts{}).Decide(Publish, name).String()
		if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q has %q in it", text, text[i:i+1])
		}
	}
	if text := NewSet(p).Bind(&Facts{}).Decide(Publish, "Büro/ä b").String(); !strings.Contains(text, "topic/Büro/ä b is denied") {
		t.Error(text)
	}
}
