package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority issues certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

// issue writes NAME.pem and NAME.key, signed by the authority; its own if it has none yet.
func (a *authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if a.cert == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		a.cert, a.key = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.IsCA {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+ext), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// terminate listens with TLS and passes the bytes on to address until the test ends.
func terminate(t *testing.T, address string, c *tls.Config) (port string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			outside, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer outside.Close()
				inside, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				wg.Go(func() {
					defer outside.Close()
					_, _ = io.Copy(outside, inside)
				})
				_, _ = io.Copy(inside, outside)
				_ = inside.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestTLS(t *testing.T) {
	b, _ := mosquitto(t)
	a := &authority{dir: t.TempDir()}
	a.issue(t, "ca")
	a.issue(t, "device")
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	good := terminate(t, b.TCP.Address(), &tls.Config{Certificates: []tls.Certificate{a.issue(t, "localhost")}})
	web := terminate(t, b.WS.Address(), &tls.Config{Certificates: []tls.Certificate{a.issue(t, "localhost")}})
	other := terminate(t, b.TCP.Address(), &tls.Config{Certificates: []tls.Certificate{a.issue(t, "elsewhere")}})
	mutual := terminate(t, b.TCP.Address(), &tls.Config{
		Certificates: []tls.Certificate{a.issue(t, "localhost")}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	ca, device := filepath.Join(a.dir, "ca.pem"), filepath.Join(a.dir, "device")
	tests := map[string]struct {
		args []string
		want string // empty: it works
	}{
		"--cafile":           {[]string{"-p", good, "--cafile", ca}, ""},
		"--capath":           {[]string{"-p", good, "--capath", a.dir}, ""},
		"mqtts URL":          {[]string{"-L", "mqtts://localhost:" + good, "--cafile", ca}, ""},
		"wss URL":            {[]string{"-L", "wss://localhost:" + web + "/mqtt", "--cafile", ca}, ""},
		"client certificate": {[]string{"-p", mutual, "--cafile", ca, "--cert", device + ".pem", "--key", device + ".key"}, ""},
		"--insecure":         {[]string{"-p", other, "--cafile", ca, "--insecure"}, ""},
		"unknown authority":  {[]string{"-L", "mqtts://localhost:" + good}, "signed by an authority that is not trusted here; name the authority's file with --cafile"},
		"unknown, insecure":  {[]string{"-L", "mqtts://localhost:" + good, "--insecure"}, "not trusted here"},
		"other host":         {[]string{"-p", other, "--cafile", ca}, "is for another host"},
		"no TLS there":       {[]string{"-p", b.TCP.Port, "--cafile", ca}, "topicwire: "},
		"no certificate":     {[]string{"-p", mutual, "--cafile", ca}, "topicwire: "},
		"not a CA file":      {[]string{"-p", good, "--cafile", device + ".key"}, "there is no PEM certificate in"},
		"--cert alone":       {[]string{"-p", good, "--cafile", ca, "--cert", device + ".pem"}, "--cert and --key belong together"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, _, err := command(t, "", append([]string{"pub", "-t", "a", "-m", "x", "-q", "1"}, tt.args...)...)
			if (code == 0) != (tt.want == "") || !strings.Contains(err, tt.want) {
				t.Errorf("status %d, %q; want %q", code, err, tt.want)
			}
		})
	}
}
