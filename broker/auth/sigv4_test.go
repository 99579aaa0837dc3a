package auth_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

const (
	keyID  = "AKIAEXAMPLE000000001"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func sigV4Config(change func(c *auth.SigV4Config)) auth.Config {
	c := auth.SigV4Config{Keys: []auth.KeyConfig{{ID: keyID, Secret: secret, Principal: "dashboard"}}}
	if change != nil {
		change(&c)
	}
	return auth.Config{Methods: []auth.MethodConfig{{SigV4: &c}}}
}

// deviceSDK signs as aws-iot-device-sdk (v1) does: the session token is added when the
// signature has been made. host has its port unless it is 443.
func deviceSDK(id, secret, token, host, service string, at time.Time, expires int) string {
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	date := at.UTC().Format("20060102T150405Z")
	scope := date[:8] + "/eu-central-1/" + service + "/aws4_request"
	query := "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + url.QueryEscape(id+"/"+scope) + "&X-Amz-Date=" + date
	if expires > 0 {
		query += fmt.Sprintf("&X-Amz-Expires=%d", expires)
	}
	query += "&X-Amz-SignedHeaders=host"
	empty := sha256.Sum256(nil)
	request := sha256.Sum256([]byte("GET\n/mqtt\n" + query + "\nhost:" + host + "\n\nhost\n" + hex.EncodeToString(empty[:])))
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	signature := mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(request[:]))
	query += "&X-Amz-Signature=" + hex.EncodeToString(signature)
	if token != "" {
		query += "&X-Amz-Security-Token=" + url.QueryEscape(token)
	}
	return "/mqtt?" + query
}

// handshake is the WebSocket handshake for a URL.
func handshake(host, target string) *auth.Credentials {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = host
	return &auth.Credentials{ClientID: "c", Via: message.ViaWebSocket, Request: r, Remote: from("127.0.0.1", "", "").Remote}
}

func TestSigV4PresignedByTheDeviceSDK(t *testing.T) {
	t.Parallel()
	b := start(t, sigV4Config(nil), auth.Options{})
	now := time.Now()
	for _, host := range []string{"broker.example.com", "broker.example.com:8443", "[::1]:8080"} {
		for _, service := range []string{"iotdevicegateway", "iotdata"} {
			for _, token := range []string{"", "FwoGZXIvYXdzEBYaDKd+/=="} {
				p := b.lets(handshake(host, deviceSDK(keyID, secret, token, host, service, now, 0)), "dashboard")
				if p.Method != "sigv4" {
					t.Errorf("%+v", p)
				}
			}
		}
	}
	// Others sign the name without its port, and browsers write Host as they like.
	b.lets(handshake("Broker.Example.com:8443", deviceSDK(keyID, secret, "", "broker.example.com", "iotdevicegateway", now, 0)), "dashboard")
}

func TestSigV4Attacks(t *testing.T) {
	t.Parallel()
	b := start(t, sigV4Config(nil), auth.Options{})
	const host = "broker.example.com"
	now := time.Now()
	good := deviceSDK(keyID, secret, "", host, "iotdevicegateway", now, 60)
	b.lets(handshake(host, good), "dashboard")
	b.lets(handshake(host, good), "dashboard") // its own device, which connects again
	for what, target := range map[string]string{
		"expired":                   deviceSDK(keyID, secret, "", host, "iotdevicegateway", now.Add(-61*time.Second), 60),
		"of long ago":               deviceSDK(keyID, secret, "", host, "iotdevicegateway", now.Add(-301*time.Second), 0),
		"of the future":             deviceSDK(keyID, secret, "", host, "iotdevicegateway", now.Add(301*time.Second), 60),
		"for too long":              deviceSDK(keyID, secret, "", host, "iotdevicegateway", now, 90000),
		"another secret":            deviceSDK(keyID, secret+"x", "", host, "iotdevicegateway", now, 60),
		"an unknown key":            deviceSDK("AKIAUNKNOWN000000001", secret, "", host, "iotdevicegateway", now, 60),
		"another service":           deviceSDK(keyID, secret, "", host, "s3", now, 60),
		"another host":              deviceSDK(keyID, secret, "", "other.example.com", "iotdevicegateway", now, 60),
		"truncated":                 good[:len(good)-2],
		"half of it":                good[:len(good)-32],
		"no signature":              good[:strings.Index(good, "&X-Amz-Signature")],
		"an empty signature":        good[:strings.Index(good, "&X-Amz-Signature")] + "&X-Amz-Signature=",
		"not hexadecimal":           good[:len(good)-2] + "zz",
		"another expiry":            strings.Replace(good, "X-Amz-Expires=60", "X-Amz-Expires=3600", 1),
		"no expiry":                 strings.Replace(good, "&X-Amz-Expires=60", "", 1),
		"another date":              strings.Replace(good, "X-Amz-Date="+now.UTC().Format("20060102"), "X-Amz-Date="+now.Add(24*time.Hour).UTC().Format("20060102"), 1),
		"more parameters":           good + "&admin=true",
		"a second signature":        good + "&X-Amz-Signature=" + strings.Repeat("0", 64),
		"a second credential":       good + "&X-Amz-Credential=x",
		"no signed host":            strings.Replace(good, "SignedHeaders=host", "SignedHeaders=date", 1),
		"signed headers out of it":  strings.Replace(good, "SignedHeaders=host", "SignedHeaders=host%3Bx-none", 1),
		"a credential that is none": strings.Replace(good, "aws4_request", "aws4", 1),
		"broken escapes":            good + "&a=%zz",
		"oversized":                 good + "&a=" + strings.Repeat("x", 20<<10),
		"another path":              strings.Replace(good, "/mqtt", "/publish", 1),
	} {
		b.refuses(handshake(host, target), auth.ErrRefused)
		_ = what
	}
	post := handshake(host, good)
	post.Request.Method = http.MethodPost
	b.refuses(post, auth.ErrRefused)
	b.advance(2 * time.Minute)
	b.refuses(handshake(host, good), auth.ErrRefused) // replayed when it has expired
	if strings.Contains(b.log.String(), secret) {
		t.Error("the log has the secret")
	}
}

func TestSigV4Settings(t *testing.T) {
	t.Parallel()
	const host = "broker.example.com"
	now := time.Now()
	sign := func(token, host string) *auth.Credentials {
		return handshake(host, deviceSDK(keyID, secret, token, host, "iotdevicegateway", now, 60))
	}
	b := start(t, sigV4Config(func(c *auth.SigV4Config) { c.Hosts = []string{host} }), auth.Options{})
	b.lets(sign("", host), "dashboard")
	b.refuses(sign("", "other.example.com"), auth.ErrRefused) // stolen from another server
	behindProxy := sign("", host)
	behindProxy.Request.Host = "10.0.0.1:8080"
	b.lets(behindProxy, "dashboard")

	b = start(t, sigV4Config(func(c *auth.SigV4Config) { c.Keys[0].Token = "the+token" }), auth.Options{})
	b.lets(sign("the+token", host), "dashboard")
	b.refuses(sign("", host), auth.ErrRefused)
	b.refuses(sign("another", host), auth.ErrRefused)

	b = start(t, sigV4Config(func(c *auth.SigV4Config) { c.Region = "us-east-1" }), auth.Options{})
	b.refuses(sign("", host), auth.ErrRefused)
}

// What AWS's own signer makes: of presigned URLs and of headers, with and without a
// session token, with bodies and with awkward paths.
func TestSigV4ByTheAWSSDK(t *testing.T) {
	t.Parallel()
	b := start(t, sigV4Config(nil), auth.Options{})
	hash := func(body string) string {
		sum := sha256.Sum256([]byte(body))
		return hex.EncodeToString(sum[:])
	}
	signer := v4.NewSigner()
	for _, c := range []struct{ method, target, service, body string }{
		{http.MethodPost, "/topics/a%2Fb%20c%2F%C3%A9?qos=1&contentType=a%2Fb+c", "iotdata", `{"n":1}`},
		{http.MethodPost, "/topics/a%2Fb?qos=1", "iotdevicegateway", "\x00\xff"},
		{http.MethodGet, "/retainedMessage/a%2Bb?x=&y", "iotdata", ""},
		{http.MethodPost, "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Ahello/invocations?Qualifier=1", "lambda", "{}"},
		{http.MethodPost, "/@connections/abc%3D", "execute-api", "hello"},
		{http.MethodGet, "/mqtt", "iotdevicegateway", ""},
	} {
		for _, token := range []string{"", "a/token+=="} {
			creds := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: token}
			request := func() *http.Request {
				var body io.Reader
				if c.body != "" {
					body = strings.NewReader(c.body)
				}
				r, err := http.NewRequestWithContext(context.Background(), c.method, "http://127.0.0.1:8080"+c.target, body)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-Amz-Meta", "  two   words ")
				return r
			}
			r := request()
			if err := signer.SignHTTP(t.Context(), creds, r, hash(c.body), c.service, "eu-central-1", time.Now()); err != nil {
				t.Fatal(err)
			}
			if p, err := b.AuthenticateHTTP(received(r, c.body)); err != nil || p.Name != "dashboard" {
				t.Errorf("%s %s: %v", c.method, c.target, err)
			}
			if c.body != "" {
				if _, err := b.AuthenticateHTTP(received(r, c.body+"x")); !errors.Is(err, auth.ErrRefused) {
					t.Errorf("%s: another body got in: %v", c.target, err)
				}
				declared := received(r, c.body)
				declared.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
				if _, err := b.AuthenticateHTTP(declared); !errors.Is(err, auth.ErrRefused) {
					t.Errorf("%s: an unsigned body got in: %v", c.target, err)
				}
			}
			signed, _, err := signer.PresignHTTP(t.Context(), creds, request(), hash(c.body), c.service, "eu-central-1", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse(signed)
			r = request()
			r.URL = u
			r.Header.Del("X-Amz-Meta") // it is in the query now, and signed there
			if _, err := b.AuthenticateHTTP(received(r, c.body)); err != nil {
				t.Errorf("presigned %s %s: %v", c.method, c.target, err)
			}
		}
	}
}

// received is the request as a server gets it.
func received(r *http.Request, body string) *http.Request {
	in := httptest.NewRequest(r.Method, r.URL.RequestURI(), strings.NewReader(body))
	in.Host, in.Header = r.URL.Host, r.Header.Clone()
	return in
}

// A signed request's body is there for the door, and the door's limit holds.
func TestSigV4Body(t *testing.T) {
	t.Parallel()
	b := start(t, sigV4Config(nil), auth.Options{})
	body := strings.Repeat("x", 1000)
	sum := sha256.Sum256([]byte(body))
	r, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1/topics/a", bytes.NewReader([]byte(body)))
	creds := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "iotdata", "eu-central-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	in := received(r, body)
	if _, err := b.AuthenticateHTTP(in); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(in.Body); err != nil || string(got) != body {
		t.Errorf("the body is gone: %q, %v", got, err)
	}
	in = received(r, body)
	in.Body = http.MaxBytesReader(httptest.NewRecorder(), in.Body, 999)
	if _, err := b.AuthenticateHTTP(in); auth.HTTPStatus(err) != http.StatusRequestEntityTooLarge {
		t.Errorf("%v, want 413", err)
	}
}

// Keys that the server has given out itself are good without any configuration.
func TestSharedKeys(t *testing.T) {
	t.Parallel()
	keys := new(auth.Keys)
	keys.Put(auth.Key{ID: "ASIAFUNCTION", Secret: secret, Principal: &auth.Principal{Name: "hello", Method: "function"}})
	const host = "127.0.0.1:8080"
	own := handshake(host, deviceSDK("ASIAFUNCTION", secret, "any", host, "iotdata", time.Now(), 0))
	for _, cfg := range []auth.Config{{}, passwordConfig(passwords(t, "ada", "x")), sigV4Config(nil)} {
		b := start(t, cfg, auth.Options{Keys: keys})
		p := b.lets(own, "hello")
		if p.Method != "function" {
			t.Errorf("%+v", p)
		}
		b.refuses(handshake(host, deviceSDK("ASIAFUNCTION", secret+"x", "", host, "iotdata", time.Now(), 0)), auth.ErrRefused)
		if err := b.Recheck(p); err != nil {
			t.Error(err)
		}
		keys.Delete("ASIAFUNCTION")
		if err := b.Recheck(p); !errors.Is(err, auth.ErrRefused) {
			t.Error("the key is gone, and its connection may stay")
		}
		keys.Put(auth.Key{ID: "ASIAFUNCTION", Secret: secret, Principal: &auth.Principal{Name: "hello", Method: "function"}})
	}
	if text := fmt.Sprintf("%v %+v %#v", auth.Key{Secret: secret}, auth.Key{Secret: secret}, auth.Key{Secret: secret}); strings.Contains(text, secret) {
		t.Error("a printed key shows its secret:", text)
	}
	// Without methods, somebody else's signature is just one that nobody looks at.
	start(t, auth.Config{}, auth.Options{}).lets(handshake(host, deviceSDK("test", "test", "", host, "iotdata", time.Now(), 0)), "")
}
