package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/testkit"
)

// A certificate that clients will not accept gives a warning with its place, and one that
// cannot be used an error.
func TestCertificateWarnings(t *testing.T) {
	now := time.Now()
	const day = 24 * time.Hour
	for _, c := range []struct {
		from, until time.Time
		want        string
	}{
		{now.Add(-day), now.Add(365 * day), ""},
		{now.Add(-2 * day), now.Add(-day), "the certificate has expired on"},
		{now.Add(day), now.Add(365 * day), "the certificate is not valid before"},
		{now.Add(-day), now.Add(3 * day), "the certificate expires on"},
	} {
		dir := t.TempDir()
		cert, key := selfSigned(t, c.from, c.until)
		testkit.WriteFiles(t, dir, map[string]string{"c.pem": cert, "k.pem": key, "config.yaml": "listen: {mqtts: 127.0.0.1:0, tls: {cert: c.pem, key: k.pem}}\n"})
		cfg, err := Check(filepath.Join(dir, "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var said string
		for _, w := range cfg.Warnings {
			said += w.String()
		}
		if c.want == "" && said != "" || !strings.Contains(said, c.want) || c.want != "" && !strings.Contains(said, "config.yaml:1:42: warning: listen.tls.cert: ") {
			t.Errorf("valid from %s to %s: %q, want %q", c.from, c.until, said, c.want)
		}
		testkit.WriteFiles(t, dir, map[string]string{"k.pem": "no key"})
		if _, err := Check(filepath.Join(dir, "config.yaml")); err == nil || !strings.Contains(err.Error(), "config.yaml:1:30: listen.tls: ") {
			t.Errorf("a key that is none: %v", err)
		}
	}
}

func selfSigned(t *testing.T, from, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}
