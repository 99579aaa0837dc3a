package broker_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// FuzzGate sends whatever bytes to a connection, before and after a CONNECT. Whatever
// they are: nothing panics, the connection ends or goes on, and others are served.
func FuzzGate(f *testing.F) {
	for _, c := range packets.TPacketData {
		for _, p := range c {
			f.Add(p.RawBytes, true, byte(5))
			f.Add(p.RawBytes, false, byte(4))
		}
	}
	f.Add([]byte{0x82, 11, 0, 1, 0, 0, 6, 'a', '/', 'b', '/', 'c', 'd'}, true, byte(5))
	s := serve(f, setup{})
	bystander := s.connect(5, "bystander")
	f.Fuzz(func(t *testing.T, b []byte, connected bool, version byte) {
		if version != 5 {
			version = 4
		}
		conn, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if connected {
			p := &peer{t: t, version: version}
			b = append(p.encode(connectPacket(version, "fuzz")), b...)
		}
		_, _ = conn.Write(b)
		if tc, ok := conn.(*net.TCPConn); ok {
			_ = tc.CloseWrite()
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		answer, err := io.ReadAll(conn)
		if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // net.Conn returns it as it is
			t.Fatalf("the connection hangs after %x", b)
		}
		if connected && !bytes.HasPrefix(answer, []byte{0x20}) && len(answer) > 0 {
			t.Fatalf("answer %x", answer)
		}
		bystander.t = t
		bystander.quiet()
	})
}
