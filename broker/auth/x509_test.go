package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
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

// A certificate with several common names could be taken for either.
func TestX509WithSeveralCommonNames(t *testing.T) {
	t.Parallel()
	name := func(value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}
	}
	c := &x509.Certificate{Raw: []byte("two"), Subject: pkix.Name{CommonName: "root", Names: []pkix.AttributeTypeAndValue{name("lamp"), name("root")}}}
	show := &auth.Credentials{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}, Remote: login("", "").Remote}
	config := func(c auth.X509Config) auth.Config { return auth.Config{Methods: []auth.MethodConfig{{X509: &c}}} }
	b := start(t, config(auth.X509Config{Principal: "common_name"}), auth.Options{})
	for range 30 {
		tells(t, b.refuses(show, auth.ErrRefused), "several common names")
	}
	b.load(config(auth.X509Config{}))
	b.lets(show, auth.Fingerprint(c))
}

// A revoked certificate was its client's own: its refusals lock out nobody else.
func TestRevokedCertificatesAreNoGuesses(t *testing.T) {
	t.Parallel()
	var revoked error
	c := &x509.Certificate{Raw: []byte("one")}
	b := start(t, auth.Config{Methods: []auth.MethodConfig{{X509: &auth.X509Config{}}}},
		auth.Options{CheckCertificates: func([]*x509.Certificate) error { return revoked }})
	show := &auth.Credentials{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}, Remote: login("", "").Remote}
	revoked = errors.New("it is revoked")
	for range 30 {
		tells(t, b.refuses(show, auth.ErrRefused), "it is revoked")
	}
	revoked = nil
	b.lets(show, auth.Fingerprint(c))
}

// Somebody who guesses passwords behind a router keeps no device with a certificate out.
func TestCertificatesNeedNotWait(t *testing.T) {
	t.Parallel()
	b := start(t, auth.Config{Methods: []auth.MethodConfig{
		{X509: &auth.X509Config{}}, {Password: &auth.PasswordConfig{File: write(t, "p", "ada:"+cheapHash+"\n")}},
	}}, auth.Options{})
	for n := range 20 {
		b.refuses(from("192.0.2.7", fmt.Sprintf("u%d", n), "wrong"), auth.ErrRefused)
	}
	b.refuses(from("192.0.2.7", "ada", "secret"), auth.ErrTooMany)
	c := &x509.Certificate{Raw: []byte("one")}
	device := &auth.Credentials{Username: "?SDK=JavaScript", HasUsername: true, Remote: login("", "").Remote, TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}}
	b.lets(device, auth.Fingerprint(c))
	guess := *device
	guess.Password = []byte("wrong")
	b.refuses(&guess, auth.ErrTooMany) // a certificate is no permission to guess
}
