// Package devcert makes certificates for development: an authority of one's own, and
// certificates of servers and devices that it has signed, in files with the names that
// AWS IoT's connection kit gives them. It is no authority for production: the key lies
// beside the certificates, unencrypted.
package devcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // a subject key identifier is no secret: RFC 5280, section 4.2.1.2
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The names of the authority's files.
const (
	RootFile    = "root-CA.crt"
	RootKeyFile = "root-CA.private.key"
	CRLFile     = "root-CA.crl"
)

// CertFile is the name of the file with the certificate of a server or device.
func CertFile(name string) string { return name + ".cert.pem" }

// KeyFile is the name of the file with its private key.
func KeyFile(name string) string { return name + ".private.key" }

// PublicKeyFile is the name of the file with its public key.
func PublicKeyFile(name string) string { return name + ".public.key" }

const (
	rootLife = 10 * 365 * 24 * time.Hour
	// leafLife is the most that all clients accept of an authority of one's own.
	leafLife = 825 * 24 * time.Hour
	// listLife is how long a revocation list says it holds.
	listLife = 30 * 24 * time.Hour
	// clockSkew is how far a device's clock may be behind.
	clockSkew = time.Hour
)

// Authority signs certificates. Its files are in one folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open opens the authority in a folder, or makes one there; made tells which.
func Open(dir string) (a *Authority, made bool, err error) {
	a = &Authority{dir: dir}
	certPEM, err1 := os.ReadFile(filepath.Join(dir, RootFile))
	keyPEM, err2 := os.ReadFile(filepath.Join(dir, RootKeyFile))
	switch {
	case errors.Is(err1, fs.ErrNotExist) && errors.Is(err2, fs.ErrNotExist):
		return a, true, a.create()
	case err1 != nil || err2 != nil:
		return nil, false, fmt.Errorf("the authority in %s cannot be used: %w", dir, errors.Join(err1, err2))
	}
	return a, false, a.parse(certPEM, keyPEM)
}

func (a *Authority) parse(certPEM, keyPEM []byte) error {
	c, _ := pem.Decode(certPEM)
	k, _ := pem.Decode(keyPEM)
	if c == nil || k == nil {
		return fmt.Errorf("%s or %s in %s is no PEM file", RootFile, RootKeyFile, a.dir)
	}
	cert, err1 := x509.ParseCertificate(c.Bytes)
	key, err2 := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("the authority in %s cannot be used: %w", a.dir, err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok || !own.PublicKey.Equal(cert.PublicKey) {
		return fmt.Errorf("%s in %s is not the key of %s", RootKeyFile, a.dir, RootFile)
	}
	a.cert, a.key = cert, own
	return nil
}

func (a *Authority) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // without one, the name says less
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "topicwire development CA " + host, Organization: []string{"topicwire"}},
		NotBefore: time.Now().Add(-clockSkew), NotAfter: time.Now().Add(rootLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		SubjectKeyId: keyID(&key.PublicKey),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	return errors.Join(a.writeKey(RootKeyFile, key), a.writePEM(RootFile, "CERTIFICATE", der, 0o644))
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it never fails
	b[0] &= 0x7F
	return new(big.Int).SetBytes(b)
}

func keyID(key *ecdsa.PublicKey) []byte {
	b, err := key.Bytes()
	if err != nil {
		return nil
	}
	sum := sha1.Sum(b) //nolint:gosec // see above
	return sum[:]
}

// Server makes the certificate of a server with these names and addresses.
func (a *Authority) Server(name string, hosts []string) error {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0], Organization: []string{"topicwire"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return a.sign(name, t)
}

// Device makes the certificate of a device, with its name as the common name.
func (a *Authority) Device(name string) error {
	return a.sign(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: []string{"topicwire"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *Authority) sign(name string, t *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t.SerialNumber, t.NotBefore, t.NotAfter = serial(), time.Now().Add(-clockSkew), time.Now().Add(leafLife)
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	t.KeyUsage, t.BasicConstraintsValid, t.SubjectKeyId = x509.KeyUsageDigitalSignature, true, keyID(&key.PublicKey)
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return errors.Join(
		a.writeKey(KeyFile(name), key),
		a.writePEM(PublicKeyFile(name), "PUBLIC KEY", public, 0o644),
		a.writePEM(CertFile(name), "CERTIFICATE", der, 0o644),
	)
}

// Revoke adds a device's certificate to the authority's revocation list.
func (a *Authority) Revoke(name string) error {
	data, err := os.ReadFile(filepath.Join(a.dir, CertFile(name)))
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%s is no PEM file", CertFile(name))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-clockSkew), NextUpdate: time.Now().Add(listLife)}
	if old, err := os.ReadFile(filepath.Join(a.dir, CRLFile)); err == nil {
		block, _ := pem.Decode(old)
		if block == nil {
			return fmt.Errorf("%s is no PEM file", CRLFile)
		}
		before, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return err
		}
		list.Number = new(big.Int).Add(before.Number, big.NewInt(1))
		list.RevokedCertificateEntries = before.RevokedCertificateEntries
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(cert.SerialNumber) == 0 {
			return fmt.Errorf("%s is revoked already", CertFile(name))
		}
	}
	list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now()})
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		return err
	}
	return a.writePEM(CRLFile, "X509 CRL", der, 0o644)
}

func (a *Authority) writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return a.writePEM(file, "PRIVATE KEY", der, 0o600)
}

// writePEM replaces a file at once: a server may read it at any time.
func (a *Authority) writePEM(file, kind string, der []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(a.dir, "."+file+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // it is gone once it is renamed
	err = errors.Join(pem.Encode(tmp, &pem.Block{Type: kind, Bytes: der}), tmp.Chmod(mode), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(a.dir, file))
}
