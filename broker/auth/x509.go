package auth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/broker/auth/policy"
)

// X509Config are the settings of the method x509. Which certificates are good at all,
// the section listen.tls says.
type X509Config struct {
	Principal string            `yaml:"principal" jsonschema:"enum=fingerprint,enum=common_name,enum=subject" jsonschema_description:"What names the client: fingerprint (default), the SHA-256 of the certificate in hexadecimal digits, which AWS IoT calls the certificate's ID; common_name; or subject, as RFC 2253 writes it."`
	Names     map[string]string `yaml:"names" jsonschema:"example=CN=lamp\\,O=Acme: lamp" jsonschema_description:"Names for single certificates, by fingerprint or subject."`
	Listed    bool              `yaml:"listed_only" jsonschema_description:"Only certificates under names may connect."`
}

// What X509Config.Principal may be.
const (
	byFingerprint = "fingerprint"
	byCommonName  = "common_name"
	bySubject     = "subject"
)

// Check reports names that can never be found.
func (c X509Config) Check(report func(path, problem, remedy string)) {
	if c.Principal != "" && !slices.Contains([]string{byFingerprint, byCommonName, bySubject}, c.Principal) {
		report("principal", fmt.Sprintf("%q is not known here", c.Principal), "write fingerprint, common_name or subject")
	}
	if c.Listed && len(c.Names) == 0 {
		report("listed_only", "no certificate is listed", "add names: {FINGERPRINT: NAME}")
	}
	for _, k := range slices.Sorted(maps.Keys(c.Names)) {
		if c.Names[k] == "" {
			report("names."+k, "is empty", "give the certificate a name")
		}
		if !strings.Contains(k, "=") && len(normalFingerprint(k)) != 2*sha256.Size {
			report("names."+k, "is neither a SHA-256 fingerprint nor a subject", "write 64 hexadecimal digits, as openssl x509 -fingerprint -sha256 prints them, or CN=...")
		}
	}
}

// normalFingerprint takes openssl's form, with colons and capitals, too; "" if it is none.
func normalFingerprint(s string) string {
	s = strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if _, err := hex.DecodeString(s); err != nil {
		return ""
	}
	return s
}

// x509Method is the method that names clients by their certificates. The TLS handshake
// has checked them: see listen.Certificates.
type x509Method struct {
	cfg   X509Config
	names map[string]string
	check func([]*x509.Certificate) error
}

func newX509(cfg X509Config, check func([]*x509.Certificate) error) *x509Method {
	m := &x509Method{cfg: cfg, names: make(map[string]string, len(cfg.Names)), check: check}
	for k, name := range cfg.Names {
		if f := normalFingerprint(k); f != "" {
			k = f
		}
		m.names[k] = name
	}
	return m
}

// Authenticate looks at whoever has shown a certificate.
func (m *x509Method) Authenticate(_ context.Context, c *Credentials) (*Principal, error) {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
		return nil, ErrNotMine
	}
	certs := c.TLS.PeerCertificates
	if m.check != nil { // an HTTP connection may be older than a revocation
		if err := m.check(certs); err != nil {
			return nil, refuseGenuine(nameX509, certs[0].Subject.String(), "%v", err)
		}
	}
	name, err := m.name(certs[0])
	if err != nil {
		return nil, err
	}
	return &Principal{Name: name, Method: nameX509, Certificate: certs[0], proof: certs}, nil
}

// Fingerprint is the SHA-256 of a certificate in hexadecimal digits.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Name is who the client with a certificate is. An error wraps [ErrRefused].
func (c X509Config) Name(cert *x509.Certificate) (string, error) { return newX509(c, nil).name(cert) }

func (m *x509Method) name(c *x509.Certificate) (string, error) {
	fingerprint, subject := Fingerprint(c), c.Subject.String()
	for _, k := range []string{fingerprint, subject} {
		if name, ok := m.names[k]; ok {
			return name, nil
		}
	}
	name := fingerprint
	switch m.cfg.Principal {
	case byCommonName:
		name = c.Subject.CommonName
	case bySubject:
		name = subject
	}
	switch {
	case m.cfg.Listed:
		return "", refuseGenuine(nameX509, subject, "the certificate %s is not listed under names", fingerprint)
	case name == "":
		return "", refuseGenuine(nameX509, fingerprint, "the certificate has no %s to name the client with", m.cfg.Principal)
	case m.cfg.Principal == byCommonName && len(policy.SubjectAttribute(c, "CommonName")) > 1:
		return "", refuseGenuine(nameX509, subject, "the certificate has several common names, and which one counts would be a guess")
	}
	return name, nil
}

// recheck finds certificates that are revoked, out of date or not trusted any more, or
// that are now another's.
func (m *x509Method) recheck(p *Principal) error {
	certs, _ := p.proof.([]*x509.Certificate)
	if len(certs) == 0 {
		return refuse(nameX509, p.Name, "there is no certificate")
	}
	if m.check != nil {
		if err := m.check(certs); err != nil {
			return refuse(nameX509, p.Name, "%v", err)
		}
	}
	if name, err := m.name(certs[0]); err != nil || name != p.Name {
		return refuse(nameX509, p.Name, "the certificate is not the client's any more")
	}
	return nil
}
