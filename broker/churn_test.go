package broker_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/listen"
)

// Clients come, take each other over, subscribe, publish, share, and go, all at once:
// nothing races, nothing deadlocks, nothing is left behind.
func TestChurnLeavesNothingBehind(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, setup{opts: broker.Options{Metrics: reg}})
	filters := []string{"a", "a/+", "#", "$share/g/a", "$share/h/#", "b/#"}
	var wg sync.WaitGroup
	const peers, connects = 8, 60
	for g := range peers {
		wg.Go(func() {
			r := mathrand.New(mathrand.NewPCG(1, uint64(g)))
			for range connects {
				version := byte(4 + r.IntN(2))
				conn, err := net.Dial("tcp", s.Addrs()[0].String())
				if err != nil {
					t.Error(err)
					return
				}
				p := &peer{t: t, conn: conn, r: bufio.NewReader(conn), version: version}
				b := p.encode(connectPacket(version, "c"+strconv.Itoa(r.IntN(6)), func(pk *packets.Packet) {
					if pk.Connect.Clean = r.IntN(2) == 0; !pk.Connect.Clean {
						persistent(pk)
					}
					if r.IntN(4) == 0 {
						withWill("a/will", "gone", willDelay(uint32(r.IntN(2))))(pk)
					}
				}))
				for id := range uint16(1 + r.IntN(10)) {
					filter := filters[r.IntN(len(filters))]
					switch r.IntN(5) {
					case 0:
						b = append(b, p.encode(packets.Packet{
							FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: id + 1,
							Filters: packets.Subscriptions{{Filter: filter}},
						})...)
					case 1, 2:
						b = append(b, p.encode(packets.Packet{
							FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: id + 1,
							Filters: packets.Subscriptions{{Filter: filter, Qos: byte(r.IntN(3))}},
						})...)
					default:
						b = append(b, p.encode(publishPacket("a", "x", byte(r.IntN(3)), id+1, func(pk *packets.Packet) {
							pk.FixedHeader.Retain = r.IntN(3) == 0
							if pk.FixedHeader.Qos == 0 {
								pk.PacketID = 0
							}
						}))...)
					}
				}
				_, _ = conn.Write(b)
				_ = conn.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(20)) * time.Millisecond))
				_, _ = conn.Read(make([]byte, 1024))
				_ = conn.Close()
			}
		})
	}
	wg.Wait()
	// The server may have yet to take the last of them: a CONNECT that is handled after the
	// session's end begins another.
	waitFor(t, func() bool { return metric(t, reg, "topicwire_listen_connections_total") == peers*connects })
	waitFor(t, func() bool { return metric(t, reg, "topicwire_listen_connections") == 0 })
	for i := range 6 { // a clean start ends what is left of each session
		s.connect(5, "c"+strconv.Itoa(i)).bye()
	}
	for _, name := range []string{"clients", "sessions", "subscriptions", "queued_messages", "inflight_messages"} {
		waitFor(t, func() bool { return metric(t, reg, "topicwire_broker_"+name) == 0 })
	}
}

// A TLS listener serves the certificate of the configuration.
func TestMQTTS(t *testing.T) {
	dir := t.TempDir()
	cfg := listen.TLSConfig{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	roots := writeCertificate(t, cfg)
	b, err := broker.New(broker.Config{Listen: listen.Config{MQTTS: listen.Addresses{"127.0.0.1:0"}, TLS: cfg}}, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := serveBroker(t, b, nil)
	conn, err := tls.Dial("tcp", s.Addrs()[0].String(), &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	p := &peer{t: t, conn: conn, r: bufio.NewReader(conn), version: 5}
	p.send(connectPacket(5, "c"))
	p.wantCode(packets.Connack, 0)
	p.subscribe("a", 0)
	p.send(publishPacket("a", "x", 0, 0))
	p.wantMessage("a", "x")
	p.bye()

	cfg.Key = filepath.Join(dir, "none.pem")
	if _, err := broker.New(broker.Config{Listen: listen.Config{MQTTS: listen.Addresses{"127.0.0.1:0"}, TLS: cfg}}, broker.Options{}); err == nil {
		t.Error("a broker without its key was made")
	}
}

// A port in use is an error that names the address.
func TestPortInUse(t *testing.T) {
	s := serve(t, setup{})
	addr := s.Addrs()[0].String()
	if _, err := broker.New(broker.Config{Listen: listen.Config{MQTT: listen.Addresses{addr}}}, broker.Options{}); err == nil {
		t.Error("the same port was opened twice")
	}
}

func writeCertificate(t *testing.T, cfg listen.TLSConfig) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{cfg.Cert: certPEM, cfg.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return roots
}
