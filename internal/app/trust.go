package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// trust is a certificate for this machine, made at every start, and the files that make the
// processes of functions trust it. Its key is only in memory.
type trust struct {
	certificate tls.Certificate
	dir         string
	own, all    string // files: the certificate alone, and behind the system's authorities
}

// newTrust makes a certificate for loopback addresses.
func newTrust(now time.Time) (*trust, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "topicwire on this machine"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	t := &trust{certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
	if err := t.write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return nil, fmt.Errorf("write the certificate that functions trust: %w", err)
	}
	return t, nil
}

// write writes the files. Functions that run as another user read them too.
func (t *trust) write(cert []byte) (err error) {
	if t.dir, err = os.MkdirTemp("", "topicwire-trust-"); err != nil {
		return err
	}
	if err := os.Chmod(t.dir, 0o755); err != nil { //nolint:gosec // certificates are public
		return err
	}
	more, _ := os.ReadFile(os.Getenv("NODE_EXTRA_CA_CERTS")) //nolint:gosec // the operator's own file; node takes one file: ours must hold what was there
	t.own = filepath.Join(t.dir, "topicwire.pem")
	if err := os.WriteFile(t.own, append(more, cert...), 0o644); err != nil { //nolint:gosec // certificates are public
		return err
	}
	system, found := systemAuthorities()
	if !found {
		return nil
	}
	t.all = filepath.Join(t.dir, "all.pem")
	return os.WriteFile(t.all, append(system, cert...), 0o644) //nolint:gosec // certificates are public
}

// systemAuthorities is the machine's file of certificate authorities: the first of where
// systems keep it, as crypto/x509 looks.
func systemAuthorities() ([]byte, bool) {
	for _, file := range []string{
		os.Getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
	} {
		if b, err := os.ReadFile(file); err == nil && len(b) > 0 { //nolint:gosec // the operator's own file
			return append(b, '\n'), true
		}
	}
	return nil, false
}

// environ makes a process trust the certificate: node adds a file to its own authorities;
// Go, the AWS SDK for Python and requests take one in place of theirs, so they get one with
// the system's, and nothing if that was not found.
func (t *trust) environ() map[string]string {
	v := map[string]string{"NODE_EXTRA_CA_CERTS": t.own}
	if t.all != "" {
		v["SSL_CERT_FILE"], v["AWS_CA_BUNDLE"], v["REQUESTS_CA_BUNDLE"] = t.all, t.all, t.all
	}
	return v
}

func (t *trust) remove() { _ = os.RemoveAll(t.dir) }
