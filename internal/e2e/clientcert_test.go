package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

// signer is a certificate and its key.
type signer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// sign makes a certificate below s; nil makes one that signs itself.
func (s *signer) sign(t *testing.T, name string, change func(c *x509.Certificate)) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	if change != nil {
		change(c)
	}
	parent, by := c, key
	if s != nil {
		parent, by = s.cert, s.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, cert, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.ExtKeyUsage, c.KeyUsage = true, nil, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

func (s *signer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw}))
}

func (s *signer) keyPEM() string {
	s.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// revokes is a revocation list of s.
func (s *signer) revokes(certs ...*signer) string {
	s.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.cert.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, s.cert, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// Which client certificates get in, over mutual TLS with the real program, and what the
// names in them are worth.
func TestClientCertificates(t *testing.T) {
	var none *signer
	root := none.sign(t, "root", authority)
	factory := root.sign(t, "factory", authority)
	closed := root.sign(t, "closed factory", authority)
	old := root.sign(t, "old factory", func(c *x509.Certificate) { authority(c); c.NotAfter = time.Now().Add(-time.Minute) })
	server := root.sign(t, "server", func(c *x509.Certificate) {
		c.ExtKeyUsage, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []net.IP{net.IPv4(127, 0, 0, 1)}
	})
	lamp := root.sign(t, "lamp", nil)
	stolen, lost := root.sign(t, "stolen", nil), factory.sign(t, "lost", nil)
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{
		"ca.pem": root.pem() + factory.pem(), "ca.crl": root.revokes(stolen, closed) + factory.revokes(lost),
		"server.pem": server.pem(), "server.key": server.keyPEM(),
		"config.yaml": `
listen:
  mqtts: 127.0.0.1:0
  tls: {cert: server.pem, key: server.key, client_ca: ca.pem, client_crl: ca.crl}
auth:
  methods: [{x509: {principal: common_name}}]
  policies:
    own:
      Statement:
        - {Effect: Allow, Action: iot:Connect, Resource: "*"}
        - {Effect: Allow, Action: iot:Publish, Resource: ["topic/cn/${iot:Certificate.Subject.CommonName}/x", "topic/name/${topicwire:Principal}/x"]}
    fleet: {Statement: {Effect: Allow, Action: iot:Publish, Resource: "topic/fleet"}}
  attach:
    - {policies: own, everybody: true}
    - {policies: fleet, principal: "lamp*"}
`,
	})
	s := testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"))
	host, port, err := net.SplitHostPort(s.MQTTS)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	connect := func(chain ...*signer) (*mqttclient.Client, error) {
		t.Helper()
		pair := tls.Certificate{PrivateKey: chain[0].key}
		for _, c := range chain {
			pair.Certificate = append(pair.Certificate, c.cert.Raw)
		}
		c, err := mqttclient.Open(t.Context(), mqttclient.Options{
			Target: mqttclient.Target{Scheme: "mqtts", Host: host, Port: port}, ClientID: "c",
			Dial: mqttclient.DialOptions{TLS: &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}},
		})
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return c, err
	}
	elsewhere := none.sign(t, "root", authority)
	usage := func(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = u }
	}
	for _, c := range []struct {
		what  string
		chain []*signer
		good  bool
	}{
		{"of the root", []*signer{lamp}, true},
		{"of an authority between that is listed", []*signer{factory.sign(t, "lamp", nil)}, true},
		{"of an authority between that is not sent along", []*signer{root.sign(t, "f2", authority).sign(t, "lamp", nil)}, false},
		{"for servers", []*signer{root.sign(t, "lamp", usage(x509.ExtKeyUsageServerAuth))}, false},
		{"for mail", []*signer{root.sign(t, "lamp", usage(x509.ExtKeyUsageEmailProtection))}, false},
		{"for servers and clients", []*signer{root.sign(t, "lamp", usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))}, true},
		{"for anything", []*signer{root.sign(t, "lamp", usage(x509.ExtKeyUsageAny))}, true},
		{"for it does not say what", []*signer{root.sign(t, "lamp", usage())}, true},
		{"the server's own", []*signer{server}, false},
		{"expired", []*signer{root.sign(t, "lamp", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}, false},
		{"not yet valid", []*signer{root.sign(t, "lamp", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })}, false},
		{"of an authority that has expired", []*signer{old.sign(t, "lamp", nil), old}, false},
		{"revoked by the root", []*signer{stolen}, false},
		{"revoked by an authority between", []*signer{lost, factory}, false},
		{"of an authority that is revoked", []*signer{closed.sign(t, "lamp", nil), closed}, false},
		{"of a device that plays authority", []*signer{lamp.sign(t, "lamp2", nil), lamp}, false},
		{"of somebody who calls himself root", []*signer{elsewhere.sign(t, "lamp", nil), elsewhere}, false},
		{"that has signed itself", []*signer{none.sign(t, "lamp", nil)}, false},
		{"with a critical extension that nobody knows", []*signer{root.sign(t, "lamp", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		})}, false},
	} {
		if client, err := connect(c.chain...); (err == nil) != c.good {
			t.Errorf("%s: %v", c.what, err)
		} else if err == nil {
			_ = client.Disconnect(t.Context(), &mqttclient.Disconnect{})
		}
	}
	f2 := root.sign(t, "f2", authority)
	if c, err := connect(f2.sign(t, "lamp", nil), f2); err != nil {
		t.Errorf("with its authority behind it: %v", err)
	} else {
		_ = c.Disconnect(t.Context(), &mqttclient.Disconnect{})
	}

	// A name is text: wildcards in it are characters, for policies and for whom they are
	// attached to.
	for name, may := range map[string][]string{
		"lamp": {"cn/lamp/x", "name/lamp/x", "fleet"}, "*": {"cn/*/x", "name/*/x"}, "l?mp": {"cn/l?mp/x"}, "lamp*": {"fleet"},
		"${iot:ClientId}": {"cn/${iot:ClientId}/x"}, "a/../lamp": {"cn/a/../lamp/x"}, "ücker": {"cn/ücker/x"},
	} {
		c, err := connect(root.sign(t, name, nil))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, topic := range may {
			if err := c.Publish(t.Context(), &mqttclient.Publish{Topic: topic, QoS: 1}); err != nil {
				t.Errorf("%s to %s: %v", name, topic, err)
			}
		}
		for _, topic := range []string{"cn/other/x", "name/other/x", "cn/lamp/x", "name/lamp/x", "cn/c/x", "fleet"} {
			if strings.Contains(topic, "/"+name+"/") || topic == "fleet" && strings.HasPrefix(name, "lamp") {
				continue
			}
			err := c.Publish(t.Context(), &mqttclient.Publish{Topic: topic, QoS: 1})
			if refused, ok := errors.AsType[*mqttclient.ReasonError](err); !ok || refused.Code != 0x87 {
				t.Errorf("%s to %s: %v, want 0x87", name, topic, err)
			}
		}
		_ = c.Disconnect(t.Context(), &mqttclient.Disconnect{})
	}
	two := root.sign(t, "", func(c *x509.Certificate) {
		cn := asn1.ObjectIdentifier{2, 5, 4, 3}
		c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: cn, Value: "other"}, {Type: cn, Value: "lamp"}}}
	})
	_, err = connect(two)
	if refused, ok := errors.AsType[*mqttclient.ReasonError](err); !ok || !strings.Contains(refused.Text, "several common names") {
		t.Errorf("two common names: %v", err)
	}
}
