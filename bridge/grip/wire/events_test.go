package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// The bytes that the libraries send and Pushpin takes.
var goldenEvents = []struct {
	name  string
	event wire.Event
	bytes string
}{
	{"open", wire.Event{Type: "OPEN"}, "OPEN\r\n"},
	{"text", wire.Event{Type: "TEXT", Content: []byte("hello")}, "TEXT 5\r\nhello\r\n"},
	{"empty text", wire.Event{Type: "TEXT", Content: []byte{}}, "TEXT 0\r\n\r\n"},
	{"not ASCII", wire.Event{Type: "TEXT", Content: []byte("hé€")}, "TEXT 6\r\nh\xc3\xa9\xe2\x82\xac\r\n"},
	{"binary", wire.Event{Type: "BINARY", Content: []byte{0, 0xff, 1}}, "BINARY 3\r\n\x00\xff\x01\r\n"},
	{"ping", wire.Event{Type: "PING", Content: []byte("pp")}, "PING 2\r\npp\r\n"},
	{"empty ping", wire.Event{Type: "PING"}, "PING\r\n"},
	{"close", wire.Event{Type: "CLOSE", Content: wire.CloseContent(1000, "bye")}, "CLOSE 5\r\n\x03\xe8bye\r\n"},
	{"close without a code", wire.Event{Type: "CLOSE", Content: wire.CloseContent(0, "")}, "CLOSE\r\n"},
	{"disconnect", wire.Event{Type: "DISCONNECT"}, "DISCONNECT\r\n"},
	{"16 bytes", wire.Event{Type: "TEXT", Content: []byte("0123456789abcdef")}, "TEXT 10\r\n0123456789abcdef\r\n"},
	{"CRLF inside", wire.Event{Type: "TEXT", Content: []byte("a\r\nb")}, "TEXT 4\r\na\r\nb\r\n"},
}

func TestEventsAsTheLibrariesWriteThem(t *testing.T) {
	var all []byte
	var events []wire.Event
	for _, c := range goldenEvents {
		if got := string(wire.AppendEvent(nil, c.event)); got != c.bytes {
			t.Errorf("%s: %q, want %q", c.name, got, c.bytes)
		}
		got, err := wire.ParseEvents([]byte(c.bytes))
		if err != nil || len(got) != 1 || !cmp.Equal(got[0], c.event) {
			t.Errorf("%s: %q is read as %v, %v", c.name, c.bytes, got, err)
		}
		all = append(all, c.bytes...)
		events = append(events, c.event)
	}
	got, err := wire.ParseEvents(all)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, got); diff != "" {
		t.Error(diff)
	}
}

func TestEventsLeadingZerosAreAccepted(t *testing.T) {
	got, err := wire.ParseEvents([]byte("TEXT 05\r\nhello\r\n"))
	if err != nil || string(got[0].Content) != "hello" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestEventsMalformed(t *testing.T) {
	for _, s := range []string{
		"OPEN", "OPEN\n", "TEXT 5\r\nhell\r\n", "TEXT 5\r\nhello", "TEXT 4\r\nhello\r\n", "TEXT x\r\n\r\n", "TEXT -1\r\n\r\n",
		"TEXT \r\n\r\n", "\r\n", " 5\r\nhello\r\n", "TEXT ffffffff\r\n\r\n", "TEXT 7fffffff\r\nx\r\n", "TEXT +5\r\nhello\r\n",
	} {
		if got, err := wire.ParseEvents([]byte(s)); !errors.Is(err, wire.ErrEvents) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func TestCloseContent(t *testing.T) {
	for _, c := range []struct {
		in     string
		code   int
		reason string
	}{
		{"", 0, ""},
		{"\x03", 0, ""},
		{"\x00\x00", 0, ""}, // faas-grip's close() without a code
		{"\x03\xe8", 1000, ""},
		{"\x0f\xa1why", 4001, "why"},
		{"\x03\xe8\xff", 1000, ""},
	} {
		if code, reason := wire.ParseClose([]byte(c.in)); code != c.code || reason != c.reason {
			t.Errorf("%q: %d %q", c.in, code, reason)
		}
	}
}

// FuzzEvents: what can be read is written again as the same, or a little shorter.
func FuzzEvents(f *testing.F) {
	for _, c := range goldenEvents {
		f.Add([]byte(c.bytes))
	}
	f.Add([]byte("TEXT 005\r\nhello\r\nOPEN\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := wire.ParseEvents(b)
		if err != nil {
			if !errors.Is(err, wire.ErrEvents) {
				t.Fatal(err)
			}
			return
		}
		var again []byte
		for _, e := range events {
			again = wire.AppendEvent(again, e)
		}
		second, err := wire.ParseEvents(again)
		if err != nil || !cmp.Equal(events, second) {
			t.Fatalf("%q became %q: %v", b, again, err)
		}
		if len(again) > len(b) || bytes.Equal(again, nil) != bytes.Equal(b, nil) {
			t.Fatalf("%q became longer: %q", b, again)
		}
	})
}
