package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// tlsConfig is nil when the connection is not encrypted.
func (f *clientFlags) tlsConfig(t *mqttclient.Target) (*tls.Config, error) {
	if !t.TLS() {
		if f.Cert != "" || f.Key != "" || f.Insecure || f.ALPN != "" || f.CAFile != "" || f.CAPath != "" {
			return nil, usageError("--cert, --key, --insecure, --tls-alpn and --cafile are for TLS: use mqtts:// or wss://, or give --cafile without -L")
		}
		return nil, nil //nolint:nilnil // no TLS, no configuration
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.Host}
	if f.ALPN != "" {
		c.NextProtos = []string{f.ALPN}
	}
	if f.CAFile != "" || f.CAPath != "" {
		pool, err := f.authorities()
		if err != nil {
			return nil, err
		}
		c.RootCAs = pool
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, usageError("--cert and --key belong together")
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, usageError("client certificate: %v", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if f.Insecure {
		trustAnyName(c)
	}
	return c, nil
}

// authorities reads --cafile and every file of --capath.
func (f *clientFlags) authorities() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if f.OSCerts {
		if system, err := x509.SystemCertPool(); err == nil {
			pool = system
		}
	}
	var files []string
	if f.CAFile != "" {
		files = append(files, f.CAFile)
	}
	if f.CAPath != "" {
		found, err := filepath.Glob(filepath.Join(f.CAPath, "*"))
		if err != nil || len(found) == 0 {
			return nil, usageError("--capath: there is no file in %s", f.CAPath)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError("certificate authorities: %v", err)
		}
		if !pool.AppendCertsFromPEM(pem) && file == f.CAFile {
			return nil, usageError("--cafile: there is no PEM certificate in %s", file)
		}
	}
	return pool, nil
}

// errNoCertificate says that a TLS server sent no certificate.
var errNoCertificate = errors.New("the server sent no certificate")

// trustAnyName checks the chain of certificates but not the name, which is what
// mosquitto's --insecure does.
func trustAnyName(c *tls.Config) {
	c.InsecureSkipVerify = true // VerifyConnection checks the chain instead
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errNoCertificate
		}
		rest := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			rest.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: c.RootCAs, Intermediates: rest})
		return err
	}
}
