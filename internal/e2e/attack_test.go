package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

// fort is a server that strangers try to get into, and whose clients try to do more than
// they may.
type fort struct {
	*testkit.Server
	t      *testing.T
	issuer *rsa.PrivateKey
	public string // of issuer, PEM
	seen   *mqttclient.Client
}

// Passwords and the like that must not be found anywhere.
const (
	fortPassword = "the password of mallory and of lamp"
	fortSecret   = "a-secret-access-key-of-the-fort"
	fortKeyID    = "AKIAEXAMPLE0000FORT1"
	fortHMAC     = "an-hmac-secret-of-at-least-32-bytes"
)

func buildFort(t *testing.T) *fort {
	t.Helper()
	program := binary.Path(t)
	f := &fort{t: t}
	var err error
	if f.issuer, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&f.issuer.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	f.public = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(echo.Close)
	dir := t.TempDir()
	for _, user := range []string{"mallory", "lamp", "watcher"} {
		if r := testkit.Command(t, strings.NewReader(fortPassword+"\n"), program, "passwd", filepath.Join(dir, "passwords"), user); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	testkit.WriteFiles(t, dir, map[string]string{
		"issuer.pem": f.public,
		"config.yaml": `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
functions: {echo: {http: "` + echo.URL + `"}}
rules:
  - {name: ask, sql: "SELECT * FROM 'ask/+'", actions: [{lambda: {function: echo}}]}
auth:
  methods:
    - sigv4: {keys: [{id: ` + fortKeyID + `, secret: "${SECRET}", principal: dashboard}]}
    - jwt: {keys: [issuer.pem], issuer: fort, audience: [fort], token: {password: true, header: Authorization, query: token, cookie: session}}
    - jwt: {secret: "${HMAC}", issuer: other}
    - password: {file: passwords}
  policies:
    own:
      Statement:
        - {Effect: Allow, Action: iot:Connect, Resource: "*"}
        - {Effect: Allow, Action: [iot:Publish, iot:Receive], Resource: ["topic/own/${iot:ClientId}/x", "topic/ask/${iot:ClientId}", "topic/answers/${iot:ClientId}"]}
        - {Effect: Allow, Action: iot:Subscribe, Resource: ["topicfilter/own/${iot:ClientId}/x", "topicfilter/answers/${iot:ClientId}"]}
    all: {Statement: {Effect: Allow, Action: [iot:Subscribe, iot:Receive], Resource: "*"}}
  attach:
    - {policies: own, everybody: true}
    - {policies: all, user: watcher}
`,
	})
	f.Server = testkit.Serve(t, program, filepath.Join(dir, "config.yaml"), "SECRET="+fortSecret, "HMAC="+fortHMAC)
	f.seen = f.connect("watcher", "watcher")
	if err := f.seen.SubscribeTo(t.Context(), 1, "#"); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fort) target(address string) mqttclient.Target {
	f.t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		f.t.Fatal(err)
	}
	return mqttclient.Target{Scheme: "mqtt", Host: host, Port: port}
}

func (f *fort) webSocket(path string) mqttclient.Target {
	t := f.target(f.HTTP)
	t.Scheme, t.Path = "ws", path
	return t
}

// try connects; what comes of it is the error.
func (f *fort) try(o mqttclient.Options) (*mqttclient.Client, error) {
	f.t.Helper()
	if o.Target.Scheme == "" {
		o.Target = f.target(f.MQTT)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), testkit.Patience)
	defer cancel()
	c, err := mqttclient.Open(ctx, o)
	if err == nil {
		f.t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

func (f *fort) connect(user, clientID string, change ...func(*mqttclient.Options)) *mqttclient.Client {
	f.t.Helper()
	o := mqttclient.Options{ClientID: clientID, Username: &user, Password: []byte(fortPassword)}
	for _, c := range change {
		c(&o)
	}
	c, err := f.try(o)
	if err != nil {
		f.t.Fatalf("%s as %s: %v", clientID, user, err)
	}
	return c
}

// next is the next message that everybody could have seen.
func (f *fort) next() string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), testkit.Patience)
	defer cancel()
	m, err := f.seen.Receive(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return m.Topic + " " + string(m.Payload)
}

// token is one that is good, but for what is changed.
func (f *fort) token(change jwt.MapClaims) string {
	f.t.Helper()
	claims := jwt.MapClaims{"sub": "lamp", "iss": "fort", "aud": "fort", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, change)
	text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(f.issuer)
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// forged is a token with a header and claims of one's own, and an HMAC with a key.
func forged(header, claims map[string]any, key []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	text := b64(h) + "." + b64(c)
	if key == nil {
		return text + "."
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + b64(mac.Sum(nil))
}

// presigned is a WebSocket path that is signed as AWS's device SDK does.
func (f *fort) presigned(secret string, at time.Time, expires string) string {
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	date := at.UTC().Format("20060102T150405Z")
	scope := date[:8] + "/eu-central-1/iotdevicegateway/aws4_request"
	query := "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + url.QueryEscape(fortKeyID+"/"+scope) + "&X-Amz-Date=" + date + "&X-Amz-Expires=" + expires + "&X-Amz-SignedHeaders=host"
	empty := sha256.Sum256(nil)
	request := sha256.Sum256([]byte("GET\n/mqtt\n" + query + "\nhost:" + f.HTTP + "\n\nhost\n" + hex.EncodeToString(empty[:])))
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return "/mqtt?" + query + "&X-Amz-Signature=" + hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(request[:])))
}

// Strangers: whatever they show, none gets in, and those who may get in afterwards as
// before. Nothing of what was shown is found in the log, in metrics, in profiles, or in what
// the program says when it dies.
func TestStrangersStayOutside(t *testing.T) {
	f := buildFort(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"sub": "lamp", "iss": "fort", "aud": "fort", "exp": time.Now().Add(time.Hour).Unix()}
	others := map[string]any{"sub": "lamp", "iss": "other", "exp": time.Now().Add(time.Hour).Unix()}
	byOther, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(claims)).SignedString(other)
	if err != nil {
		t.Fatal(err)
	}
	good := f.token(nil)
	head, body, _ := strings.Cut(good, ".")
	body, _, _ = strings.Cut(body, ".")
	long := map[string]any{"alg": "RS256", "kid": strings.Repeat("k", 12_000)}
	tokens := map[string]string{
		"expired":                     f.token(jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()}),
		"not yet valid":               f.token(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}),
		"for others":                  f.token(jwt.MapClaims{"aud": "elsewhere"}),
		"without an end":              f.token(jwt.MapClaims{"exp": nil}),
		"with an end that is no time": f.token(jwt.MapClaims{"exp": "never"}),
		"alg none":                    forged(map[string]any{"alg": "none"}, claims, nil),
		"alg none, of another issuer": forged(map[string]any{"alg": "none"}, others, nil),
		"alg nOnE with a signature":   forged(map[string]any{"alg": "nOnE"}, claims, []byte("x")),
		"the public key as secret":    forged(map[string]any{"alg": "HS256"}, claims, []byte(f.public)),
		"the same, trimmed":           forged(map[string]any{"alg": "HS256"}, claims, []byte(strings.TrimSpace(f.public))),
		"the same, of another issuer": forged(map[string]any{"alg": "HS256"}, others, []byte(f.public)),
		"another issuer's secret":     forged(map[string]any{"alg": "HS256"}, claims, []byte(fortHMAC)),
		"an empty secret":             forged(map[string]any{"alg": "HS256", "kid": ""}, others, []byte{}),
		"a kid that is a path":        forged(map[string]any{"alg": "HS256", "kid": "../../../../dev/null"}, others, []byte{}),
		"a kid that is a query":       forged(map[string]any{"alg": "HS256", "kid": "x' UNION SELECT 'k"}, others, []byte("k")),
		"a kid that is no text":       forged(map[string]any{"alg": "HS256", "kid": []int{1}}, others, []byte("k")),
		"a huge header":               forged(long, claims, []byte("k")),
		"huge":                        f.token(jwt.MapClaims{"x": strings.Repeat("x", 40_000)}),
		"of somebody else's key":      byOther,
		"without a signature":         head + "." + body + ".",
		"with half a signature":       good[:len(good)-170],
		"with a changed body":         head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root","iss":"fort","aud":"fort","exp":9999999999}`)) + good[strings.LastIndex(good, "."):],
		"with padding":                head + "." + body + "=" + good[strings.LastIndex(good, "."):],
	}
	now := time.Now()
	signed := f.presigned(fortSecret, now, "60")
	urls := map[string]string{
		"nothing":               "/mqtt",
		"expired":               f.presigned(fortSecret, now.Add(-61*time.Second), "60"),
		"of the future":         f.presigned(fortSecret, now.Add(6*time.Minute), "60"),
		"for too long":          f.presigned(fortSecret, now, "604801"),
		"another secret":        f.presigned(fortSecret+"x", now, "60"),
		"a truncated signature": signed[:len(signed)-2],
		"half a signature":      signed[:len(signed)-32],
		"no signature":          signed[:strings.Index(signed, "&X-Amz-Signature")],
		"a longer life":         strings.Replace(signed, "Expires=60", "Expires=3600", 1),
		"another key":           strings.Replace(signed, fortKeyID, "AKIAEXAMPLE0000FORT2", 1),
		"one more parameter":    signed + "&x=y",
		"two signatures":        signed + "&X-Amz-Signature=" + strings.Repeat("0", 64),
		"a huge query":          signed + "&a=" + strings.Repeat("a", 20_000),
	}
	user := "lamp"
	attack := func(what string, o mqttclient.Options) {
		t.Helper()
		o.ClientID = "stranger"
		_, err := f.try(o)
		if err == nil {
			t.Errorf("%s: got in", what)
		}
	}
	for what, token := range tokens {
		attack("token "+what+", as password", mqttclient.Options{Username: &user, Password: []byte(token)})
		attack("token "+what+", in the URL", mqttclient.Options{Target: f.webSocket("/mqtt?token=" + url.QueryEscape(token))})
		attack("token "+what+", in a header", mqttclient.Options{Target: f.webSocket("/mqtt"), Dial: mqttclient.DialOptions{Header: http.Header{"Authorization": {"Bearer " + token}}}})
		attack("token "+what+", in a cookie", mqttclient.Options{Target: f.webSocket("/mqtt"), Dial: mqttclient.DialOptions{Header: http.Header{"Cookie": {"session=" + token}}}})
	}
	for what, path := range urls {
		attack("URL "+what, mqttclient.Options{Target: f.webSocket(path)})
	}
	// A page of somebody else's, with everything that its visitor's browser would send along.
	for _, origin := range []string{"https://evil.example", "null", "http://" + f.HTTP + ".evil.example", "http://user@evil.example", "file://"} {
		h := http.Header{"Origin": {origin}, "Cookie": {"session=" + good}}
		attack("origin "+origin, mqttclient.Options{Target: f.webSocket("/mqtt"), Dial: mqttclient.DialOptions{Header: h}})
	}
	attack("two origins", mqttclient.Options{Target: f.webSocket("/mqtt"), Dial: mqttclient.DialOptions{Header: http.Header{"Origin": {"http://" + f.HTTP, "https://evil.example"}, "Cookie": {"session=" + good}}}})
	attack("huge headers", mqttclient.Options{Target: f.webSocket("/mqtt"), Dial: mqttclient.DialOptions{Header: http.Header{"Authorization": {"Bearer " + good}, "X-Filler": {strings.Repeat("x", 200_000)}}}})
	for what, password := range map[string]string{"wrong": "wrong", "empty": "", "another user's hash": "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$/U3cECKyhvaRj2nFP0qWVfpTkM2aS+MKM7cSFFfEsrM", "with a NUL": fortPassword + "\x00"} {
		attack("password "+what, mqttclient.Options{Username: &user, Password: []byte(password)})
	}
	attack("nothing at all", mqttclient.Options{})

	// All of them in by the front door.
	f.connect("lamp", "lamp")
	for what, o := range map[string]mqttclient.Options{
		"a token as password":    {Username: &user, Password: []byte(good)},
		"a token in the URL":     {Target: f.webSocket("/mqtt?token=" + good)},
		"a token in a header":    {Target: f.webSocket("/mqtt"), Dial: mqttclient.DialOptions{Header: http.Header{"Authorization": {"Bearer " + good}}}},
		"a token in a cookie":    {Target: f.webSocket("/mqtt"), Dial: mqttclient.DialOptions{Header: http.Header{"Cookie": {"session=" + good}, "Origin": {"http://" + f.HTTP}}}},
		"a presigned URL":        {Target: f.webSocket(signed)},
		"another issuer's token": {Username: &user, Password: []byte(forged(map[string]any{"alg": "HS256"}, others, []byte(fortHMAC)))},
	} {
		if _, err := f.try(o); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, signature, _ := strings.Cut(signed, "X-Amz-Signature=")
	f.noSecrets(append([]string{good[len(good)-60:], byOther[len(byOther)-60:], body, signature}, fortPassword, fortSecret, fortHMAC, "$argon2id$")...)
}

// noSecrets looks wherever a server says something of itself, and at last at what it says
// when it is made to die with all its stacks.
func (f *fort) noSecrets(secrets ...string) {
	f.t.Helper()
	client := http.Client{Timeout: testkit.Patience}
	places := map[string]string{}
	for _, path := range []string{"/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline", "/debug/pprof/", "/readyz", "/admin/dead"} {
		r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+f.HTTP+path, http.NoBody)
		if err != nil {
			f.t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			f.t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			f.t.Fatal(path, answer.Status, err)
		}
		places[path] = string(text)
	}
	f.Signal(syscall.SIGQUIT)
	<-f.Exited
	places["the log and the crash"] = f.Log.String()
	if !strings.Contains(places["the log and the crash"], "goroutine ") {
		f.t.Error("the program has not died with its stacks: the test shows nothing of that")
	}
	for place, text := range places {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				f.t.Errorf("%s: has %q", place, s)
			}
		}
	}
}

// Replays over the network: the device may come again, somebody who has read its URL may
// not, and is told what its device would have to do.
func TestReplayedURLOverTheNetwork(t *testing.T) {
	f := buildFort(t)
	path := f.presigned(fortSecret, time.Now(), "300")
	by := func(address string) error {
		_, err := f.try(mqttclient.Options{ClientID: "dashboard", Target: f.webSocket(path), Dial: mqttclient.DialOptions{LocalAddr: address}})
		return err
	}
	if err := errors.Join(by("127.0.0.1"), by("127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	refused, ok := errors.AsType[*mqttclient.ReasonError](by("127.0.0.2"))
	if !ok || refused.Code != 0x86 || refused.Text != "the signature was used before from another address: sign again" {
		t.Errorf("replayed: %v", refused)
	}
	f.WaitFor("the signature was used before, from 127.0.0.1")
	if err := by("127.0.0.1"); err != nil {
		t.Error(err)
	}
	if strings.Contains(f.Log.String(), path[len(path)-64:]) {
		t.Error("the log has the signature")
	}
}

// Somebody who may connect tries to do more than he may: by his client identifier, his will,
// an alias, a Response Topic.
func TestClientsDoNoMoreThanTheyMay(t *testing.T) {
	f := buildFort(t)
	lamp := f.connect("lamp", "lamp")
	if err := lamp.SubscribeTo(t.Context(), 1, "own/lamp/x", "answers/lamp"); err != nil {
		t.Fatal(err)
	}
	mallory := f.connect("mallory", "mallory")
	denied := func(what string, err error) {
		t.Helper()
		if refused, ok := errors.AsType[*mqttclient.ReasonError](err); !ok || refused.Code != 0x87 {
			t.Errorf("%s: %v, want 0x87", what, err)
		}
	}
	publish := func(c *mqttclient.Client, topic string, props mqttclient.Properties) error {
		return c.Publish(t.Context(), &mqttclient.Publish{Topic: topic, Payload: []byte("by mallory"), QoS: 1, Props: props})
	}

	// Client identifiers that look like wildcards, paths or variables.
	for _, id := range []string{"+", "#", "*", "?", "lamp/x", "../lamp", "x/../lamp", "${iot:ClientId}", "lamp/", "/lamp"} {
		c := f.connect("mallory", id)
		denied("publish as "+id, publish(c, "own/lamp/x", mqttclient.Properties{}))
		denied("subscribe as "+id, c.SubscribeTo(t.Context(), 0, "own/lamp/x"))
		denied("subscribe to all as "+id, c.SubscribeTo(t.Context(), 0, "own/#"))
		_ = c.Disconnect(t.Context(), &mqttclient.Disconnect{})
	}
	// The filter of a client named + is everybody's, and what it receives is nobody's.
	plus := f.connect("mallory", "+")
	if err := plus.SubscribeTo(t.Context(), 0, "own/+/x"); err != nil {
		t.Fatal(err)
	}

	// Wills to a denied topic.
	for _, topic := range []string{"own/lamp/x", "$aws/events/presence/connected/lamp", "$SYS/broker/version"} {
		user := "mallory"
		_, err := f.try(mqttclient.Options{ClientID: "willful", Username: &user, Password: []byte(fortPassword), Will: &mqttclient.Will{Topic: topic, Payload: []byte("by mallory"), QoS: 1}})
		denied("a will to "+topic, err)
	}

	// The alias is set with a topic that is denied, or that is allowed, and used later.
	denied("a topic with an alias", publish(mallory, "own/lamp/x", mqttclient.Properties{TopicAlias: 1}))
	denied("its alias", publish(mallory, "", mqttclient.Properties{TopicAlias: 1}))
	for range 2 {
		if err := publish(mallory, "own/mallory/x", mqttclient.Properties{TopicAlias: 2}); err != nil {
			t.Error(err)
		}
		if got := f.next(); got != "own/mallory/x by mallory" {
			t.Errorf("%q, want mallory's own message", got)
		}
	}
	denied("the alias of before, still", publish(mallory, "", mqttclient.Properties{TopicAlias: 1}))

	// An answer where mallory could not receive it, and one where he can.
	ask := func(to string) {
		t.Helper()
		if err := publish(mallory, "ask/mallory", mqttclient.Properties{ResponseTopic: to}); err != nil {
			t.Error(err)
		}
		if got := f.next(); got != "ask/mallory by mallory" {
			t.Errorf("%q, want the request", got)
		}
	}
	ask("own/lamp/x")
	ask("answers/lamp")
	ask("$aws/events/presence/connected/lamp")
	ask("answers/mallory")
	for got := f.next(); !strings.HasPrefix(got, "answers/mallory "); got = f.next() {
		t.Errorf("somebody was sent %q", got)
	}
	// What lamp itself publishes is the first that arrives at its own topics.
	if err := lamp.Publish(t.Context(), &mqttclient.Publish{Topic: "own/lamp/x", Payload: []byte("by lamp"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if got := f.next(); got != "own/lamp/x by lamp" {
		t.Errorf("%q, want lamp's message", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	if m, err := lamp.Receive(ctx); err != nil || string(m.Payload) != "by lamp" {
		t.Errorf("lamp has got %v, %v", m, err)
	}
	// By now the client named + would have it too.
	if err := plus.SubscribeTo(t.Context(), 0, "answers/+"); err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if m, err := plus.Receive(over); err == nil {
		t.Errorf("the client named + has got %s", m.Topic)
	}
}
