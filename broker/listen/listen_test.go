package listen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveTCP runs a listener on loopback until the test ends and returns its address.
func serveTCP(tb testing.TB, opts Options, h Handler) *TCP {
	tb.Helper()
	l, err := ListenTCP(tb.Context(), "127.0.0.1:0", opts)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, h) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	return l
}

func dial(tb testing.TB, addr net.Addr) *net.TCPConn {
	tb.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	tcp, _ := c.(*net.TCPConn)
	return tcp
}

// readPackets hands every packet on the connection to f until reading fails, and
// returns that error.
func readPackets(c *Conn, f func(packet []byte)) error {
	var buf []byte
	p := make([]byte, 300)
	for {
		n, err := c.Read(p)
		if err != nil {
			return err
		}
		buf = append(buf, p[:n]...)
		for {
			packet, rest := split(buf)
			if packet == nil {
				break
			}
			f(packet)
			buf = rest
		}
	}
}

// split cuts the first whole MQTT packet off b; nil if it is not all there.
func split(b []byte) (packet, rest []byte) {
	length, shift := 0, 0
	for i := 1; i < len(b) && i < 5; i++ {
		length |= int(b[i]&0x7f) << shift
		shift += 7
		if b[i]&0x80 == 0 {
			if end := i + 1 + length; len(b) >= end {
				return b[:end], b[end:]
			}
			return nil, b
		}
	}
	return nil, b
}

// packet makes an MQTT packet with a body of n bytes.
func packet(n int) []byte {
	p := append([]byte{0x30}, varint(n)...)
	return append(p, bytes.Repeat([]byte{'x'}, n)...)
}

func varint(n int) []byte {
	var b []byte
	for {
		d := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, d)
		}
		b = append(b, d|0x80)
	}
}

// echo sends every packet back.
func echo(c *Conn) {
	c.Established()
	_ = readPackets(c, func(p []byte) { _, _ = c.Write(p) })
}

// discard reads until the connection ends.
func discard(c *Conn) {
	c.Established()
	_ = readPackets(c, func([]byte) {})
}

func readAll(tb testing.TB, c net.Conn) []byte {
	tb.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		tb.Fatalf("reading to the end: %v", err)
	}
	return b
}

// wants fails the test unless the error that arrives on ch is want.
func wants(tb testing.TB, ch <-chan error, want error) {
	tb.Helper()
	select {
	case err := <-ch:
		if !errors.Is(err, want) {
			tb.Errorf("got %v, want %v", err, want)
		}
	case <-tb.Context().Done():
		tb.Errorf("no error, want %v", want)
	}
}
