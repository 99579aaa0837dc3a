package grip_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/message"
)

// visitor may do everything below its own name.
type visitor string

func (v visitor) Name() string { return string(v) }

func (v visitor) MayPublish(topic string) bool { return message.Match(string(v)+"/#", topic) }

func (v visitor) MaySubscribe(filter string) bool { return strings.HasPrefix(filter, string(v)+"/") }

func (v visitor) MayReceive(topic string) bool { return topic != string(v)+"/secret" }

func TestRoutesWithAuth(t *testing.T) {
	closed := grip.RouteConfig{Path: "/*", Function: "f", Auth: true}
	s := startWith(t, http.HandlerFunc(originHandler), grip.Options{Authorize: func(r *http.Request) (grip.Grant, error) {
		if name := r.Header.Get("X-Visitor"); name != "" {
			return visitor(name), nil
		}
		return nil, errors.New("nobody")
	}}, closed, grip.RouteConfig{Path: "/open/*", Function: "f"})
	if _, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.http.URL, "http")+"/ws", nil); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody was let in: %v", err)
	}
	if status, _, _ := do(t, http.MethodGet, s.http.URL+"/open/x", ""); status != http.StatusOK {
		t.Errorf("the open route answers %d", status)
	}
	al := dial(t, s.http.URL+"/ws?channel=al/%23", http.Header{"X-Visitor": {"al"}})
	bo := dial(t, s.http.URL+"/ws?channel=al/room", http.Header{"X-Visitor": {"bo"}}) // may not subscribe to that
	s.publish("al/secret", "not even for al")
	s.publish("al/room", "hi")
	al.want("hi")
	bo.send("nothing came")
	bo.want("nothing came")
	for _, c := range []struct {
		who, channel string
		status       int
	}{{"al", "al/x", 200}, {"al", "bo/x", 403}, {"", "al/x", 401}} {
		status, body, _ := post(t, s.http.URL+"/publish", items(`{"channel":"`+c.channel+`","ws-message":{"content":"x"}}`), "X-Visitor", c.who)
		if status != c.status {
			t.Errorf("%q to %s: %d %s", c.who, c.channel, status, body)
		}
	}
	if status, _, _ := do(t, http.MethodGet, s.http.URL+"/poll?channel=al/x", "", "X-Visitor", "bo"); status != http.StatusBadGateway {
		t.Errorf("a poll for what the client may not have is answered with %d", status)
	}
}

func TestSignatureES256(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "grip.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Header.Get("Grip-Sig"))) }),
		grip.Config{Key: "k", SignKey: file, SignIss: "me"}, everything())
	_, sig, _ := do(t, http.MethodGet, s.http.URL, "")
	_, doc, h := do(t, http.MethodGet, s.http.URL+"/.well-known/grip-jwk.json", "")
	var jwk struct{ Kty, Crv, X, Y string }
	if err := json.Unmarshal([]byte(doc), &jwk); err != nil || h.Get("Content-Type") != "application/jwk+json" || jwk.Kty != "EC" || jwk.Crv != "P-256" {
		t.Fatal(doc, err)
	}
	x, errX := base64.RawURLEncoding.DecodeString(jwk.X)
	y, errY := base64.RawURLEncoding.DecodeString(jwk.Y)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if errX != nil || errY != nil || err != nil {
		t.Fatal(doc, err)
	}
	parts := strings.Split(sig, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 64 {
		t.Fatal(sig, err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
		t.Errorf("the published key does not verify %s", sig)
	}
	if err := grip.CheckKeys(grip.Config{SignKey: file + "x"}); err == nil {
		t.Error("a key that is not there is no error")
	}
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := grip.CheckKeys(grip.Config{SignKey: file}); err == nil || !strings.Contains(err.Error(), "openssl") {
		t.Error(err)
	}
	if err := grip.CheckKeys(grip.Config{Key: "base64:?"}); err == nil {
		t.Error("base64 that is none is no error")
	}
}
