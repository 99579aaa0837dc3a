package auth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

const allowResult = `{"isAuthenticated":true,"principalId":"ada1","disconnectAfterInSeconds":3600,"refreshAfterInSeconds":300,
	"policyDocuments":[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}]}`

// decider is an authorizer's function.
type decider struct {
	answer atomic.Value // string; "" = it fails
	events chan map[string]any
}

func newDecider(answer string) *decider {
	d := &decider{events: make(chan map[string]any, 100)}
	d.answer.Store(answer)
	return d
}

func (d *decider) invoke(_ context.Context, name string, text []byte) ([]byte, error) {
	var e map[string]any
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, err
	}
	e["function"] = name
	d.events <- e
	answer, _ := d.answer.Load().(string)
	if answer == "" {
		return nil, errors.New("the function failed")
	}
	return []byte(answer), nil
}

// asked is the event of the last call; nil if there was none.
func (d *decider) asked() map[string]any {
	select {
	case e := <-d.events:
		return e
	default:
		return nil
	}
}

func authorizerConfig(def string, all map[string]auth.Authorizer) auth.Config {
	return auth.Config{Methods: []auth.MethodConfig{{Authorizer: &auth.AuthorizerConfig{Authorizers: all, Default: def}}}}
}

func unsigned(def string) auth.Config {
	return authorizerConfig(def, map[string]auth.Authorizer{"main": {Function: "authorize", TokenKey: "token", SigningDisabled: true}})
}

func TestAuthorizerEvent(t *testing.T) {
	t.Parallel()
	d := newDecider(allowResult)
	b := start(t, unsigned("main"), auth.Options{Invoke: d.invoke})
	r := httptest.NewRequest(http.MethodGet, "/mqtt?a=b&token=t1", nil)
	r.Host = "broker.example.com"
	r.Header = http.Header{"X-Extra": {"one", "two"}}
	for _, c := range []struct {
		cr   auth.Credentials
		want string
	}{
		{
			auth.Credentials{ClientID: "c", Via: message.ViaMQTT, Username: "ada?token=t0&x=y", HasUsername: true, Password: []byte("secret"), TLS: &tls.ConnectionState{ServerName: "broker.example.com"}},
			`{"token":"t0","signatureVerified":false,"protocols":["tls","mqtt"],"protocolData":{"tls":{"serverName":"broker.example.com"},
			"mqtt":{"username":"ada?token=t0&x=y","password":"c2VjcmV0","clientId":"c"}},"connectionMetadata":{"id":"ID"},"function":"authorize"}`,
		},
		{
			auth.Credentials{ClientID: "c", Via: message.ViaMQTT},
			`{"signatureVerified":false,"protocols":["mqtt"],"protocolData":{"mqtt":{"clientId":"c"}},"connectionMetadata":{"id":"ID"},"function":"authorize"}`,
		},
		{
			auth.Credentials{ClientID: "c", Via: message.ViaWebSocket, Request: r},
			`{"token":"t1","signatureVerified":false,"protocols":["http","mqtt"],"protocolData":{"http":{"headers":{"x-extra":"one, two","host":"broker.example.com"},"queryString":"?a=b&token=t1"},
			"mqtt":{"clientId":"c"}},"connectionMetadata":{"id":"ID"},"function":"authorize"}`,
		},
		{
			auth.Credentials{Via: message.ViaHTTP, Request: r, TLS: &tls.ConnectionState{}},
			`{"token":"t1","signatureVerified":false,"protocols":["tls","http"],"protocolData":{"tls":{"serverName":""},"http":{"headers":{"x-extra":"one, two","host":"broker.example.com"},"queryString":"?a=b&token=t1"}},
			"connectionMetadata":{"id":"ID"},"function":"authorize"}`,
		},
	} {
		b.lets(&c.cr, "ada1")
		got := d.asked()
		if m, ok := got["connectionMetadata"].(map[string]any); !ok || m["id"] == "" {
			t.Errorf("no connection id: %v", got)
		}
		got["connectionMetadata"] = map[string]any{"id": "ID"}
		var want map[string]any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAuthorizerResult(t *testing.T) {
	t.Parallel()
	d := newDecider("")
	b := start(t, unsigned("main"), auth.Options{Invoke: d.invoke})
	show := &auth.Credentials{ClientID: "c", Via: message.ViaMQTT}
	if _, err := b.Authenticate(t.Context(), show); err == nil || errors.Is(err, auth.ErrRefused) || errors.Is(err, auth.ErrNotMine) {
		t.Errorf("a function that fails has decided: %v", err)
	}
	doc := `{"Version":"2012-10-17","Statement":[]}`
	for _, bad := range []string{
		`null`, `[]`, `"yes"`, `{`, `{}`,
		`{"isAuthenticated":false,"principalId":"a","policyDocuments":[` + doc + `]}`,
		`{"isAuthenticated":"true","principalId":"a","policyDocuments":[` + doc + `]}`,
		`{"isAuthenticated":true,"policyDocuments":[` + doc + `]}`,
		`{"isAuthenticated":true,"principalId":"a b","policyDocuments":[` + doc + `]}`,
		`{"isAuthenticated":true,"principalId":"` + strings.Repeat("a", 129) + `","policyDocuments":[` + doc + `]}`,
		`{"isAuthenticated":true,"principalId":"a"}`,
		`{"isAuthenticated":true,"principalId":"a","policyDocuments":[]}`,
		`{"isAuthenticated":true,"principalId":"a","policyDocuments":["no"]}`,
		`{"isAuthenticated":true,"principalId":"a","policyDocuments":[7]}`,
		`{"isAuthenticated":true,"principalId":"a","policyDocuments":[` + strings.Repeat(doc+",", 10) + doc + `]}`,
		`{"isAuthenticated":true,"principalId":"a","policyDocuments":[{"x":"` + strings.Repeat("x", 2050) + `"}]}`,
		`{"isAuthenticated":true,"principalId":"a","disconnectAfterInSeconds":0,"policyDocuments":[` + doc + `]}`,
		`{"isAuthenticated":true,"principalId":"a","disconnectAfterInSeconds":86401,"policyDocuments":[` + doc + `]}`,
		`{"isAuthenticated":true,"principalId":"a","refreshAfterInSeconds":-5,"policyDocuments":[` + doc + `]}`,
	} {
		d.answer.Store(bad)
		b.refuses(show, auth.ErrRefused)
	}
	d.answer.Store(`{"isAuthenticated":true,"principalId":"a","policyDocuments":[` + doc + `,"{ \"Version\": \"2012-10-17\" }"]}`)
	p := b.lets(show, "a")
	if len(p.Documents) != 2 || string(p.Documents[0]) != doc || string(p.Documents[1]) != `{"Version":"2012-10-17"}` {
		t.Errorf("documents %q", p.Documents)
	}
	if !p.Expires.Equal(b.Now().Add(24*time.Hour)) || !p.Renew.IsZero() {
		t.Errorf("expires %v, renewed %v", p.Expires, p.Renew)
	}
}

func TestAuthorizerIsAskedAgainWhenItIsDue(t *testing.T) {
	t.Parallel()
	d := newDecider(allowResult)
	b := start(t, unsigned("main"), auth.Options{Invoke: d.invoke})
	show := func(id string) *auth.Credentials {
		return &auth.Credentials{ClientID: id, Via: message.ViaMQTT, Username: "ada", HasUsername: true, Password: []byte("x")}
	}
	began := b.Now()
	p := b.lets(show("c"), "ada1")
	if !p.Expires.Equal(began.Add(time.Hour)) || !p.Renew.Equal(began.Add(5*time.Minute)) {
		t.Errorf("expires %v, renewed %v", p.Expires, p.Renew)
	}
	d.asked()
	// The same client again: the answer holds for refreshAfterInSeconds. Another one: not.
	b.advance(time.Minute)
	again := b.lets(show("c"), "ada1")
	if d.asked() != nil {
		t.Error("the function was asked although its answer holds")
	}
	if !again.Renew.Equal(p.Renew) || !again.Expires.Equal(b.Now().Add(time.Hour)) {
		t.Errorf("from the cache: expires %v, renewed %v", again.Expires, again.Renew)
	}
	b.lets(show("d"), "ada1")
	if d.asked() == nil {
		t.Error("another client got the answer of the first")
	}
	// Renewed: other documents, the same end.
	b.advance(4 * time.Minute)
	d.answer.Store(strings.Replace(allowResult, "iot:*", "iot:Connect", 1))
	next, err := p.Renewed(t.Context())
	if err != nil || next.Name != "ada1" || !strings.Contains(string(next.Documents[0]), "iot:Connect") || !next.Expires.Equal(p.Expires) || !next.Renew.Equal(b.Now().Add(5*time.Minute)) {
		t.Errorf("%+v, %v", next, err)
	}
	if next.Policy == nil {
		t.Error("a renewed principal has no policy")
	}
	d.answer.Store(`{"isAuthenticated":false}`)
	if _, err := next.Renewed(t.Context()); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("%v, want a refusal", err)
	}
	d.answer.Store("")
	if _, err := next.Renewed(t.Context()); err == nil || errors.Is(err, auth.ErrRefused) {
		t.Errorf("%v, want a failure that is no refusal", err)
	}
	b.load(unsigned(""))
	if err := b.Recheck(p); err != nil {
		t.Error(err)
	}
	b.load(auth.Config{})
	if err := b.Recheck(p); !errors.Is(err, auth.ErrRefused) {
		t.Error("the authorizer is gone and its client may stay")
	}
}

func TestAuthorizerIsChosen(t *testing.T) {
	t.Parallel()
	d := newDecider(allowResult)
	all := map[string]auth.Authorizer{
		"one": {Function: "f1", SigningDisabled: true}, "two": {Function: "f2", SigningDisabled: true},
	}
	mqtt := func(user string) *auth.Credentials {
		return &auth.Credentials{ClientID: "c", Via: message.ViaMQTT, Username: user, HasUsername: true}
	}
	ws := func(header, query string) *auth.Credentials {
		r := httptest.NewRequest(http.MethodGet, "/mqtt?"+query, nil)
		if header != "" {
			r.Header.Set("X-Amz-CustomAuthorizer-Name", header)
		}
		return &auth.Credentials{ClientID: "c", Via: message.ViaWebSocket, Request: r}
	}
	for _, c := range []struct {
		def  string
		cr   *auth.Credentials
		want string // function; "" = nobody, "refused"
	}{
		{"one", mqtt("ada"), "f1"},
		{"one", mqtt("ada?x-amz-customauthorizer-name=two"), "f2"},
		{"one", mqtt("ada?x-amz-customauthorizer-name=two&SDK=IoTDeviceSDK/JS&Metadata=(CRTVersion=1;IoTSDKVersion=2)&x=%zz"), "f2"},
		{"one", mqtt("?X-Amz-CustomAuthorizer-Name=two"), "f2"},
		{"one", mqtt("ada?x-amz-customauthorizer-name=three"), "refused"},
		{"", mqtt("ada"), ""},
		{"", mqtt("ada?SDK=JavaScript"), ""},
		{"", ws("two", ""), "f2"},
		{"", ws("", "x-amz-customauthorizer-name=two"), "f2"},
		{"one", ws("", ""), "f1"},
	} {
		b := start(t, authorizerConfig(c.def, all), auth.Options{Invoke: d.invoke})
		switch c.want {
		case "":
			b.refuses(c.cr, auth.ErrNotMine)
		case "refused":
			b.refuses(c.cr, auth.ErrRefused)
		default:
			b.lets(c.cr, "ada1")
			if e := d.asked(); e["function"] != c.want {
				t.Errorf("%q was asked, want %q", e["function"], c.want)
			}
		}
	}
}

// The token's signature is checked before the function runs.
func TestAuthorizerSignature(t *testing.T) {
	t.Parallel()
	key, other := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	path := write(t, "authorizer.pem", publicPEM(t, key.Public()))
	d := newDecider(allowResult)
	b := start(t, authorizerConfig("main", map[string]auth.Authorizer{
		"main": {Function: "f", TokenKey: "MyToken", SigningKeys: []string{path}},
	}), auth.Options{Invoke: d.invoke})
	sign := func(key *rsa.PrivateKey, token string) string {
		sum := sha256.Sum256([]byte(token))
		return base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])))
	}
	show := func(token, signature string) *auth.Credentials {
		q := url.Values{"MyToken": {token}, "x-amz-customauthorizer-signature": {signature}}
		return &auth.Credentials{ClientID: "c", Via: message.ViaMQTT, Username: "ada?" + q.Encode(), HasUsername: true, Remote: from("127.0.0.1", "", "").Remote}
	}
	good := sign(key, "abc")
	b.lets(show("abc", good), "ada1")
	if e := d.asked(); e["token"] != "abc" || e["signatureVerified"] != true {
		t.Errorf("%v", e)
	}
	raw := show("abc", good)
	raw.Username = "ada?MyToken=abc&x-amz-customauthorizer-signature=" + good // + and / as they are
	b.lets(raw, "ada1")
	escapedTwice := show("abc", url.QueryEscape(good))
	b.lets(escapedTwice, "ada1")
	for d.asked() != nil {
	}
	for _, bad := range []*auth.Credentials{
		show("abd", good), show("abc", sign(other, "abc")), show("abc", ""), show("", sign(key, "")), show("abc", good[:len(good)-4]),
		show("abc", "%"), show("abc", strings.Repeat("A", 3000)), show(strings.Repeat("x", 20<<10), good),
		{ClientID: "c", Via: message.ViaMQTT, Remote: from("127.0.0.1", "", "").Remote},
	} {
		b.refuses(bad, auth.ErrRefused)
		if d.asked() != nil {
			t.Error("the function was asked although the signature is wrong")
		}
	}
	if strings.Contains(b.log.String(), good) || strings.Contains(b.log.String(), "MyToken") {
		t.Errorf("the log has a token:\n%s", b.log)
	}
	rewrite(t, path, publicPEM(t, other.Public()))
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	b.refuses(show("abc", good), auth.ErrRefused)
}

// A function that does not answer is given up after 5 seconds.
func TestAuthorizerTimeLimit(t *testing.T) {
	t.Parallel()
	var limit time.Duration
	b := start(t, unsigned("main"), auth.Options{Invoke: func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		at, _ := ctx.Deadline()
		limit = time.Until(at)
		return nil, context.DeadlineExceeded
	}})
	if _, err := b.Authenticate(t.Context(), &auth.Credentials{ClientID: "c"}); err == nil || errors.Is(err, auth.ErrRefused) {
		t.Error(err)
	}
	if limit <= 0 || limit > 5*time.Second {
		t.Errorf("the function has %v", limit)
	}
}
