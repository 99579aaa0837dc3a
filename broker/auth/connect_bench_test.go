package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/internal/devcert"
	"github.com/topicwire/topicwire/internal/mqttclient"
)

// BenchmarkConnect connects, waits for the CONNACK and hangs up, with each method.
func BenchmarkConnect(b *testing.B) {
	dir := b.TempDir()
	ca, _, err := devcert.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	if err := ca.Server("server", []string{"127.0.0.1"}); err != nil {
		b.Fatal(err)
	}
	if err := ca.Device("lamp"); err != nil {
		b.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	files := listen.TLSConfig{Cert: file("server.cert.pem"), Key: file("server.private.key"), ClientCA: file("root-CA.crt")}
	issuer := newIssuer(b)
	pem := write(b, "keys.pem", issuer.pem(b))
	for _, c := range []struct {
		name           string
		cfg            auth.Config
		user, password string
		tls, ws        bool
	}{
		{name: "anonymous"},
		{name: "password", cfg: passwordConfig(passwords(b, "ada", "right")), user: "ada", password: "right"},
		{name: "jwt-RS256", cfg: jwtConfig(auth.JWTConfig{Keys: []string{pem}}), user: "x", password: sign(b, "RS256", issuer.rsa, nil, claims(nil))},
		{name: "authorizer", cfg: unsigned("main"), user: "ada", password: "right"}, // asked each time: the server names the client
		{name: "anonymous-tls", tls: true},
		{name: "x509", cfg: auth.Config{Methods: []auth.MethodConfig{{X509: &auth.X509Config{}}}}, tls: true},
		{name: "anonymous-websocket", ws: true},
		{name: "sigv4", cfg: sigV4Config(nil), ws: true},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := auth.New(auth.Options{Invoke: func(context.Context, string, []byte) ([]byte, error) { return []byte(allowResult), nil }})
			set, err := a.Prepare(c.cfg)
			if err != nil {
				b.Fatal(err)
			}
			a.Load(set)
			cfg := broker.Config{Listen: listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}}}
			o := broker.Options{Auth: []auth.Method{a}}
			var dial func() (net.Conn, error)
			switch {
			case c.tls:
				cfg.Listen = listen.Config{MQTTS: listen.Addresses{"127.0.0.1:0"}, TLS: files}
				certs, err := listen.NewCertificates(files, zerolog.Nop())
				if err != nil {
					b.Fatal(err)
				}
				o.TLS = certs.TLSConfig()
				addr, client := serveBroker(b, cfg, o).Addrs()[0].String(), clientTLS(b, dir)
				dial = func() (net.Conn, error) { return tls.Dial("tcp", addr, client) }
			case c.ws:
				web := httptest.NewServer(serveBroker(b, cfg, o).WebSocket())
				b.Cleanup(web.Close)
				host := web.Listener.Addr().String()
				target := must(mqttclient.ParseURL("ws://" + host + deviceSDK(keyID, secret, "", host, "iotdevicegateway", time.Now(), 3600)))
				dial = func() (net.Conn, error) { return mqttclient.Dial(b.Context(), target, mqttclient.DialOptions{}) }
			default:
				addr := serveBroker(b, cfg, o).Addrs()[0].String()
				dial = func() (net.Conn, error) { return net.Dial("tcp", addr) }
			}
			packet := connectPacket(c.user, c.password)
			connack := make([]byte, 4)
			for b.Loop() {
				conn, err := dial()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Write(packet); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, connack); err != nil || connack[3] != 0 {
					b.Fatal(err, connack)
				}
				_, _ = conn.Write([]byte{0xE0, 0})
				conn.Close()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "connects/s")
		})
	}
}

func clientTLS(b *testing.B, dir string) *tls.Config {
	b.Helper()
	root, err := os.ReadFile(filepath.Join(dir, "root-CA.crt"))
	if err != nil {
		b.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "lamp.cert.pem"), filepath.Join(dir, "lamp.private.key"))
	if err != nil {
		b.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{pair}}
}

func serveBroker(tb testing.TB, cfg broker.Config, o broker.Options) *broker.Broker {
	tb.Helper()
	br, err := broker.New(cfg, o)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- br.Serve(ctx, nil) }()
	tb.Cleanup(func() {
		cancel()
		<-done
	})
	for deadline := time.Now().Add(5 * time.Second); ; { // until it serves
		conn, err := net.Dial("tcp", br.Addrs()[0].String())
		if err == nil {
			conn.Close()
			return br
		}
		if time.Now().After(deadline) {
			tb.Fatal(err)
		}
	}
}

// connectPacket is a CONNECT of MQTT 3.1.1 with a clean session and a name of the server's.
func connectPacket(user, password string) []byte {
	field := func(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }
	flags := byte(2)
	body := field("")
	if user != "" {
		flags |= 0xC0
		body = append(body, append(field(user), field(password)...)...)
	}
	body = append(append(field("MQTT"), 4, flags, 0, 60), body...)
	n := len(body)
	head := []byte{0x10}
	for n >= 0x80 {
		head = append(head, byte(n)|0x80)
		n >>= 7
	}
	return append(append(head, byte(n)), body...)
}
