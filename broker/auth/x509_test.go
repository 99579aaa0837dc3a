package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/devcert"
)

func deviceCertificate(t *testing.T, dir, name string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, devcert.CertFile(name)))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestX509(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, _, err := devcert.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lamp", "heater"} {
		if err := ca.Device(name); err != nil {
			t.Fatal(err)
		}
	}
	lamp, heater := deviceCertificate(t, dir, "lamp"), deviceCertificate(t, dir, "heater")
	show := func(certs ...*x509.Certificate) *auth.Credentials {
		return &auth.Credentials{TLS: &tls.ConnectionState{PeerCertificates: certs}}
	}
	config := func(c auth.X509Config) auth.Config { return auth.Config{Methods: []auth.MethodConfig{{X509: &c}}} }
	colons := strings.ToUpper(auth.Fingerprint(heater))
	for i := 2; i < len(colons); i += 3 {
		colons = colons[:i] + ":" + colons[i:]
	}
	var revoked error
	o := auth.Options{CheckCertificates: func([]*x509.Certificate) error { return revoked }}

	b := start(t, config(auth.X509Config{}), o)
	p := b.lets(show(lamp), auth.Fingerprint(lamp))
	if p.Certificate != lamp || p.Method != "x509" {
		t.Errorf("%+v", p)
	}
	b.refuses(show(), auth.ErrNotMine)
	b.refuses(&auth.Credentials{}, auth.ErrNotMine)

	b.load(config(auth.X509Config{Principal: "common_name"}))
	b.lets(show(lamp), "lamp")
	b.load(config(auth.X509Config{Principal: "subject"}))
	b.lets(show(lamp), "CN=lamp,O=topicwire")
	b.load(config(auth.X509Config{Names: map[string]string{"CN=lamp,O=topicwire": "one", colons: "two"}}))
	b.lets(show(lamp), "one")
	b.lets(show(heater), "two")
	b.load(config(auth.X509Config{Names: map[string]string{colons: "two"}, Listed: true}))
	b.refuses(show(lamp), auth.ErrRefused)
	p = b.lets(show(heater), "two")

	if err := b.Recheck(p); err != nil {
		t.Error(err)
	}
	revoked = errors.New("it is revoked")
	b.refuses(show(heater), auth.ErrRefused)
	if err := b.Recheck(p); !errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), "it is revoked") {
		t.Error(err)
	}
	revoked = nil
	b.load(config(auth.X509Config{}))
	if err := b.Recheck(p); !errors.Is(err, auth.ErrRefused) {
		t.Error("the certificate has another name now, and its connection may stay")
	}
}
