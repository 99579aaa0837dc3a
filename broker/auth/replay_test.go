package auth_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

// replayHost is the host that the signatures below are for.
const replayHost = "broker.example.com"

// at is the handshake for a URL from an address.
func at(addr, target string) *auth.Credentials {
	c := handshake(replayHost, target)
	c.Remote = netip.AddrPortFrom(netip.MustParseAddr(addr), 4711)
	return c
}

// url1 signs as the device SDK does, with a validity of a minute.
func url1(at time.Time) string {
	return deviceSDK(keyID, secret, "", replayHost, "iotdevicegateway", at, 60)
}

func reuse(r auth.SignatureReuse) auth.Config {
	return sigV4Config(func(c *auth.SigV4Config) { c.Reuse = r })
}

// tells expects a refusal whose client is told something of it.
func tells(t *testing.T, err error, text string) {
	t.Helper()
	if told := auth.Told(err); !strings.Contains(told, text) {
		t.Errorf("the client is told %q of %v, want %q", told, err, text)
	}
}

// A presigned URL that somebody has read lets its device in again, and nobody else.
func TestReplayedPresignedURL(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	b := start(t, sigV4Config(nil), auth.Options{Metrics: metrics})
	device := url1(b.Now())
	b.lets(at("192.0.2.7", device), "dashboard")
	b.lets(at("192.0.2.7", device), "dashboard") // it connects again
	for range 40 {                               // more than the wrong attempts that an address has
		err := b.refuses(at("198.51.100.9", device), auth.ErrRefused)
		if errors.Is(err, auth.ErrTooMany) {
			t.Fatal("a replay counts as a wrong attempt")
		}
		tells(t, err, "from another address: sign again")
		if strings.Contains(auth.Told(err), "192.0.2.7") {
			t.Error("whoever replays is told whose URL it is")
		}
	}
	b.lets(at("198.51.100.9", url1(b.Now().Add(time.Second))), "dashboard") // as its device would after a move
	log := b.log.String()
	for _, part := range []string{"198.51.100.9", "the signature was used before, from 192.0.2.7", `"user":"` + keyID + `"`} {
		if !strings.Contains(log, part) {
			t.Errorf("the log has nothing of %q:\n%s", part, log)
		}
	}
	_, signature, _ := strings.Cut(device, "X-Amz-Signature=")
	if strings.Contains(log, signature) {
		t.Error("the log has the signature")
	}
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP topicwire_auth_total Credentials that were shown, by the method that knew them and what came of it.
# TYPE topicwire_auth_total counter
topicwire_auth_total{method="sigv4",result="accepted"} 3
topicwire_auth_total{method="sigv4",result="replayed"} 40
`), "topicwire_auth_total"); err != nil {
		t.Error(err)
	}
	// An IPv6 /64 is one address, as everywhere: a device changes the rest of it by itself.
	six := url1(b.Now().Add(2 * time.Second))
	b.lets(at("2001:db8::1", six), "dashboard")
	b.lets(at("2001:db8::2", six), "dashboard")
	b.refuses(at("2001:db8:0:1::1", six), auth.ErrRefused)
	// When it has expired, nobody gets in, and the first address is told that.
	b.advance(2 * time.Minute)
	tells(t, b.refuses(at("192.0.2.7", device), auth.ErrRefused), "has expired")
}

// Another spelling of a URL has the same signature and is the same URL.
func TestReplayedPresignedURLInOtherWords(t *testing.T) {
	t.Parallel()
	b := start(t, sigV4Config(nil), auth.Options{})
	device := url1(b.Now())
	path, query, _ := strings.Cut(device, "?")
	parts := strings.Split(query, "&")
	reversed := make([]string, 0, len(parts))
	for i := range parts {
		reversed = append(reversed, parts[len(parts)-1-i])
	}
	rest, signature, _ := strings.Cut(device, "X-Amz-Signature=")
	spellings := map[string]string{
		"another order":            path + "?" + strings.Join(reversed, "&"),
		"a signature in capitals":  rest + "X-Amz-Signature=" + strings.ToUpper(signature),
		"an escape too many":       strings.Replace(device, "SignedHeaders=host", "SignedHeaders=%68ost", 1),
		"small letters in escapes": strings.ReplaceAll(device, "%2F", "%2f"),
		"no escapes":               strings.ReplaceAll(device, "%2F", "/"),
		"empty parts":              strings.Replace(device, "&", "&&", 1) + "&",
		"a session token":          device + "&X-Amz-Security-Token=anything",
		"another session token":    device + "&X-Amz-Security-Token=other",
		"the URL as it was":        device,
		"an escaped name":          strings.Replace(device, "X-Amz-Date", "X-Amz%2DDate", 1),
		"the signature in front":   path + "?X-Amz-Signature=" + signature + "&" + strings.TrimSuffix(strings.TrimPrefix(rest, path+"?"), "&"),
	}
	b.lets(at("192.0.2.7", spellings["another order"]), "dashboard") // none is refused because of its form
	for what, target := range spellings {
		b.lets(at("192.0.2.7", target), "dashboard")
		if err := b.refuses(at("198.51.100.9", target), auth.ErrRefused); auth.Told(err) == "" {
			t.Errorf("%s: %v, want that it is a replay", what, err)
		}
	}
	port := at("198.51.100.9", device)
	port.Request.Host = replayHost + ":8443" // its port was not signed
	tells(t, b.refuses(port, auth.ErrRefused), "sign again")
}

// A presigned URL whose signature is moved into a header would be good for five minutes,
// whatever it says.
func TestPresignedURLAsHeader(t *testing.T) {
	t.Parallel()
	b := start(t, reuse(auth.ReuseNever), auth.Options{})
	device := url1(b.Now())
	b.lets(at("127.0.0.1", device), "dashboard")
	b.advance(2 * time.Minute)
	rest, signature, _ := strings.Cut(device, "&X-Amz-Signature=")
	u, err := url.Parse(device)
	if err != nil {
		t.Fatal(err)
	}
	moved := at("127.0.0.1", rest)
	moved.Request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+u.Query().Get("X-Amz-Credential")+", SignedHeaders=host, Signature="+signature)
	moved.Request.Header.Set("X-Amz-Date", u.Query().Get("X-Amz-Date"))
	b.refuses(moved, auth.ErrRefused)
}

// Two devices with one key that sign in the same second have the same URL. Behind one
// address, as behind a router, both get in, unless each signature is to let in once.
func TestTwoDevicesSignInTheSameSecond(t *testing.T) {
	t.Parallel()
	b := start(t, sigV4Config(nil), auth.Options{})
	now := b.Now()
	one, two := url1(now), url1(now)
	b.lets(at("192.0.2.7", one), "dashboard")
	b.lets(at("192.0.2.7", two), "dashboard")

	b = start(t, reuse(auth.ReuseNever), auth.Options{})
	b.lets(at("192.0.2.7", one), "dashboard")
	tells(t, b.refuses(at("192.0.2.7", two), auth.ErrRefused), "sign again for every connection")
	tells(t, b.refuses(at("198.51.100.9", two), auth.ErrRefused), "from another address")
	b.lets(at("192.0.2.7", url1(now.Add(time.Second))), "dashboard")

	b = start(t, reuse(auth.ReuseUntilExpiry), auth.Options{}) // as on AWS
	for _, addr := range []string{"192.0.2.7", "198.51.100.9", "2001:db8::1"} {
		b.lets(at(addr, one), "dashboard")
	}
}

// A device whose clock is off is told so, and does not lock out its neighbours.
func TestClocksThatAreOff(t *testing.T) {
	t.Parallel()
	b := start(t, sigV4Config(nil), auth.Options{})
	for skew, text := range map[time.Duration]string{
		-4 * time.Minute: "has expired", // its minute is over
		6 * time.Minute:  "in the future: is the client's clock right?",
	} {
		for range 30 {
			tells(t, b.refuses(at("192.0.2.7", url1(b.Now().Add(skew))), auth.ErrRefused), text)
		}
	}
	b.lets(at("192.0.2.7", url1(b.Now().Add(4*time.Minute))), "dashboard")
	b.lets(at("192.0.2.7", deviceSDK(keyID, secret, "", replayHost, "iotdevicegateway", b.Now().Add(-4*time.Minute), 0)), "dashboard")
	// Whoever has not the secret is told nothing, and counts.
	var err error
	for range 21 {
		err = b.refuses(at("203.0.113.5", deviceSDK(keyID, secret+"x", "", replayHost, "iotdevicegateway", b.Now().Add(time.Hour), 0)), auth.ErrRefused)
	}
	if auth.Told(err) != "" || !errors.Is(err, auth.ErrTooMany) {
		t.Errorf("%v tells %q", err, auth.Told(err))
	}
}

// What has been used is remembered when the configuration changes.
func TestUsedSignaturesOutliveAReload(t *testing.T) {
	t.Parallel()
	b := start(t, sigV4Config(nil), auth.Options{})
	device := url1(b.Now())
	b.lets(at("192.0.2.7", device), "dashboard")
	b.load(sigV4Config(func(c *auth.SigV4Config) {
		c.Keys = append(c.Keys, auth.KeyConfig{ID: "AKIAOTHER", Secret: secret})
	}))
	tells(t, b.refuses(at("198.51.100.9", device), auth.ErrRefused), "sign again")
	b.load(reuse(auth.ReuseNever))
	tells(t, b.refuses(at("192.0.2.7", device), auth.ErrRefused), "sign again")
}

// signedRequest is a request to the data plane as AWS's SDK signs it in its headers.
func signedRequest(t *testing.T, target, addr string, now time.Time) *http.Request {
	t.Helper()
	sum := sha256.Sum256([]byte("hello"))
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+replayHost+target, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, r, hex.EncodeToString(sum[:]), "iotdata", "eu-central-1", now); err != nil {
		t.Fatal(err)
	}
	in := received(r, "hello")
	in.RemoteAddr = addr + ":4711"
	return in
}

// A signed request is bound to its address too, and is repeated there by SDKs that get no
// answer, also where URLs may be used once.
func TestReplayedRequest(t *testing.T) {
	t.Parallel()
	for _, r := range []auth.SignatureReuse{"", auth.ReuseSameAddress, auth.ReuseNever} {
		b := start(t, reuse(r), auth.Options{})
		again := func(addr string) error {
			_, err := b.AuthenticateHTTP(signedRequest(t, "/topics/a", addr, b.Now()))
			return err
		}
		if err := errors.Join(again("192.0.2.7"), again("192.0.2.7")); err != nil {
			t.Errorf("%q: %v", r, err)
		}
		err := again("198.51.100.9")
		if auth.HTTPStatus(err) != http.StatusForbidden {
			t.Errorf("%q: replayed: %v", r, err)
		}
		tells(t, err, "sign again")
	}
}

// A request that is signed cannot be made to mean something else: another topic, another
// message.
func TestSignedRequestsCannotBeChanged(t *testing.T) {
	t.Parallel()
	b := start(t, reuse(auth.ReuseUntilExpiry), auth.Options{})
	const signed = "/topics/a%2Fb"
	change := func(f func(r *http.Request)) error {
		r := signedRequest(t, signed, "127.0.0.1", b.Now())
		f(r)
		_, err := b.AuthenticateHTTP(r)
		return err
	}
	if err := change(func(*http.Request) {}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/topics//a%2Fb", "/topics/x/../a%2Fb", "/topics/./a%2Fb", "/topics/a%252Fb", "/topics/a/b", "/topics/a%2Fb/", "//topics/a%2Fb"} {
		err := change(func(r *http.Request) {
			r.RequestURI = path
			r.URL = &url.URL{Path: must(url.PathUnescape(path)), RawPath: path}
		})
		if !errors.Is(err, auth.ErrRefused) {
			t.Errorf("a signature for %s is good for %s: %v", signed, path, err)
		}
	}
	for _, name := range []string{"X-Amz-Mqtt5-User-Properties", "X-Amz-Mqtt5-Correlation-Data", "X-Amz-Invocation-Type"} {
		err := change(func(r *http.Request) { r.Header.Set(name, "bm90IHNpZ25lZA==") })
		if !errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), strings.ToLower(name)) {
			t.Errorf("%s may be added: %v", name, err)
		}
	}
	for _, name := range []string{"X-Amz-Cf-Id", "X-Amzn-Trace-Id", "X-Forwarded-For"} { // what proxies add
		if err := change(func(r *http.Request) { r.Header.Set(name, "x") }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The functions of this server sign thousands of requests on loopback; nobody reads those.
func TestSignaturesOfFunctionsAreNotKept(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	keys := new(auth.Keys)
	keys.Put(auth.Key{ID: "ASIAFUNCTION", Secret: secret, Principal: &auth.Principal{Name: "hello", Method: "function"}})
	b := start(t, sigV4Config(nil), auth.Options{Keys: keys, Metrics: metrics})
	for i := range 100 {
		c := handshake(replayHost, deviceSDK("ASIAFUNCTION", secret, "", replayHost, "iotdata", b.Now().Add(time.Duration(i)*time.Second), 0))
		c.Via = message.ViaHTTP
		b.lets(c, "hello")
	}
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP topicwire_auth_signatures Signatures that are remembered until they expire, so that nobody else uses them.
# TYPE topicwire_auth_signatures gauge
topicwire_auth_signatures{kind="handshake"} 0
topicwire_auth_signatures{kind="request"} 0
`), "topicwire_auth_signatures"); err != nil {
		t.Error(err)
	}
}

// Refusals of those who have the right secret are no wrong attempts: one device with an
// old token does not lock out everybody behind its router. Those of others are.
func TestGenuineCredentialsAreNoGuesses(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := start(t, jwtConfig(auth.JWTConfig{Keys: []string{write(t, "k.pem", i.pem(t))}, Audience: []string{"us"}}), auth.Options{})
	show := func(addr string, key any, change map[string]any) *auth.Credentials {
		return from(addr, "x", sign(t, "RS256", key, nil, claims(change)))
	}
	for what, change := range map[string]map[string]any{
		"the token has expired":             {"aud": "us", "exp": time.Now().Add(-time.Hour).Unix()},
		"the token is not valid yet":        {"aud": "us", "nbf": time.Now().Add(time.Hour).Unix()},
		"the token is for another audience": {"aud": "them"},
		`no claim "sub"`:                    {"aud": "us", "sub": nil},
	} {
		for range 30 {
			tells(t, b.refuses(show("192.0.2.7", i.rsa, change), auth.ErrRefused), what)
		}
	}
	b.lets(show("192.0.2.7", i.rsa, map[string]any{"aud": "us"}), "ada")
	other := newIssuer(t)
	for range 20 {
		if err := b.refuses(show("192.0.2.8", other.rsa, map[string]any{"exp": 1}), auth.ErrRefused); auth.Told(err) != "" {
			t.Errorf("a forger is told %q", auth.Told(err))
		}
	}
	b.refuses(show("192.0.2.8", i.rsa, map[string]any{"aud": "us"}), auth.ErrTooMany)
	if auth.Told(fmt.Errorf("x: %w", auth.ErrRefused)) != "" || auth.Told(nil) != "" {
		t.Error("an error that is no refusal of a method tells something")
	}
}
