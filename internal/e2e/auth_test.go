package e2e

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/topicwire/topicwire/internal/testkit"
)

// The keys and passwords of fleet.
const (
	fleetKeyID    = "AKIAEXAMPLE000000001"
	fleetSecret   = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	fleetPassword = "correct horse battery staple"
)

// fleet is a server that lets clients in by every method, and what they need.
type fleet struct {
	*testkit.Server
	dir        string
	jwt        ed25519.PrivateKey
	authorizer *rsa.PrivateKey // signs tokens
}

// authorizer is a custom authorizer as people deploy it to AWS.
const authorizer = `exports.handler = async (event) => {
  const mqtt = event.protocolData.mqtt || {};
  const password = Buffer.from(mqtt.password || "", "base64").toString();
  const good = event.token === "let-me-in" && password === "open sesame" && (mqtt.username || "").startsWith("grace");
  return {
    isAuthenticated: good, principalId: "grace", disconnectAfterInSeconds: 86400, refreshAfterInSeconds: 300,
    policyDocuments: [{ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "iot:*", Resource: "*" }] }],
  };
};
`

func serveFleet(t *testing.T) *fleet {
	t.Helper()
	program := binary.Path(t)
	f := &fleet{dir: t.TempDir()}
	certs := filepath.Join(f.dir, "certs")
	if r := testkit.Command(t, nil, program, "cert", "--dir", certs, "lamp", "stolen"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	if r := testkit.Command(t, strings.NewReader(fleetPassword+"\n"), program, "passwd", filepath.Join(f.dir, "passwords"), "ada"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.jwt = private
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if f.authorizer, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	signer := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&f.authorizer.PublicKey)})
	testkit.WriteFiles(t, f.dir, map[string]string{
		"authorizer.pem":     string(signer),
		"issuer.pem":         string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"authorize/index.js": authorizer,
		"config.yaml": `
listen:
  mqtt: 127.0.0.1:0
  http: 127.0.0.1:0
  mqtts: 127.0.0.1:0
  https: 127.0.0.1:0
  tls: {cert: certs/server.cert.pem, key: certs/server.private.key, client_ca: certs/root-CA.crt, client_crl: certs/root-CA.crl}
  websocket: {allowed_origins: ["http://127.0.0.1:*"]}
functions:
  authorize: {runtime: nodejs22.x, path: authorize, handler: index.handler}
auth:
  methods:
    - x509: {principal: common_name}
    - sigv4: {keys: [{id: ` + fleetKeyID + `, secret: "${SECRET}", principal: dashboard}]}
    - authorizer: {authorizers: {main: {function: authorize, token_key: token, signing_keys: [authorizer.pem]}}}
    - jwt: {keys: [issuer.pem], token: {password: true, query: token}}
    - password: {file: passwords}
  policies:
    all: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "iot:*", Resource: "*"}]}
  attach:
    - {policies: all, everybody: true}
`,
	})
	f.revoke(t, "stolen")
	f.Server = testkit.Serve(t, program, filepath.Join(f.dir, "config.yaml"), "SECRET="+fleetSecret)
	return f
}

func (f *fleet) cert(name string) string { return filepath.Join(f.dir, "certs", name) }

func (f *fleet) revoke(t *testing.T, name string) {
	t.Helper()
	if r := testkit.Command(t, nil, binary.Path(t), "cert", "--dir", filepath.Join(f.dir, "certs"), name, "--revoke"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
}

func (f *fleet) token(t *testing.T, expires time.Duration) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "browser", "exp": time.Now().Add(expires).Unix()}).SignedString(f.jwt)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// noSecrets fails if the server's log has one.
func (f *fleet) noSecrets(t *testing.T) {
	t.Helper()
	for _, s := range []string{fleetSecret, fleetPassword, "open sesame", "let-me-in", "$argon2id"} {
		if strings.Contains(f.Log.String(), s) {
			t.Errorf("the log has %q", s)
		}
	}
}

func port(t *testing.T, address string) int {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run drives a script with options and returns what it printed.
func (f *fleet) run(t *testing.T, script string, options map[string]any) testkit.Result {
	t.Helper()
	node := testkit.Need(t, "node", "nodejs")
	dir := filepath.Join(testkit.Root(), "internal", "e2e")
	testkit.NeedFile(t, filepath.Join(dir, "node_modules", "aws-iot-device-sdk-v2"), "run make deps")
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.Command(t, nil, node, filepath.Join(dir, script), string(text))
}

// aws-iot-device-sdk, v1: with certificates, and over WebSocket with a presigned URL.
func TestDeviceSDKv1(t *testing.T) {
	f := serveFleet(t)
	for name, o := range map[string]map[string]any{
		"certificates":              {"protocol": "mqtts", "port": port(t, f.MQTTS), "keyPath": f.cert("lamp.private.key"), "certPath": f.cert("lamp.cert.pem")},
		"SigV4":                     {"protocol": "wss", "port": port(t, f.HTTPS), "accessKeyId": fleetKeyID, "secretKey": fleetSecret, "region": "eu-central-1"},
		"SigV4 and a session token": {"protocol": "wss", "port": port(t, f.HTTPS), "accessKeyId": fleetKeyID, "secretKey": fleetSecret, "sessionToken": "a+token/==", "region": "eu-central-1"},
	} {
		o["host"], o["caPath"] = "127.0.0.1", f.cert("root-CA.crt")
		r := f.run(t, "device_v1.mjs", o)
		if r.Code != 0 {
			t.Errorf("%s: exit status %d: %s", name, r.Code, r.Stderr)
			continue
		}
		sameJSON(t, `["lamp/state on", "lamp/will gone"]`, r.Stdout)
	}
	for name, o := range map[string]map[string]any{
		"a revoked certificate": {"protocol": "mqtts", "port": port(t, f.MQTTS), "keyPath": f.cert("stolen.private.key"), "certPath": f.cert("stolen.cert.pem")},
		"another secret":        {"protocol": "wss", "port": port(t, f.HTTPS), "accessKeyId": fleetKeyID, "secretKey": fleetSecret + "x", "region": "eu-central-1"},
	} {
		o["host"], o["caPath"] = "127.0.0.1", f.cert("root-CA.crt")
		if r := f.run(t, "device_v1.mjs", o); r.Code != 3 {
			t.Errorf("%s: exit status %d: %s%s", name, r.Code, r.Stdout, r.Stderr)
		}
	}
	f.noSecrets(t)
}

// aws-iot-device-sdk-v2 on one port: MQTT with a certificate and MQTT with a custom
// authorizer, both by ALPN, and WebSocket with AWS's signature.
func TestDeviceSDKv2(t *testing.T) {
	f := serveFleet(t)
	base := func(more map[string]any) map[string]any {
		more["host"], more["port"], more["ca"] = "127.0.0.1", port(t, f.HTTPS), f.cert("root-CA.crt")
		return more
	}
	sum := sha256.Sum256([]byte("let-me-in"))
	signed, err := rsa.SignPKCS1v15(rand.Reader, f.authorizer, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := base64.StdEncoding.EncodeToString(signed)
	authorizerOptions := func(password string) map[string]any {
		return base(map[string]any{"mode": "authorizer", "username": "grace", "authorizer": "main", "password": password, "tokenKey": "token", "token": "let-me-in", "signature": signature})
	}
	for name, o := range map[string]map[string]any{
		"certificate":  base(map[string]any{"mode": "certificate", "cert": f.cert("lamp.cert.pem"), "key": f.cert("lamp.private.key")}),
		"authorizer":   authorizerOptions("open sesame"),
		"SigV4":        base(map[string]any{"mode": "sigv4", "region": "eu-central-1", "id": fleetKeyID, "secret": fleetSecret}),
		"SigV4, token": base(map[string]any{"mode": "sigv4", "region": "eu-central-1", "id": fleetKeyID, "secret": fleetSecret, "sessionToken": "a+token/=="}),
	} {
		r := f.run(t, "device_v2.mjs", o)
		if r.Code != 0 {
			t.Errorf("%s: exit status %d: %s%s", name, r.Code, r.Stdout, r.Stderr)
			continue
		}
		lines := strings.Split(strings.TrimSpace(r.Stdout), "\n") // it may warn about the port first
		sameJSON(t, `["lamp/state on"]`, lines[len(lines)-1])
	}
	if r := f.run(t, "device_v2.mjs", authorizerOptions("wrong")); r.Code != 3 {
		t.Errorf("a wrong password: exit status %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	f.noSecrets(t)
}

// mosquitto's clients: with certificates, passwords and tokens, and what a changed file
// means to those who are connected.
func TestMosquittoAuthentication(t *testing.T) {
	f := serveFleet(t)
	device := func(name string) []string {
		return []string{"--cafile", f.cert("root-CA.crt"), "--cert", f.cert(name + ".cert.pem"), "--key", f.cert(name + ".private.key")}
	}
	sub := subscribe(t, f.MQTTS, append(device("lamp"), "-i", "watcher", "-t", "a/#", "-V", "mqttv5")...)
	publish(t, f.MQTT, "-u", "ada", "-P", fleetPassword, "-t", "a/1", "-m", "by password", "-q", "1")
	publish(t, f.MQTT, "-u", "any", "-P", f.token(t, time.Minute), "-t", "a/2", "-m", "by token", "-q", "1")
	publish(t, f.HTTPS, append(device("lamp"), "--tls-alpn", "x-amzn-mqtt-ca", "-t", "a/3", "-m", "by ALPN", "-q", "1")...)
	for _, want := range []string{"a/1 by password", "a/2 by token", "a/3 by ALPN"} {
		sub.waitFor(want)
	}
	command := testkit.Need(t, "mosquitto_pub", "mosquitto-clients")
	refused := func(address string, args ...string) {
		t.Helper()
		args = append(hostPort(t, address), append(args, "-t", "a/b", "-m", "x", "-q", "1")...)
		if r := testkit.Command(t, nil, command, args...); r.Code == 0 {
			t.Errorf("%q got in", args)
		}
	}
	refused(f.MQTT)
	refused(f.MQTT, "-u", "ada", "-P", "wrong")
	refused(f.MQTT, "-u", "nobody", "-P", fleetPassword)
	refused(f.MQTT, "-u", "any", "-P", f.token(t, -time.Minute))
	refused(f.MQTTS, "--cafile", f.cert("root-CA.crt"))
	refused(f.MQTTS, device("stolen")...)

	// The certificate is revoked: its connection ends, and another user's with its user.
	ada := subscribe(t, f.MQTT, "-u", "ada", "-P", fleetPassword, "-i", "ada", "-t", "a/#", "-V", "mqttv5")
	f.revoke(t, "lamp")
	f.WaitFor("is revoked")
	refused(f.MQTTS, device("lamp")...)
	if r := testkit.Command(t, nil, binary.Path(t), "passwd", filepath.Join(f.dir, "passwords"), "ada", "--delete"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	f.WaitFor("the user was deleted")
	ada.waitFor("Received DISCONNECT (135)")
	refused(f.MQTT, "-u", "ada", "-P", fleetPassword)
	f.noSecrets(t)
}

// A connection ends with its token: 0xA0, Maximum connect time.
func TestConnectionEndsWithItsToken(t *testing.T) {
	f := serveFleet(t)
	sub := subscribe(t, f.MQTT, "-u", "any", "-P", f.token(t, 3*time.Second), "-t", "a", "-V", "mqttv5")
	sub.waitFor("Received DISCONNECT (160)")
}

// mosquitto's password files.
func TestMosquittoPasswordFile(t *testing.T) {
	tool := testkit.Need(t, "mosquitto_passwd", "mosquitto")
	path := filepath.Join(t.TempDir(), "passwords")
	if r := testkit.Command(t, nil, tool, "-c", "-b", path, "ada", "secret"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	program := binary.Path(t)
	if r := testkit.Command(t, strings.NewReader("secret\n"), program, "passwd", path, "ada", "--check"); r.Code != 0 {
		t.Error(r.Stderr)
	}
	if r := testkit.Command(t, strings.NewReader("wrong\n"), program, "passwd", path, "ada", "--check"); r.Code != 1 {
		t.Error(r.Stderr)
	}
}

// mqtt.js in Chromium with a JSON Web Token: in the URL, and as the password.
func TestBrowserWithToken(t *testing.T) {
	root := testkit.Root()
	chromium := testkit.Need(t, "chromium", "chromium")
	node := testkit.Need(t, "node", "nodejs")
	page := filepath.Join(root, "examples", "browser")
	testkit.NeedFile(t, filepath.Join(page, "node_modules", "mqtt"), "run make deps")
	testkit.NeedFile(t, filepath.Join(root, "internal", "e2e", "node_modules", "playwright-core"), "run make deps")
	f := serveFleet(t)
	web := httptest.NewServer(http.StripPrefix("/", http.FileServer(http.Dir(page))))
	t.Cleanup(web.Close)
	r := testkit.Command(t, nil, node, filepath.Join(root, "internal", "e2e", "browser_jwt.mjs"), chromium, web.URL+"/style.css",
		"ws://"+f.HTTP+"/mqtt", f.token(t, time.Minute), f.token(t, -time.Minute))
	if r.Code != 0 {
		t.Fatalf("exit status %d:\n%s", r.Code, r.Stderr)
	}
	sameJSON(t, `{"url": "page/1 hello", "password": "page/1 hello", "expired": "error 134", "none": "error 135"}`, r.Stdout)
	f.noSecrets(t)
}
