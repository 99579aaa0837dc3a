package auth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/auth/policy"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

var update = flag.Bool("update", false, "write what came out into the .case files")

const dashes = "\n----------\n"

// TestPolicyMatrix runs testdata/policies/*.case: a configuration's section auth, a line
// "ask:", and below it a question a line: what the answer has to be, who asks, and what.
// Below the dashes stands the answer in words, with the statement that decides and why
// the others do not.
func TestPolicyMatrix(t *testing.T) {
	files, err := filepath.Glob("testdata/policies/*.case")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	total := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".case"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(data), dashes)
			text, questions, _ := strings.Cut(input, "\nask:\n")
			authority := authorityOf(t, text)
			var got strings.Builder
			for line := range strings.Lines(questions) {
				line = strings.TrimSpace(line)
				if line == "" || line[0] == '#' {
					continue
				}
				total++
				ask(t, authority, line, &got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+dashes+got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got.String()); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
		})
	}
	if total < 150 {
		t.Errorf("%d cases, want at least 150", total)
	}
}

// authorityOf reads a section auth as the configuration does.
func authorityOf(tb testing.TB, text string) *auth.Authority {
	tb.Helper()
	l := yamldoc.NewLoader(yamldoc.Options{Templates: []reflect.Type{reflect.TypeFor[policy.Statement]()}})
	var c auth.PolicyConfig
	for _, doc := range l.Parse("auth.yaml", []byte(text)) {
		l.Check(l.Decode(doc, &c), &c)
	}
	if l.Failed() {
		tb.Fatal(l.Problems())
	}
	return auth.NewAuthority(c, auth.AuthorityOptions{Open: true})
}

// ask answers one question: "allow|deny WHO: ACTION NAME".
func ask(t *testing.T, authority *auth.Authority, line string, out *strings.Builder) {
	t.Helper()
	head, what, ok := strings.Cut(line, ": ")
	words := strings.Fields(head)
	actionName, name, _ := strings.Cut(strings.TrimSpace(what), " ")
	if !ok || len(words) == 0 {
		t.Fatalf("%q is no question", line)
	}
	p, peer := who(t, words[1:])
	bound, err := authority.Bind(p, peer)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	action := actionOf(t, actionName)
	d := bound.Decide(action, name)
	if action == auth.Subscribe {
		d = bound.DecideSubscribe(name)
	}
	e, err := authority.Explain(p, peer, action, d.Name)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if verdict := map[bool]string{true: "allow", false: "deny"}[d.Allowed]; verdict != words[0] {
		t.Errorf("%s: %s", line, d)
	}
	if diff := cmp.Diff(d, e.Decision); diff != "" {
		t.Errorf("%s: deciding and explaining do not agree:\n%s", line, diff)
	}
	if action != auth.Subscribe && bound.May(action, name) != d.Allowed {
		t.Errorf("%s: May and Decide do not agree", line)
	}
	fmt.Fprintf(out, "%s\n  %s\n", line, d)
	for _, s := range e.Steps {
		if d.Policy != s.Policy || d.Statement != s.Statement {
			fmt.Fprintf(out, "  %s %s: %s\n", s.Effect, s.Name(), s.Why)
		}
	}
}

func actionOf(t *testing.T, name string) auth.Action {
	t.Helper()
	a, ok := policy.ActionOf(name)
	if !ok {
		t.Fatalf("there is no action %q", name)
	}
	return a
}

// who reads what is known of somebody: client=ID, user=NAME, ip=ADDRESS, cert=NAME,
// name=PRINCIPAL, method=METHOD, claims=JSON, persistent, will.
func who(t *testing.T, words []string) (*auth.Principal, auth.Peer) {
	t.Helper()
	p, peer := &auth.Principal{}, auth.Peer{Addr: netip.MustParseAddr("127.0.0.1")}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "client":
			peer.ClientID = value
		case "ip":
			peer.Addr = netip.MustParseAddr(value)
		case "persistent":
			peer.Persistent = true
		case "will":
			peer.Will = true
		case "user":
			p.Username, p.Name = value, value
		case "name":
			p.Name = value
		case "method":
			p.Method = value
		case "cert":
			p.Certificate = certificate(t, value)
			p.Name = policy.CertificateID(p.Certificate)
		case "claims":
			if err := json.Unmarshal([]byte(value), &p.Claims); err != nil {
				t.Fatal(err)
			}
		case "document":
			p.Documents = append(p.Documents, []byte(value))
		default:
			t.Fatalf("%q says nothing of anybody", w)
		}
	}
	return p, peer
}

// certificate is a made-up one; nobody has signed it.
func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	attribute := func(oid, value string) pkix.AttributeTypeAndValue {
		var id asn1.ObjectIdentifier
		for part := range strings.SplitSeq(oid, ".") {
			var n int
			if _, err := fmt.Sscan(part, &n); err != nil {
				t.Fatal(err)
			}
			id = append(id, n)
		}
		return pkix.AttributeTypeAndValue{Type: id, Value: value}
	}
	c := &x509.Certificate{Raw: []byte(name), SerialNumber: big.NewInt(4711)}
	c.Issuer.Names = []pkix.AttributeTypeAndValue{attribute("2.5.4.3", "Acme CA"), attribute("2.5.4.10", "Acme")}
	c.Issuer.CommonName = "Acme CA"
	switch name {
	case "lamp":
		c.Subject = pkix.Name{CommonName: "lamp", Organization: []string{"Acme"}, OrganizationalUnit: []string{"red", "blue"}}
		c.Subject.Names = []pkix.AttributeTypeAndValue{
			attribute("2.5.4.3", "lamp"), attribute("2.5.4.10", "Acme"), attribute("2.5.4.11", "red"), attribute("2.5.4.11", "blue"),
			attribute("2.5.4.46", "q1"), attribute("2.5.4.42", "Lampert"),
		}
		c.DNSNames = []string{"lamp.example", "lamp2.example"}
		c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 7)}
	case "star": // an attribute that looks like a wildcard
		c.Subject = pkix.Name{CommonName: "*"}
		c.Subject.Names = []pkix.AttributeTypeAndValue{attribute("2.5.4.3", "*")}
	default: // nothing in the subject
	}
	return c
}
