package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/internal/testkit"
)

// holdingOrigin holds everybody: WebSockets, and requests as streams.
func holdingOrigin(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Connection-Id") == "" {
		w.Header().Set("Grip-Hold", "stream")
		w.Header().Set("Grip-Channel", "room")
		_, _ = io.WriteString(w, "hello ")
		return
	}
	body, _ := io.ReadAll(r.Body)
	list, _ := wire.ParseEvents(body)
	var out []byte
	for _, e := range list {
		if e.Type == wire.EventOpen {
			w.Header().Set("Sec-WebSocket-Extensions", "grip")
			out = wire.AppendEvent(out, e)
			out = wire.AppendEvent(out, wire.Event{Type: wire.EventText, Content: []byte(`c:{"type":"subscribe","channel":"room"}`)})
		}
	}
	w.Header().Set("Content-Type", wire.ContentType)
	_, _ = w.Write(out)
}

// Clients that are held on a route with auth are held to what let them in: until their
// token expires, their user is another, or the policies are.
func TestHeldClientsLeave(t *testing.T) {
	bin := binary.Path(t)
	origin := httptest.NewServer(http.HandlerFunc(holdingOrigin))
	t.Cleanup(origin.Close)
	dir := t.TempDir()
	config, users := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "users")
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	passwd := func(password string) {
		t.Helper()
		if r := testkit.Command(t, strings.NewReader(password+"\n"), bin, "passwd", users, "ada"); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	passwd("one")
	const open = "listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\nroutes: [{path: /*, mode: proxy, url: ORIGIN}]\n"
	const closed = `listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
routes: [{path: /*, mode: proxy, url: ORIGIN, auth: true}]
auth:
  methods: [{jwt: {keys: [issuer.pem], token: {query: token}}}, {password: {file: users}}]
  policies:
    all: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "iot:*", Resource: "*"}]}
    less: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: [iot:Connect, iot:Receive], Resource: "*"}]}
  attach: [{policies: all, everybody: true}]
`
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(strings.ReplaceAll(text, "ORIGIN", origin.URL)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testkit.WriteFiles(t, dir, map[string]string{"issuer.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))})
	write(open)
	s := testkit.Serve(t, bin, config)
	token := func(life time.Duration) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "browser", "exp": time.Now().Add(life).Unix()}).SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return "?token=" + text
	}
	hold := func(query string, header http.Header) *websocket.Conn {
		t.Helper()
		c, resp, err := websocket.DefaultDialer.Dial("ws://"+s.HTTP+"/"+query, header)
		if err != nil {
			t.Fatal(err, resp)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	leaves := func(c *websocket.Conn, code int, reason string) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(testkit.Patience))
		_, _, err := c.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); !ok || closed.Code != code || !strings.Contains(closed.Text, reason) {
			t.Errorf("left with %v, want %d %s", err, code, reason)
		}
	}

	anybody := hold("", nil)
	write(closed)
	s.WaitFor(`"reload":1`)
	leaves(anybody, websocket.CloseServiceRestart, "the route has changed")
	resp, err := http.Get("http://" + s.HTTP + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger is answered with %s", resp.Status)
	}

	brief, long := hold(token(2*time.Second), nil), hold(token(time.Hour), nil)
	ada := hold("", http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("ada:one"))}})
	stream, err := http.Get("http://" + s.HTTP + "/" + token(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	leaves(brief, 3000, "the credentials have expired")
	if body, err := io.ReadAll(stream.Body); err != nil || string(body) != "hello " {
		t.Errorf("the stream ended with %q, %v", body, err)
	}
	passwd("another")
	leaves(ada, 3000, "not accepted any more")
	write(strings.Replace(closed, "policies: all, everybody", "policies: less, everybody", 1))
	leaves(long, 3003, "not allowed any more")
}
