package listen

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/internal/devcert"
)

// kit is a folder with an authority, a server and devices.
type kit struct {
	t   *testing.T
	dir string
	ca  *devcert.Authority
	cfg TLSConfig // with everything but what decides on clients
}

func newKit(t *testing.T, devices ...string) *kit {
	t.Helper()
	k := &kit{t: t, dir: t.TempDir()}
	var err error
	if k.ca, _, err = devcert.Open(k.dir); err != nil {
		t.Fatal(err)
	}
	if err := k.ca.Server("server", []string{"localhost", "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if err := k.ca.Device(d); err != nil {
			t.Fatal(err)
		}
	}
	k.cfg = TLSConfig{Cert: k.file(devcert.CertFile("server")), Key: k.file(devcert.KeyFile("server"))}
	return k
}

func (k *kit) file(name string) string { return filepath.Join(k.dir, name) }

// client is a TLS configuration with a device's certificate; "" = with none.
func (k *kit) client(device string, protocols ...string) *tls.Config {
	k.t.Helper()
	data, err := os.ReadFile(k.file(devcert.RootFile))
	if err != nil {
		k.t.Fatal(err)
	}
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost", NextProtos: protocols, ClientSessionCache: tls.NewLRUClientSessionCache(10)}
	c.RootCAs.AppendCertsFromPEM(data)
	if device != "" {
		pair, err := tls.LoadX509KeyPair(k.file(devcert.CertFile(device)), k.file(devcert.KeyFile(device)))
		if err != nil {
			k.t.Fatal(err)
		}
		// Also where the server names authorities that are not ours: attackers do not care.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return c
}

// talk sends a CONNECT's first bytes to an echo server and reads them back.
func talk(addr net.Addr, c *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", addr.String(), c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	packet := []byte{0x10, 2, 'h', 'i'}
	if _, err := conn.Write(packet); err != nil {
		return conn.ConnectionState(), err
	}
	_, err = io.ReadFull(conn, make([]byte, len(packet)))
	return conn.ConnectionState(), err
}

func (k *kit) serve(cfg TLSConfig) (net.Addr, *Certificates) {
	k.t.Helper()
	certs, err := NewCertificates(cfg, zerolog.Nop())
	if err != nil {
		k.t.Fatal(err)
	}
	return serveTCP(k.t, Options{TLS: certs.TLSConfig()}, echo).Addr(), certs
}

func TestClientCertificatesOfAnAuthority(t *testing.T) {
	t.Parallel()
	k, other := newKit(t, "lamp"), newKit(t, "lamp")
	cfg := k.cfg
	cfg.ClientCA = k.file(devcert.RootFile)
	addr, _ := k.serve(cfg)
	stranger := other.client("lamp")
	stranger.RootCAs = k.client("").RootCAs
	for _, c := range []struct {
		what string
		c    *tls.Config
		good bool
	}{
		{"a device", k.client("lamp"), true},
		{"none, which is only asked for", k.client(""), true},
		{"a device of another authority", stranger, false},
		{"the server's own certificate", k.client("server"), false}, // it is not for clients
		{"a device by ALPN", k.client("lamp", "x-amzn-mqtt-ca"), true},
		{"none where ALPN asks for it", k.client("", "x-amzn-mqtt-ca"), false},
		{"none with mqtt", k.client("", "mqtt"), true},
		{"a protocol that we do not speak", k.client("lamp", "h2"), false},
	} {
		if _, err := talk(addr, c.c); (err == nil) != c.good {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	cfg.ClientAuth = ClientAuthRequire
	addr, _ = k.serve(cfg)
	if _, err := talk(addr, k.client("")); err == nil {
		t.Error("without a certificate although it is required")
	}
	if _, err := talk(addr, k.client("lamp")); err != nil {
		t.Error(err)
	}
	old := k.client("lamp")
	old.MaxVersion = tls.VersionTLS11
	if _, err := talk(addr, old); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

// Certificates of AWS IoT itself: whoever has signed them, they are registered.
func TestRegisteredClientCertificates(t *testing.T) {
	t.Parallel()
	k, aws := newKit(t), newKit(t, "one", "two")
	devices := filepath.Join(t.TempDir(), "devices")
	if err := os.Mkdir(devices, 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile(t, aws.file(devcert.CertFile("one")), filepath.Join(devices, "one.pem"))
	cfg := k.cfg
	cfg.ClientCertificates = []string{devices}
	addr, certs := k.serve(cfg)
	client := func(name string) *tls.Config {
		c := aws.client(name)
		c.RootCAs = k.client("").RootCAs
		return c
	}
	if _, err := talk(addr, client("one")); err != nil {
		t.Error("a registered certificate:", err)
	}
	if _, err := talk(addr, client("two")); err == nil {
		t.Error("an unregistered certificate of the same authority got in")
	}
	copyFile(t, aws.file(devcert.CertFile("two")), filepath.Join(devices, "two.pem"))
	if changed, err := certs.Reload(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if _, err := talk(addr, client("two")); err != nil {
		t.Error("registered meanwhile:", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A certificate that is revoked while the server runs is refused, also when its client
// resumes the TLS session of before.
func TestRevocation(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		k := newKit(t, "lamp", "heater", "stove")
		if err := k.ca.Revoke("stove"); err != nil {
			t.Fatal(err)
		}
		cfg := k.cfg
		cfg.ClientCA, cfg.ClientCRL = k.file(devcert.RootFile), k.file(devcert.CRLFile)
		addr, certs := k.serve(cfg)
		told := 0
		certs.OnClientsChanged(func() { told++ })
		lamp, heater := k.client("lamp"), k.client("heater")
		lamp.MaxVersion, heater.MaxVersion = version, version
		for range 2 {
			if _, err := talk(addr, lamp); err != nil {
				t.Fatal(err)
			}
			if _, err := talk(addr, heater); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := talk(addr, heater); err != nil || !s.DidResume {
			t.Fatalf("the test wants a resumed session: %v, %v", s.DidResume, err)
		}
		if _, err := talk(addr, k.client("stove")); err == nil {
			t.Error("a revoked certificate got in")
		}
		if err := k.ca.Revoke("lamp"); err != nil {
			t.Fatal(err)
		}
		if changed, err := certs.Reload(); !changed || err != nil || told != 1 {
			t.Fatal(changed, err, told)
		}
		if _, err := talk(addr, lamp); err == nil {
			t.Error("a revoked certificate got in with a resumed session")
		}
		if _, err := talk(addr, heater); err != nil {
			t.Error(err)
		}
		// A list that is broken, or of somebody else, changes nothing.
		other := newKit(t, "x")
		if err := other.ca.Revoke("x"); err != nil {
			t.Fatal(err)
		}
		copyFile(t, other.file(devcert.CRLFile), k.file(devcert.CRLFile))
		if _, err := certs.Reload(); err == nil || !strings.Contains(err.Error(), "no certificate of client_ca has signed") {
			t.Error(err)
		}
		if _, err := talk(addr, k.client("stove")); err == nil {
			t.Error("a broken list let a revoked certificate in")
		}
	}
}

func TestCheckClientTime(t *testing.T) {
	t.Parallel()
	k := newKit(t, "lamp")
	for _, cfg := range []TLSConfig{
		{ClientCA: k.file(devcert.RootFile)},
		{ClientCertificates: []string{k.file(devcert.CertFile("lamp"))}},
	} {
		trust, err := cfg.clientTrust(new(bytes.Buffer))
		if err != nil {
			t.Fatal(err)
		}
		data, _ := os.ReadFile(k.file(devcert.CertFile("lamp")))
		certs, err := certificatesIn("lamp", data)
		if err != nil {
			t.Fatal(err)
		}
		for when, good := range map[time.Duration]bool{0: true, -48 * time.Hour: false, 3 * 365 * 24 * time.Hour: false} {
			if err := trust.check(certs, time.Now().Add(when)); (err == nil) != good || err != nil && !errors.Is(err, ErrClientCertificate) {
				t.Errorf("in %v: %v", when, err)
			}
		}
		if err := trust.check(nil, time.Now()); !errors.Is(err, ErrClientCertificate) {
			t.Error(err)
		}
	}
}

// One port for HTTPS and MQTT: the client says in the handshake what it wants.
func TestSharedPort(t *testing.T) {
	t.Parallel()
	k := newKit(t, "lamp")
	cfg := k.cfg
	cfg.ClientCA = k.file(devcert.RootFile)
	certs, err := NewCertificates(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := Open(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mqtt := NewHanded(echo, Options{Name: "https"})
	l := NewShared(tcp, certs.SharedTLSConfig(), mqtt.Take, zerolog.Nop())
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = io.WriteString(w, name+" by "+r.TLS.NegotiatedProtocol)
	})}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	t.Cleanup(func() {
		_ = web.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := mqtt.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		device, protocol, want string // want = what HTTP answers; "" = MQTT
		fails                  bool
	}{
		{"", "http/1.1", "nobody by http/1.1", false},
		{"", "", "nobody by ", false},
		{"lamp", "http/1.1", "lamp by http/1.1", false},
		{"lamp", "x-amzn-http-ca", "lamp by x-amzn-http-ca", false},
		{"", "x-amzn-http-ca", "", true},
		{"lamp", "x-amzn-mqtt-ca", "", false},
		{"", "x-amzn-mqtt-ca", "", true},
		{"", "mqtt", "", false},
	} {
		var protocols []string
		if c.protocol != "" {
			protocols = []string{c.protocol}
		}
		client := k.client(c.device, protocols...)
		if c.want == "" {
			if s, err := talk(l.Addr(), client); (err != nil) != c.fails || err == nil && s.NegotiatedProtocol != c.protocol {
				t.Errorf("%q by %q: %v, %v", c.device, c.protocol, s.NegotiatedProtocol, err)
			}
			continue
		}
		if got := get(t, l.Addr(), client); got != c.want {
			t.Errorf("%q by %q: %q, want %q", c.device, c.protocol, got, c.want)
		}
	}
	// Whoever forgets the s is told.
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "400") {
		t.Errorf("%q, %v", line, err)
	}
}

func get(t *testing.T, addr net.Addr, c *tls.Config) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr.String(), c)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err.Error()
	}
	body, _ := io.ReadAll(r.Body)
	return string(body)
}
