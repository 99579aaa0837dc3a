package listen

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// certificate is a self-signed one for tests.
type certificate struct {
	cert, key []byte // PEM
	pair      tls.Certificate
	pool      *x509.CertPool
}

func newCertificate(t *testing.T, name string) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := certificate{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk}),
		pool: x509.NewCertPool(),
	}
	if c.pair, err = tls.X509KeyPair(c.cert, c.key); err != nil {
		t.Fatal(err)
	}
	c.pool.AppendCertsFromPEM(c.cert)
	return c
}

func (c certificate) write(t *testing.T, dir string) TLSConfig {
	t.Helper()
	cfg := TLSConfig{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	for file, data := range map[string][]byte{cfg.Cert: c.cert, cfg.Key: c.key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

// logLines passes each line that is logged to a channel.
type logLines struct {
	mu    sync.Mutex
	lines chan string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines <- string(p)
	return len(p), nil
}

func served(t *testing.T, c *Certificates) string {
	t.Helper()
	cert, err := c.TLSConfig().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Subject.CommonName
}

// run starts Run and returns the lines it logs.
func run(t *testing.T, cfg TLSConfig) (*Certificates, <-chan string) {
	t.Helper()
	lines := &logLines{lines: make(chan string, 100)}
	c, err := NewCertificates(cfg, zerolog.New(lines))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return c, lines.lines
}

func awaitLine(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	for {
		select {
		case line := <-lines:
			if strings.Contains(line, want) {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("nothing was logged with %q", want)
		}
	}
}

func TestCertificatesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	cfg := newCertificate(t, "one").write(t, dir)
	c, lines := run(t, cfg)
	if got := served(t, c); got != "one" {
		t.Fatalf("serving %q, want one", got)
	}
	if err := os.WriteFile(cfg.Cert, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, lines, "the old one stays")
	if got := served(t, c); got != "one" {
		t.Errorf("serving %q after a bad file, want one", got)
	}
	newCertificate(t, "two").write(t, dir)
	awaitLine(t, lines, "certificate reloaded")
	if got := served(t, c); got != "two" {
		t.Errorf("serving %q, want two", got)
	}
}

// Kubernetes keeps the files in a folder behind the link ..data and swaps the link.
func TestCertificatesFollowASymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"v1", "v2"} {
		must(os.Mkdir(filepath.Join(dir, name), 0o700))
		newCertificate(t, name).write(t, filepath.Join(dir, name))
	}
	must(os.Symlink("v1", filepath.Join(dir, "..data")))
	cfg := TLSConfig{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	must(os.Symlink("..data/tls.crt", cfg.Cert))
	must(os.Symlink("..data/tls.key", cfg.Key))
	c, lines := run(t, cfg)
	must(os.Symlink("v2", filepath.Join(dir, "..tmp")))
	must(os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	awaitLine(t, lines, "certificate reloaded")
	if got := served(t, c); got != "v2" {
		t.Errorf("serving %q, want v2", got)
	}
}

func TestCertificatesSayWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	good := newCertificate(t, "one").write(t, dir)
	other := newCertificate(t, "two")
	key := filepath.Join(dir, "other.key")
	if err := os.WriteFile(key, other.key, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  TLSConfig
		want string
	}{
		{"no certificate", TLSConfig{Cert: dir + "/none.pem", Key: good.Key}, "cannot read the certificate: open " + dir + "/none.pem"},
		{"no key", TLSConfig{Cert: good.Cert, Key: dir + "/none.key"}, "cannot read the certificate's key: open " + dir + "/none.key"},
		{"another's key", TLSConfig{Cert: good.Cert, Key: key}, "tls.crt and " + key + " are no usable pair"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewCertificates(tt.cfg, zerolog.Nop())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTLSConfigRefusesOldVersions(t *testing.T) {
	c, err := NewCertificates(newCertificate(t, "one").write(t, t.TempDir()), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	l := serveTCP(t, Options{TLS: c.TLSConfig()}, echo)
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if err := tls.Client(dial(t, l.Addr()), old).Handshake(); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}
