package topics

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/message"
)

func kept(topic, payload string) *message.Message {
	return &message.Message{Topic: topic, Payload: []byte(payload), Retain: true}
}

// replay reads a cursor to its end, batch messages at a time.
func replay(c *Cursor, now time.Time, batch int) []string {
	var got []string
	dst := make([]*message.Message, batch)
	for {
		n := c.Next(now, dst)
		for _, m := range dst[:n] {
			got = append(got, m.Topic+"="+string(m.Payload))
		}
		if n < batch {
			slices.Sort(got)
			return got
		}
	}
}

func TestRetainedLookup(t *testing.T) {
	r := NewRetained()
	for _, topic := range []string{"a", "a/b", "a/b/c", "a/x", "b", "/", "/a", "$SYS/x", "$SYS", "a/$x", "a/"} {
		r.Set(kept(topic, "1"))
	}
	tests := []struct {
		filter string
		want   []string
	}{
		{"a/b", []string{"a/b=1"}},
		{"a/nothing", nil},
		{"a/#", []string{"a/$x=1", "a/=1", "a/b/c=1", "a/b=1", "a/x=1", "a=1"}}, // the parent level too
		{"a/b/c/#", []string{"a/b/c=1"}},
		{"a/+", []string{"a/$x=1", "a/=1", "a/b=1", "a/x=1"}},
		{"+", []string{"a=1", "b=1"}}, // not $SYS [MQTT-4.7.2-1]
		{"+/x", []string{"a/x=1"}},    // not $SYS/x
		{"#", []string{"/=1", "/a=1", "a/$x=1", "a/=1", "a/b/c=1", "a/b=1", "a/x=1", "a=1", "b=1"}},
		{"+/#", []string{"/=1", "/a=1", "a/$x=1", "a/=1", "a/b/c=1", "a/b=1", "a/x=1", "a=1", "b=1"}},
		{"+/+/#", []string{"/=1", "/a=1", "a/$x=1", "a/=1", "a/b/c=1", "a/b=1", "a/x=1"}},
		{"$SYS/#", []string{"$SYS/x=1", "$SYS=1"}},
		{"$SYS/+", []string{"$SYS/x=1"}},
		{"$share/g/a/b", []string{"a/b=1"}},
	}
	for _, tt := range tests {
		for _, batch := range []int{1, 2, 100} {
			if diff := cmp.Diff(tt.want, replay(r.Match(tt.filter), time.Time{}, batch)); diff != "" {
				t.Errorf("Match(%q) by %d (-want +got):\n%s", tt.filter, batch, diff)
			}
		}
	}
}

func TestRetainedSetReplaceDelete(t *testing.T) {
	r := NewRetained()
	first := kept("a/b", "12345")
	if r.Set(first) != nil {
		t.Error("Set replaced something in an empty store")
	}
	if got := r.Set(kept("a/b", "1")); got != first {
		t.Errorf("Set replaced %v, want the first message", got)
	}
	if r.Len() != 1 || r.Bytes() != 4 {
		t.Errorf("Len = %d, Bytes = %d; want 1, 4", r.Len(), r.Bytes())
	}
	if r.Set(kept("a/b", "")) == nil { // [MQTT-3.3.1-6]
		t.Error("an empty payload did not remove the message")
	}
	if r.Delete("a/b") != nil || r.Get("a/b", time.Time{}) != nil {
		t.Error("the message is still there")
	}
	if r.Len() != 0 || r.Bytes() != 0 || len(r.root.kids) != r.root.gaps {
		t.Errorf("left behind: %d messages, %d bytes, %d levels", r.Len(), r.Bytes(), len(r.root.kids))
	}
}

func TestRetainedExpiry(t *testing.T) {
	r := NewRetained()
	start := time.Unix(1000, 0)
	for i := range uint32(10) {
		m := kept(fmt.Sprint("t/", i), "x")
		m.Received, m.Props.HasExpiry, m.Props.Expiry = start, true, i
		r.Set(m)
	}
	r.Set(kept("t/0", "for ever")) // replaces one that has expired
	now := start.Add(4 * time.Second)
	if r.Get("t/4", now) != nil || r.Get("t/5", now) == nil {
		t.Error("Get does not honour the expiry: t/4 must be gone at 4 s, t/5 there")
	}
	want := []string{"t/0=for ever", "t/5=x", "t/6=x", "t/7=x", "t/8=x", "t/9=x"}
	if diff := cmp.Diff(want, replay(r.Match("t/+"), now, 3)); diff != "" {
		t.Errorf("Match (-want +got):\n%s", diff)
	}
	var gone []string
	note := func(m *message.Message) { gone = append(gone, m.Topic) }
	if n := r.Sweep(now, 3, note) + r.Sweep(now, 0, note); n != 4 {
		t.Errorf("Sweep removed %d, want 4", n)
	}
	slices.Sort(gone)
	if diff := cmp.Diff([]string{"t/1", "t/2", "t/3", "t/4"}, gone); diff != "" {
		t.Errorf("swept (-want +got):\n%s", diff)
	}
	if r.Len() != 6 {
		t.Errorf("Len = %d, want 6", r.Len())
	}
}

// What is set again and again with an expiry must not pile up.
func TestRetainedExpiriesStayBounded(t *testing.T) {
	r := NewRetained()
	for range 10_000 {
		m := kept("t", "x")
		m.Received, m.Props.HasExpiry, m.Props.Expiry = time.Unix(1, 0), true, 1<<31
		r.Set(m)
		r.Delete("t")
	}
	if len(r.expiry) > 1000 {
		t.Errorf("%d entries are kept for no message", len(r.expiry))
	}
}

func TestRetainedAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, o := NewRetained(), map[string]string{}
		type paused struct {
			*Cursor
			filter string
			must   map[string]string // kept since the cursor was made
			got    map[string]bool
		}
		var open []*paused
		changed := func(topic string) {
			for _, p := range open {
				delete(p.must, topic)
			}
		}
		topic := func(t *rapid.T) string { return drawLevels(t, "topic", "a", "b", "c", "d", "", "$x") }
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				tp, v := topic(t), fmt.Sprint(rapid.IntRange(0, 1<<30).Draw(t, "value"))
				r.Set(kept(tp, v))
				o[tp] = v
				changed(tp)
			},
			"set many": func(t *rapid.T) {
				at := topic(t)
				for i := range 30 {
					tp := fmt.Sprintf("%s/%d", at, i)
					r.Set(kept(tp, "many"))
					o[tp] = "many"
					changed(tp)
				}
			},
			"delete": func(t *rapid.T) {
				if len(o) == 0 {
					t.Skip("nothing to delete")
				}
				keys := slices.Sorted(maps.Keys(o))
				for range rapid.IntRange(1, 20).Draw(t, "how many") {
					tp := rapid.SampledFrom(keys).Draw(t, "topic")
					if _, want := o[tp]; (r.Delete(tp) != nil) != want {
						t.Fatalf("Delete(%q) found = %v, want %v", tp, !want, want)
					}
					delete(o, tp)
					changed(tp)
				}
			},
			"begin a replay": func(t *rapid.T) {
				f := drawFilter(t)
				p := &paused{Cursor: r.Match(f), filter: f, must: map[string]string{}, got: map[string]bool{}}
				for tp, v := range o {
					if message.Match(f, tp) {
						p.must[tp] = v
					}
				}
				open = append(open, p)
			},
			"go on with a replay": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("none open")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				p := open[i]
				dst := make([]*message.Message, rapid.IntRange(1, 7).Draw(t, "batch"))
				n := p.Next(time.Time{}, dst)
				for _, m := range dst[:n] {
					if p.got[m.Topic] {
						t.Fatalf("%q was replayed twice for %q", m.Topic, p.filter)
					}
					p.got[m.Topic] = true
					if !message.Match(p.filter, m.Topic) {
						t.Fatalf("%q was replayed for %q", m.Topic, p.filter)
					}
					if v, ok := p.must[m.Topic]; !ok || v != string(m.Payload) {
						t.Fatalf("%q was replayed for %q although it is newer than the cursor or gone", m.Topic, p.filter)
					}
				}
				if n < len(dst) {
					for tp := range p.must {
						if !p.got[tp] {
							t.Fatalf("%q was not replayed for %q", tp, p.filter)
						}
					}
					open = slices.Delete(open, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				if r.Len() != len(o) {
					t.Fatalf("Len = %d, want %d", r.Len(), len(o))
				}
				f := drawFilter(t)
				var want []string
				for tp, v := range o {
					if message.Match(f, tp) {
						want = append(want, tp+"="+v)
					}
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, replay(r.Match(f), time.Time{}, 5)); diff != "" {
					t.Fatalf("Match(%q) (-want +got):\n%s", f, diff)
				}
			},
		})
	})
}
