package auth_test

import (
	"strings"
	"testing"

	"github.com/topicwire/topicwire/broker/auth"
)

const twoPolicies = `
policies:
  one: {Statement: {Effect: Allow, Action: "iot:*", Resource: ["topic/one/${iot:ClientId}", "topicfilter/one", "client/*"]}}
  two: {Statement: {Effect: Allow, Action: iot:Publish, Resource: topic/two}}
attach:
  - {policies: one, user: ada}
`

// What Bind makes of principals of all kinds.
func TestBind(t *testing.T) {
	a := authorityOf(t, twoPolicies)
	bind := func(p *auth.Principal, peer auth.Peer) *auth.Principal {
		t.Helper()
		bound, err := a.Bind(p, peer)
		if err != nil {
			t.Fatal(err)
		}
		return bound
	}
	ada := &auth.Principal{Name: "ada", Username: "ada", Method: "password"}
	first := bind(ada, auth.Peer{ClientID: "c1"})
	if !first.May(auth.Publish, "one/c1") || first.May(auth.Publish, "one/c2") || ada.Policy != nil {
		t.Error("a principal has not the policies of its connection, or was changed")
	}
	again := bind(first, auth.Peer{ClientID: "c2"}) // as an HTTP door's, then a connection's
	if again.May(auth.Publish, "one/c1") || !again.May(auth.Publish, "one/c2") || !first.May(auth.Publish, "one/c1") {
		t.Error("a bound principal was not bound anew")
	}
	// AllowAll counts only while nobody is restricted.
	everybody := &auth.Principal{Policy: auth.AllowAll{}}
	if bind(everybody, auth.Peer{}).May(auth.Publish, "x") {
		t.Error("an anonymous client may do everything although a policy is attached")
	}
	open := auth.NewAuthority(auth.PolicyConfig{}, auth.AuthorityOptions{Open: true})
	if p, err := open.Bind(everybody, auth.Peer{}); err != nil || !p.May(auth.Publish, "x") || !p.MayAll(auth.Receive) || !p.Decide(auth.Debug, "").Allowed {
		t.Error("an anonymous client may not do everything although nobody is restricted")
	}
	shut := auth.NewAuthority(auth.PolicyConfig{}, auth.AuthorityOptions{})
	if p, err := shut.Bind(everybody, auth.Peer{}); err != nil || p.May(auth.Connect, "x") {
		t.Error("an anonymous client may do something beside methods that ask for credentials")
	}
	// A method's own policy stays.
	if p := bind(&auth.Principal{Policy: odd{}}, auth.Peer{}); !p.May(auth.Publish, "odd") || p.May(auth.Publish, "one/c1") {
		t.Error("a method's own policy was replaced")
	}
	// Documents that come along are all that counts, also if there are none.
	if p := bind(&auth.Principal{Name: "ada", Username: "ada", Documents: [][]byte{}}, auth.Peer{ClientID: "c1"}); p.May(auth.Publish, "one/c1") {
		t.Error("attached policies count although documents came along")
	}
	if _, err := a.Bind(&auth.Principal{Documents: [][]byte{[]byte(`{"Statement":{"Effect":"Alow","Action":"iot:Publish","Resource":"*"}}`)}}, auth.Peer{}); err == nil || !strings.Contains(err.Error(), `policy authorizer[0]: Statement[0].Effect: "Alow" is no effect; did you mean "Allow"?`) {
		t.Errorf("a wrong document: %v", err)
	}
}

// odd is a policy of some method's own.
type odd struct{}

func (odd) Allows(_ auth.Action, name string) bool { return name == "odd" }

// A function may do what its policies say, and nothing without.
func TestFunctionsPrincipal(t *testing.T) {
	a := authorityOf(t, twoPolicies)
	with, without := a.Function("f", []string{"two"}), a.Function("g", nil)
	if !with.May(auth.Publish, "two") || with.May(auth.Publish, "one/f") || with.Method != auth.MethodFunction || with.Name != "f" {
		t.Errorf("%+v", with)
	}
	for _, action := range []auth.Action{auth.Publish, auth.Connect, auth.InvokeFunction, auth.GetConnection, auth.Debug} {
		if without.May(action, "two") {
			t.Errorf("a function without a policy may do %s", action)
		}
	}
	if d := without.Decide(auth.Publish, "two"); d.String() != "iot:Publish on topic/two is denied: no policy is attached" {
		t.Error(d)
	}
	bound, err := a.Bind(with, auth.Peer{ClientID: "c"}) // as when its key signs a connection
	if err != nil || !bound.May(auth.Publish, "two") || bound.May(auth.Publish, "one/c") {
		t.Errorf("%v", err)
	}
	a.Load(auth.PolicyConfig{}, auth.AuthorityOptions{Open: true})
	if !without.May(auth.Publish, "two") {
		t.Error("a function is restricted where nobody is")
	}
	if with.May(auth.Publish, "two") || bound.May(auth.Publish, "two") {
		t.Error("a function keeps a policy that is gone")
	}
}

// A principal follows its authority, wherever it is kept.
func TestLoadReachesBoundPrincipals(t *testing.T) {
	a := authorityOf(t, twoPolicies)
	p, err := a.Bind(&auth.Principal{Name: "ada", Username: "ada"}, auth.Peer{ClientID: "c"})
	if err != nil || !p.May(auth.Publish, "one/c") || p.MayAll(auth.Publish) || p.MayAll(auth.Receive) {
		t.Fatal(err)
	}
	a.Load(auth.PolicyConfig{}, auth.AuthorityOptions{})
	if p.May(auth.Publish, "one/c") {
		t.Error("a policy that is gone still allows")
	}
	b := authorityOf(t, "policies: {all: {Statement: {Effect: Allow, Action: \"iot:*\", Resource: \"*\"}}}\nattach: {policies: all, everybody: true}\n")
	if p, err = b.Bind(&auth.Principal{}, auth.Peer{}); err != nil || !p.MayAll(auth.Receive) || p.MayAll(auth.Debug) {
		t.Errorf("iot:* on * is not everything of AWS IoT's, or more: %v", err)
	}
	if b.ClosesDenied() || b.MetricsOpen() {
		t.Error("the defaults are not refuse and policy")
	}
}

// Whose user name an authorizer's client gives, only its function knows: it makes nobody
// the owner of a thing.
func TestThingsOfAuthorizersClients(t *testing.T) {
	a := authorityOf(t, `
policies: {own: {Statement: {Effect: Allow, Action: iot:Publish, Resource: "topic/${iot:Connection.Thing.ThingName}"}}}
attach: {policies: own, everybody: true}
things: {lamp: {principals: [ada]}}
`)
	for method, want := range map[string]string{"password": "lamp", "authorizer": ""} {
		p := &auth.Principal{Name: "p1", Username: "ada", Method: method}
		if method == "authorizer" {
			p.Documents = [][]byte{[]byte(`{"Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":"topic/${iot:Connection.Thing.ThingName}"}}`)}
		}
		bound, err := a.Bind(p, auth.Peer{ClientID: "lamp"})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.ThingOf(bound); got != want || bound.May(auth.Publish, "lamp") != (want != "") {
			t.Errorf("%s: the client's thing is %q, want %q", method, got, want)
		}
	}
}
