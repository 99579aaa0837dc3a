package grip

import (
	"net/http"
	"reflect"
	"strconv"
	"testing"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// nowhere is a Space in which nobody may subscribe.
type nowhere struct{ Space }

func (nowhere) Watch(func(*message.Message)) {}

func sessionForTest(t *testing.T) *session {
	t.Helper()
	d, err := New(Options{Space: nowhere{}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return &session{d: d, route: newRoute(RouteConfig{Path: "/", Function: "f"}, Defaults{}), opened: true, grip: true, prefix: "m:"}
}

// An answer that comes after the client has gone begins nothing.
func TestNothingBeginsAfterTheEnd(t *testing.T) {
	s := sessionForTest(t)
	s.end()
	s.remember(&answer{Response: wire.Response{Header: http.Header{"Keep-Alive-Interval": {"20"}}}})
	var events []wire.Event
	for _, c := range []string{
		`{"type":"subscribe","channel":"room"}`, `{"type":"keep-alive","content":"tick","timeout":1}`,
		`{"type":"send-delayed","content":"later","timeout":1}`,
	} {
		events = append(events, wire.Event{Type: wire.EventText, Content: []byte("c:" + c)})
	}
	s.apply(events)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working = true
	s.rest()
	if s.sub != nil || s.beat != nil || s.delayed != nil || s.poll != nil {
		t.Errorf("subscriber %v, keep-alive %v, delayed %v, asking again %v", s.sub, s.beat, s.delayed, s.poll)
	}
}

// What a handler has not taken is kept whole and in order.
func TestAccepted(t *testing.T) {
	text := func(s string) wire.Event { return wire.Event{Type: wire.EventText, Content: []byte(s)} }
	bye := wire.Event{Type: wire.EventClose, Content: wire.CloseContent(1000, "")}
	silent := wire.Event{Type: wire.EventClose}
	for _, c := range []struct {
		name   string
		n      int
		batch  []wire.Event
		left   []wire.Event
		parked bool
		fails  bool
	}{
		{"all", 5, []wire.Event{text("hello")}, nil, false, false},
		{"nothing", 0, []wire.Event{text("hello")}, []wire.Event{text("hello")}, true, false},
		{"a part", 2, []wire.Event{text("hello"), text("you")}, []wire.Event{text("llo"), text("you")}, true, false},
		{"a whole one", 5, []wire.Event{text("hello"), text("you")}, []wire.Event{text("you")}, true, false},
		{"empty ones behind it", 2, []wire.Event{text("hello"), text(""), text("")}, []wire.Event{text("llo"), text(""), text("")}, true, false},
		{"an empty one before it", 0, []wire.Event{text(""), text("hello")}, []wire.Event{text("hello")}, true, false},
		{"a close frame behind it", 2, []wire.Event{text("hello"), bye}, []wire.Event{text("llo"), bye}, false, false},
		{"one without a code", 2, []wire.Event{text("hello"), silent}, []wire.Event{text("llo"), silent}, false, false},
		{"all but the close frame", 5, []wire.Event{text("hello"), bye}, nil, false, false},
		{"nothing before a close frame", 0, []wire.Event{text("hello"), bye}, nil, false, true},
		{"more than there was", 6, []wire.Event{text("hello")}, nil, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sessionForTest(t)
			err := s.accepted(&answer{Response: wire.Response{Header: http.Header{"Content-Bytes-Accepted": {strconv.Itoa(c.n)}}}}, c.batch)
			if (err != nil) != c.fails || !reflect.DeepEqual(s.pending, c.left) || s.parked != c.parked {
				t.Errorf("left %q, parked %v, %v", s.pending, s.parked, err)
			}
		})
	}
}
