package listen

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrClientCertificate is why a client's certificate is not accepted.
var ErrClientCertificate = errors.New("listen: the client certificate is not accepted")

// clientTrust decides which client certificates are good: those of the authorities,
// those that are registered one by one, and none that is revoked.
type clientTrust struct {
	authorities *x509.CertPool // nil = none
	known       map[[sha256.Size]byte]bool
	revoked     map[string]bool // by issuer and serial number
	stale       time.Time       // when the first list was due to be replaced; zero = never
}

// clientTrust reads what the configuration names. seen gets the contents of every file, so that
// a change is found.
func (c *TLSConfig) clientTrust(seen *bytes.Buffer) (*clientTrust, error) {
	t := &clientTrust{known: make(map[[sha256.Size]byte]bool), revoked: make(map[string]bool)}
	var authorities []*x509.Certificate
	if c.ClientCA != "" {
		data, err := readInto(seen, c.ClientCA)
		if err != nil {
			return nil, err
		}
		if authorities, err = certificatesIn(c.ClientCA, data); err != nil {
			return nil, err
		}
		t.authorities = x509.NewCertPool()
		for _, a := range authorities {
			t.authorities.AddCert(a)
		}
	}
	for _, path := range c.ClientCertificates {
		if err := t.register(seen, path); err != nil {
			return nil, err
		}
	}
	if c.ClientCRL != "" {
		data, err := readInto(seen, c.ClientCRL)
		if err != nil {
			return nil, err
		}
		if err := t.revoke(c.ClientCRL, data, authorities); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func readInto(seen *bytes.Buffer, path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("listen: cannot read what decides on client certificates: %w", err)
	}
	fmt.Fprintf(seen, "%q %d\n%s\n", path, len(data), data)
	return data, nil
}

// certificatesIn parses the certificates of a PEM file; there must be one.
func certificatesIn(path string, data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("listen: %s has a certificate that cannot be read: %w", path, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("listen: there is no PEM certificate in %s", path)
	}
	return certs, nil
}

// register takes the certificates of a file, or of the files of a folder.
func (t *clientTrust) register(seen *bytes.Buffer, path string) error {
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return fmt.Errorf("listen: cannot read the registered client certificates: %w", err)
		}
		files = nil
		for _, e := range entries {
			switch filepath.Ext(e.Name()) {
			case ".pem", ".crt", ".cer":
				if !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
					files = append(files, filepath.Join(path, e.Name()))
				}
			}
		}
	}
	for _, file := range files {
		data, err := readInto(seen, file)
		if err != nil {
			return err
		}
		certs, err := certificatesIn(file, data)
		if err != nil {
			return err
		}
		t.known[sha256.Sum256(certs[0].Raw)] = true // the device's own comes first, its issuers behind it
	}
	return nil
}

// revoke reads revocation lists (RFC 5280), in PEM one behind the other or one in DER.
// Each must be signed by one of the authorities.
func (t *clientTrust) revoke(path string, data []byte, authorities []*x509.Certificate) error {
	var lists [][]byte
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	if lists == nil {
		lists = [][]byte{data}
	}
	for _, der := range lists {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("listen: %s is no certificate revocation list: %w", path, err)
		}
		signed := false
		for _, a := range authorities {
			signed = signed || bytes.Equal(a.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(a) == nil
		}
		if !signed {
			return fmt.Errorf("listen: %s has a revocation list of %q, which no certificate of client_ca has signed", path, list.Issuer)
		}
		for _, e := range list.RevokedCertificateEntries {
			t.revoked[serial(list.RawIssuer, e.SerialNumber.Bytes())] = true
		}
		if !list.NextUpdate.IsZero() && (t.stale.IsZero() || list.NextUpdate.Before(t.stale)) {
			t.stale = list.NextUpdate
		}
	}
	return nil
}

func serial(issuer, number []byte) string { return string(issuer) + "\x00" + string(number) }

// check decides on the certificates that a client has shown, its own first. That it has
// the private key, the handshake has proved.
func (t *clientTrust) check(certs []*x509.Certificate, now time.Time) error {
	if len(certs) == 0 {
		return fmt.Errorf("%w: there is none", ErrClientCertificate)
	}
	leaf := certs[0]
	if t.known[sha256.Sum256(leaf.Raw)] {
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return fmt.Errorf("%w: it is valid from %s to %s", ErrClientCertificate, leaf.NotBefore.Format(time.DateTime), leaf.NotAfter.Format(time.DateTime))
		}
		if t.revoked[serial(leaf.RawIssuer, leaf.SerialNumber.Bytes())] {
			return fmt.Errorf("%w: it is revoked", ErrClientCertificate)
		}
		return nil
	}
	if t.authorities == nil {
		return fmt.Errorf("%w: it is not registered under client_certificates", ErrClientCertificate)
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: t.authorities, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClientCertificate, err)
	}
	for _, chain := range chains {
		if !t.anyRevoked(chain) {
			return nil
		}
	}
	return fmt.Errorf("%w: it, or its issuer, is revoked", ErrClientCertificate)
}

func (t *clientTrust) anyRevoked(chain []*x509.Certificate) bool {
	for _, c := range chain {
		if t.revoked[serial(c.RawIssuer, c.SerialNumber.Bytes())] {
			return true
		}
	}
	return false
}

// CheckClient reports whether the certificates that a client has shown, its own first,
// are good now: signed by an authority or registered, in their time, not revoked. The
// error wraps [ErrClientCertificate].
func (c *Certificates) CheckClient(certs []*x509.Certificate) error {
	t := c.clients.Load()
	if t == nil {
		return fmt.Errorf("%w: none are asked for", ErrClientCertificate)
	}
	return t.check(certs, time.Now())
}

// The protocols that clients of AWS IoT name in the TLS handshake (ALPN).
// (https://docs.aws.amazon.com/iot/latest/developerguide/protocols.html)
const (
	alpnMQTTCertificate = "x-amzn-mqtt-ca" // MQTT with a client certificate
	alpnMQTT            = "mqtt"           // MQTT; on AWS with a custom authorizer
	alpnHTTPCertificate = "x-amzn-http-ca" // HTTPS with a client certificate
	alpnHTTP            = "http/1.1"
)

// complete adds to a TLS configuration what concerns clients' certificates. They are
// asked for and checked by us at the end of each handshake, also of one that resumes a
// session: what the client shows may have been revoked meanwhile.
func (c *Certificates) complete(cfg *tls.Config) {
	if !c.cfg.AsksClients() {
		return
	}
	cfg.ClientAuth = tls.RequestClientCert
	if c.cfg.ClientAuth == ClientAuthRequire {
		cfg.ClientAuth = tls.RequireAnyClientCert
	}
	cfg.VerifyConnection = c.verify
	base := cfg.Clone()
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		now := base.Clone()
		// Which authorities we know helps a client choose among its certificates; one that
		// is registered may be of any.
		if t := c.clients.Load(); len(t.known) == 0 {
			now.ClientCAs = t.authorities
		}
		for _, p := range hello.SupportedProtos {
			if p == alpnMQTTCertificate || p == alpnHTTPCertificate {
				now.ClientAuth = tls.RequireAnyClientCert
			}
		}
		return now, nil
	}
}

func (c *Certificates) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return nil // crypto/tls has refused that where one is required
	}
	err := c.CheckClient(s.PeerCertificates)
	if err != nil {
		c.log.Debug().Err(err).Str("subject", s.PeerCertificates[0].Subject.String()).Msg("client certificate refused")
	}
	return err
}
