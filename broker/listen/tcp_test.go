package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/message"
)

func TestTCPCarriesPackets(t *testing.T) {
	infos := make(chan *Info, 1)
	reg := prometheus.NewRegistry()
	l := serveTCP(t, Options{Name: "front", Metrics: NewMetrics(reg)}, func(c *Conn) {
		infos <- c.Info()
		echo(c)
	})
	c := dial(t, l.Addr())
	want := append(append(packet(3), packet(100_000)...), packet(0)...)
	if _, err := c.Write(want); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the echo differs: %v", err)
	}
	info := <-infos
	local := netip.MustParseAddrPort(c.LocalAddr().String())
	if info.Listener != "front" || info.Via != message.ViaMQTT || info.Remote != local || info.TLS != nil || info.Request != nil {
		t.Errorf("Info = %+v", info)
	}
	if n := l.Connections(); n != 1 {
		t.Errorf("Connections = %d, want 1", n)
	}
	expect := `
# HELP topicwire_listen_connections_total Connections accepted.
# TYPE topicwire_listen_connections_total counter
topicwire_listen_connections_total{listener="front"} 1
# HELP topicwire_listen_received_bytes_total MQTT bytes received.
# TYPE topicwire_listen_received_bytes_total counter
topicwire_listen_received_bytes_total{listener="front"} 100011
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(expect), "topicwire_listen_connections_total", "topicwire_listen_received_bytes_total"); err != nil {
		t.Error(err)
	}
}

func TestTLSCarriesPackets(t *testing.T) {
	cert := newCertificate(t, "broker.test")
	states := make(chan *tls.ConnectionState, 2)
	l := serveTCP(t, Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert.pair}}}, func(c *Conn) {
		states <- c.Info().TLS
		echo(c)
	})
	c := tls.Client(dial(t, l.Addr()), &tls.Config{RootCAs: cert.pool, ServerName: "broker.test"})
	want := append(packet(3), packet(300_000)...)
	go func() { _, _ = c.Write(want) }()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the echo differs: %v", err)
	}
	if s := <-states; s == nil || s.ServerName != "broker.test" {
		t.Errorf("Info.TLS = %+v", s)
	}
	_ = c.CloseWrite()
	readAll(t, c) // ends in good order, with a close_notify
}

func TestAFailedHandshakeIsRefused(t *testing.T) {
	cert := newCertificate(t, "broker.test")
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	l := serveTCP(t, Options{Name: "tls", Metrics: m, TLS: &tls.Config{Certificates: []tls.Certificate{cert.pair}}}, func(*Conn) {
		t.Error("the handler ran without TLS")
	})
	c := dial(t, l.Addr())
	_, _ = c.Write([]byte("\x10\x0c this is no TLS, but MQTT"))
	_, _ = io.Copy(io.Discard, c)
	if n := testutil.ToFloat64(m.refused.WithLabelValues("tls", "tls_handshake")); n != 1 {
		t.Errorf("refused = %v, want 1", n)
	}
}

func TestOversizedAndMalformedPackets(t *testing.T) {
	tests := []struct {
		name string
		send []byte
		want error
	}{
		{"[MQTT-3.2.2-15] too large", append(packet(5), packet(1000)...), ErrPacketTooLarge},
		{"256 MB announced", append(packet(5), 0x30, 0xff, 0xff, 0xff, 0x7f), ErrPacketTooLarge},
		{"length of five bytes", append(packet(5), 0x30, 0xff, 0xff, 0xff, 0xff, 1), ErrMalformedLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packets := 0
			errs := make(chan error, 1)
			l := serveTCP(t, Options{MaxPacketSize: 500}, func(c *Conn) {
				c.Established()
				c.OnProblem(func(error) { _, _ = c.Write([]byte{0xe0, 1, 0x95}) })
				errs <- readPackets(c, func([]byte) { packets++ })
			})
			c := dial(t, l.Addr())
			_, _ = c.Write(tt.send)
			if got := readAll(t, c); !bytes.Equal(got, []byte{0xe0, 1, 0x95}) {
				t.Errorf("got % x, want the DISCONNECT of OnProblem", got)
			}
			wants(t, errs, tt.want)
			if packets != 1 {
				t.Errorf("%d packets were read before the wrong one, want 1", packets)
			}
		})
	}
}

func TestWhatDoesNotBeginWithConnectEnds(t *testing.T) {
	for _, begin := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00", "\x30\x03\x00\x01a", "\x11\x00"} {
		errs := make(chan error, 1)
		l := serveTCP(t, Options{}, func(c *Conn) {
			c.OnProblem(func(err error) { t.Errorf("there is nobody to tell, got %v", err) })
			errs <- readPackets(c, func(p []byte) { t.Errorf("% x was handed out", p) })
		})
		c := dial(t, l.Addr())
		_, _ = c.Write([]byte(begin))
		wants(t, errs, ErrNotConnect)
		readAll(t, c)
	}
}

func TestAPanicEndsOneConnection(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	log := &logLines{lines: make(chan string, 10)}
	l := serveTCP(t, Options{Name: "x", Metrics: m, Log: zerolog.New(log)}, func(c *Conn) {
		c.Established()
		p := make([]byte, 5)
		if n, _ := c.Read(p); n == 2 {
			panic("a truncated SUBSCRIBE")
		}
		echo(c)
	})
	bad, good := dial(t, l.Addr()), dial(t, l.Addr())
	_, _ = bad.Write([]byte{0x82, 0})
	readAll(t, bad)
	_, _ = good.Write(append(packet(3), packet(1)...))
	if _, err := io.ReadFull(good, make([]byte, 3)); err != nil {
		t.Errorf("the other connection ended: %v", err)
	}
	awaitLine(t, log.lines, "a truncated SUBSCRIBE")
	if n := testutil.ToFloat64(m.panicked.WithLabelValues("x")); n != 1 {
		t.Errorf("panics = %v, want 1", n)
	}
}

func TestServeCutsWhatDoesNotEnd(t *testing.T) {
	l, err := ListenTCP(t.Context(), "127.0.0.1:0", Options{Drain: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	done := make(chan error)
	go func() {
		done <- l.Serve(ctx, func(c *Conn) {
			close(started)
			discard(c)
		})
	}()
	c := dial(t, l.Addr())
	<-started
	cancel()
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections did not end") {
		t.Errorf("Serve = %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the address is still open")
	}
	_, _ = io.Copy(io.Discard, c) // ends
}

func TestAddressInUse(t *testing.T) {
	l := serveTCP(t, Options{}, echo)
	_, err := ListenTCP(t.Context(), l.Addr().String(), Options{})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is in use") {
		t.Errorf("got %v", err)
	}
}

func TestMaximumConnections(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	limiter := NewLimiter(Limits{MaxConnections: 1})
	started := make(chan struct{}, 2)
	l := serveTCP(t, Options{Name: "x", Metrics: m, Limiter: limiter}, func(c *Conn) {
		started <- struct{}{}
		discard(c)
	})
	dial(t, l.Addr())
	<-started
	second := dial(t, l.Addr())
	_, _ = io.Copy(io.Discard, second) // closed at once
	if n := testutil.ToFloat64(m.refused.WithLabelValues("x", "max_connections")); n != 1 {
		t.Errorf("refused = %v, want 1", n)
	}
}

func TestState(t *testing.T) {
	c := reading(&stream{}, 0)
	if c.State() != nil {
		t.Errorf("State before SetState = %v", c.State())
	}
	c.SetState(1)
	c.SetState("two")
	if c.State() != "two" {
		t.Errorf("State = %v, want two", c.State())
	}
}
