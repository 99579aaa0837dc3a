package listen

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestFramerFollowsHeaders(t *testing.T) {
	tests := []struct {
		name  string
		in    []byte
		limit int
		want  verdict
	}{
		{"no body", []byte{0xc0, 0}, 0, verdict{pass: 2}},
		{"two packets", []byte{0xc0, 0, 0x30, 1, 'x'}, 0, verdict{pass: 5}},
		{"a small packet may be incomplete", []byte{0x30, 100, 'x'}, 0, verdict{pass: 3}},
		{"a large one is held back", append([]byte{0xc0, 0, 0x30}, varint(5000)...), 0, verdict{pass: 4, hold: 5001}},
		{"a large one that is all there is not", packet(5000), 0, verdict{pass: 5003}},
		{"256 MB of five bytes", []byte{0x10, 0xff, 0xff, 0xff, 0x7f}, 0, verdict{pass: 4, hold: 1 << 28}},
		{"at the limit", packet(98), 100, verdict{pass: 100}},
		{"above it", append([]byte{0xc0, 0}, packet(99)...), 100, verdict{pass: 2, err: ErrPacketTooLarge}},
		{"a length of five bytes", []byte{0xc0, 0, 0x30, 0x80, 0x80, 0x80, 0x80, 0x01}, 0, verdict{pass: 2, err: ErrMalformedLength}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f framer
			if got := f.scan(tt.in, tt.limit); got != tt.want {
				t.Errorf("scan = %+v, want %+v", got, tt.want)
			}
		})
	}
}

// stream is a transport that hands out a byte stream in given pieces.
type stream struct {
	data   []byte
	pieces []int
}

func (s *stream) Read(p []byte) (int, error) {
	n := min(len(p), len(s.data))
	if len(s.pieces) > 0 {
		n, s.pieces = min(n, max(1, s.pieces[0])), s.pieces[1:]
	}
	if n == 0 {
		return 0, errors.New("the end")
	}
	copy(p, s.data[:n])
	s.data = s.data[n:]
	return n, nil
}

// unseen are metrics that no test looks at; a registry for each fuzzed input is slow.
var unseen = sync.OnceValue(func() *listenerStats { return (*Metrics)(nil).forListener("test") })

// reading makes a Conn that reads from s and nothing else.
func reading(s *stream, limit int) *Conn {
	opts := Options{}.withDefaults()
	c := &Conn{opts: &opts, sock: &socket{}, in: s, stats: unseen()}
	c.maxPacket.Store(int64(limit))
	c.established.Store(true)
	return c
}

// However the stream is cut, the reader gets it unchanged, and a large packet's
// header is never complete before its last byte is there.
func TestReadHandsOutTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var data []byte
		for _, n := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(4000, 20_000)), 1, 6).Draw(t, "bodies") {
			data = append(data, packet(n)...)
		}
		cut := rapid.IntRange(0, 300).Draw(t, "missing at the end")
		data = data[:max(0, len(data)-cut)]
		s := &stream{data: bytes.Clone(data), pieces: rapid.SliceOfN(rapid.IntRange(1, 6000), 0, 50).Draw(t, "pieces")}
		c := reading(s, 0)
		p := make([]byte, rapid.IntRange(1, 5000).Draw(t, "buffer"))
		var got []byte
		for {
			n, err := c.Read(p)
			got = append(got, p[:n]...)
			arrived := len(data) - len(s.data)
			if body, end := claimed(got); body > holdAbove && end > arrived {
				t.Fatalf("a header that claims %d bytes was handed out before they had arrived", body)
			}
			if err != nil {
				break
			}
		}
		if want := whole(data); !bytes.HasPrefix(data, got) || len(got) < len(want) {
			t.Fatalf("got %d bytes of %d, of which %d are whole packets", len(got), len(data), len(want))
		}
	})
}

// claimed is the body of the last packet whose header is complete in b, and its end.
func claimed(b []byte) (body, end int) {
	for end < len(b) {
		length, i, ok := header(b[end:])
		if !ok {
			break
		}
		body = length
		end += i + length
	}
	return body, end
}

func header(b []byte) (length, size int, ok bool) {
	for i := 1; i < len(b); i++ {
		length |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i]&0x80 == 0 {
			return length, i + 1, true
		}
	}
	return 0, 0, false
}

// whole is b up to the end of its last whole packet.
func whole(b []byte) []byte {
	rest := b
	for {
		p, r := split(rest)
		if p == nil {
			return b[:len(b)-len(rest)]
		}
		rest = r
	}
}

// Five bytes can announce 256 MB. Nothing is reserved for them.
func TestAnAnnouncementReservesNothing(t *testing.T) {
	c := reading(&stream{data: []byte{0x10, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3}}, 0)
	p := make([]byte, 100)
	n, err := c.Read(p)
	if err != nil || n != 4 {
		t.Fatalf("Read = %d, %v; want the header without its last byte", n, err)
	}
	if _, err := c.Read(p); err == nil {
		t.Fatal("the rest was handed out although it never came")
	}
	if cap(c.held) > 2*holdAbove {
		t.Errorf("%d bytes are reserved for 8 received", cap(c.held))
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0xc0, 0, 0x30, 1, 'x'}, uint16(1), 0)
	f.Add(packet(6000), uint16(100), 0)
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, uint16(3), 0)
	f.Add([]byte{0x10, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3}, uint16(3), 1000)
	f.Fuzz(func(t *testing.T, data []byte, size uint16, limit int) {
		c := reading(&stream{data: bytes.Clone(data), pieces: []int{3, 1, int(size), 7}}, max(0, limit))
		p := make([]byte, int(size)%5000+1)
		var got []byte
		for {
			n, err := c.Read(p)
			got = append(got, p[:n]...)
			if cap(c.held) > 2*len(data)+2*holdAbove {
				t.Fatalf("%d bytes are reserved for %d received", cap(c.held), len(data))
			}
			if err != nil {
				break
			}
		}
		if !bytes.HasPrefix(data, got) {
			t.Fatalf("read %q of %q", got, data)
		}
	})
}
