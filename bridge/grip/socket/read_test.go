package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// fakeConn is a connection on which bytes arrive.
type fakeConn struct {
	net.Conn
	io.Reader
}

func (f fakeConn) Read(p []byte) (int, error) { return f.Reader.Read(p) }

func inputOf(r io.Reader) *input { return &input{conn: fakeConn{Reader: r}, pool: newBuffers()} }

// masked is a client's frame: the first byte as given, the mask 1 2 3 4.
func masked(first byte, payload string) []byte {
	b := NewFrame(Binary, []byte(payload)).b
	head := len(b) - len(payload)
	f := append([]byte{first}, b[1:head]...)
	f[1] |= 0x80
	f = append(f, 1, 2, 3, 4)
	for i := range len(payload) {
		f = append(f, payload[i]^[4]byte{1, 2, 3, 4}[i%4])
	}
	return f
}

func TestFramesAreTakenApart(t *testing.T) {
	long, longer := strings.Repeat("a", 70_000), strings.Repeat("ä", 100_000)
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for _, c := range []struct {
		name string
		in   []byte
		want []string // opcode and payload of each message
		err  string   // what ends it
	}{
		{"a text", masked(0x81, "hello"), []string{"1 hello"}, "EOF"},
		{"nothing", masked(0x81, ""), []string{"1 "}, "EOF"},
		{"many", join(masked(0x81, "a"), masked(0x82, "\xff"), masked(0x81, "c")), []string{"1 a", "2 \xff", "1 c"}, "EOF"},
		{"lengths", join(masked(0x81, long[:125]), masked(0x81, long[:126]), masked(0x81, long), masked(0x81, longer)), []string{"1 " + long[:125], "1 " + long[:126], "1 " + long, "1 " + longer}, "EOF"},
		{"fragments", join(masked(0x01, "a"), masked(0x00, "b"), masked(0x80, "c")), []string{"1 abc"}, "EOF"},
		{"a character across fragments", join(masked(0x01, "\xc3"), masked(0x80, "\xa4")), []string{"1 ä"}, "EOF"},
		{"a ping in between", join(masked(0x01, "a"), masked(0x89, "p"), masked(0x80, "b")), []string{"9 p", "1 ab"}, "EOF"},
		{"a close", masked(0x88, "\x03\xe8bye"), []string{"8 \x03\xe8bye"}, "EOF"},
		{"cut off", masked(0x81, "hello")[:8], nil, "EOF"},
		{"not masked", []byte{0x81, 1, 'a'}, nil, "the frame is not masked"},
		{"a reserved bit", masked(0xc1, "a"), nil, "a reserved bit is set"},
		{"an unknown opcode", masked(0x83, "a"), nil, "the opcode is unknown"},
		{"an unknown control frame", masked(0x8b, "a"), nil, "the opcode is unknown"},
		{"a long ping", masked(0x89, long[:126]), nil, "a control frame is fragmented or too long"},
		{"half a ping", masked(0x09, "a"), nil, "a control frame is fragmented or too long"},
		{"a lone continuation", masked(0x80, "a"), nil, "a message continues that has not begun"},
		{"a message within another", join(masked(0x01, "a"), masked(0x81, "b")), nil, "a message begins within another"},
		{"not UTF-8", masked(0x81, "\xff"), nil, "the text is not UTF-8"},
		{"too large", masked(0x81, strings.Repeat("x", 300_000)), nil, "the message is too large"},
		{"too large together", join(masked(0x01, longer), masked(0x80, longer)), nil, "the message is too large"},
		{"absurdly large", []byte{0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0}, nil, "the message is too large"},
	} {
		for way, r := range map[string]io.Reader{"": bytes.NewReader(c.in), " by byte": iotest.OneByteReader(bytes.NewReader(c.in))} {
			in := inputOf(r)
			var got []string
			m, err := in.next(250_000, 0)
			for ; err == nil; m, err = in.next(250_000, 0) {
				got = append(got, string('0'+byte(m.Op))+" "+string(m.Data))
			}
			if strings.Join(got, "|") != strings.Join(c.want, "|") || err.Error() != c.err {
				t.Errorf("%s%s: %.200q, %v", c.name, way, got, err)
			}
			if errors.Is(err, io.EOF) && in.buf != nil && in.r == in.w && in.raw != nil {
				t.Errorf("%s%s: a buffer is kept for nothing", c.name, way)
			}
		}
	}
}

func TestFrameLimit(t *testing.T) {
	frames := append(masked(0x01, "12345678"), masked(0x80, "12345678")...)
	if m, err := inputOf(bytes.NewReader(frames)).next(100, 8); err != nil || len(m.Data) != 16 {
		t.Errorf("%q, %v", m.Data, err)
	}
	var v *violation
	if _, err := inputOf(bytes.NewReader(frames)).next(100, 7); !errors.As(err, &v) || v.code != CloseTooBig {
		t.Errorf("a frame above the limit: %v", err)
	}
}

func TestCloseFrames(t *testing.T) {
	for _, c := range []struct {
		data   string
		code   int
		reason string
		err    string
	}{
		{"", CloseNoStatus, "", ""},
		{"\x03\xe8", CloseNormal, "", ""},
		{"\x0f\xa0bye", 4000, "bye", ""},
		{"\x03", 0, "", "the close code is cut off"},
		{"\x03\xed", 0, "", "the close code is invalid"}, // 1005 is never sent
		{"\x00\x00", 0, "", "the close code is invalid"},
		{"\x03\xe8\xff", 0, "", "the reason is not UTF-8"},
	} {
		e, err := closed([]byte(c.data))
		if err != nil && err.Error() != c.err || err == nil && (c.err != "" || e.Code != c.code || e.Reason != c.reason) {
			t.Errorf("%q: %v, %v", c.data, e, err)
		}
	}
}

// Over a real socket no buffer is held while nothing arrives, and deadlines hold.
func TestWaitingHoldsNoBuffer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	tcp, ok := server.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", server)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	in := &input{conn: server, raw: raw, pool: newBuffers()}
	in.read = in.tryRead
	if _, err := client.Write(append(masked(0x81, "one"), masked(0x81, "two")...)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		if m, err := in.next(100, 0); err != nil || string(m.Data) != want {
			t.Fatalf("%q, %v", m.Data, err)
		}
	}
	_ = server.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := in.next(100, 0); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	if in.buf != nil {
		t.Error("a buffer is held while nothing arrives")
	}
}

func FuzzInput(f *testing.F) {
	f.Add(masked(0x81, "hello"))
	f.Add(append(masked(0x01, "a"), masked(0x80, "b")...))
	f.Add(masked(0x88, "\x03\xe8bye"))
	f.Add([]byte{0x82, 0xfe, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := inputOf(bytes.NewReader(b))
		total := 0
		for {
			m, err := in.next(1000, 0)
			if err != nil {
				break
			}
			total += len(m.Data)
			if m.Op == opClose {
				_, _ = closed(m.Data)
			}
		}
		if total > len(b) {
			t.Errorf("%d bytes out of %d", total, len(b))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	frame := masked(0x81, strings.Repeat("x", 128))
	stream := bytes.Repeat(frame, 64)
	r := bytes.NewReader(nil)
	in := inputOf(r)
	b.ReportAllocs()
	b.SetBytes(128)
	for i := range b.N {
		if i%64 == 0 {
			r.Reset(stream)
		}
		if _, err := in.next(1000, 0); err != nil {
			b.Fatal(err)
		}
	}
}
