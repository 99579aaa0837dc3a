package wire_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/grip/wire"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestInstructionsInHeaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		hold   wire.Hold
		status int
	}{
		{"none", header("Content-Type", "text/plain"), wire.Hold{}, 200},
		{
			"response", header("Grip-Hold", "response", "Grip-Channel", "a", "Grip-Timeout", "1"),
			wire.Hold{Mode: wire.HoldResponse, Channels: []wire.Channel{{Name: "a"}}, Timeout: time.Second},
			200,
		},
		{
			"channels", header("Grip-Hold", "stream", "Grip-Channel", "a; prev-id=7; filter=skip-self; filter=var-subst, b", "Grip-Channel", `c; prev-id=""; retained`),
			wire.Hold{Mode: wire.HoldStream, Channels: []wire.Channel{
				{Name: "a", PrevID: "7", HasPrevID: true, Filters: []string{"skip-self", "var-subst"}},
				{Name: "b"},
				{Name: "c", HasPrevID: true, Retained: true},
			}},
			200,
		},
		{
			"keep-alive", header("Grip-Hold", "stream", "Grip-Keep-Alive", `tick\n; format=cstring; timeout=2`),
			wire.Hold{Mode: wire.HoldStream, KeepAlive: &wire.KeepAlive{Content: []byte("tick\n"), Timeout: 2 * time.Second}},
			200,
		},
		{
			"keep-alive in base64", header("Grip-Hold", "stream", "Grip-Keep-Alive", `AAE=; format=base64; mode=interval`),
			wire.Hold{Mode: wire.HoldStream, KeepAlive: &wire.KeepAlive{Content: []byte{0, 1}, Timeout: 55 * time.Second, Interval: true}},
			200,
		},
		{
			"links", header("Grip-Hold", "stream", "Grip-Link", `</rel?channel=q1&after=4>; rel=next; timeout=5`, "Grip-Link", `</bye,bye>; rel=gone`),
			wire.Hold{Mode: wire.HoldStream, Next: "/rel?channel=q1&after=4", NextTimeout: 5 * time.Second, Gone: "/bye,bye"},
			200,
		},
		{"status", header("Grip-Status", "404 Nowhere"), wire.Hold{}, 404},
		{
			"meta", header("Grip-Hold", "response", "Grip-Set-Meta", `user=alice, x="1"`),
			wire.Hold{Mode: wire.HoldResponse, Meta: map[string]string{"user": "alice", "x": "1"}},
			200,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, r, err := wire.Instructions(&wire.Response{Status: 200, Header: c.header, Body: []byte("b")})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.hold, h); diff != "" {
				t.Error(diff)
			}
			if r.Status != c.status || string(r.Body) != "b" {
				t.Errorf("the client would get %d %q", r.Status, r.Body)
			}
			for k := range r.Header {
				if k[:min(5, len(k))] == "Grip-" {
					t.Errorf("the client would see %s", k)
				}
			}
		})
	}
}

func TestInstructionsExposeHeaders(t *testing.T) {
	_, r, err := wire.Instructions(&wire.Response{Status: 200, Header: header("X-A", "1", "X-B", "2", "Content-Type", "t", "Grip-Expose-Headers", "x-a")})
	if diff := cmp.Diff(header("X-A", "1", "Content-Type", "t"), r.Header); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestInstructionsInBody(t *testing.T) {
	// As grip.createHoldResponse writes it.
	const body = `{"hold":{"mode":"response","channels":[{"name":"p3","prevId":"1"},{"name":"p4","prev-id":"2","filters":["skip-self"]}],"timeout":1,"meta":{"user":"a"}},` +
		`"response":{"code":202,"headers":{"Content-Type":"text/plain","X-From":"instruct","Grip-X":"no"},"body":"instruct body\n"}}`
	h, r, err := wire.Instructions(&wire.Response{Status: 200, Header: header("Content-Type", "application/grip-instruct; charset=utf-8"), Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.Hold{
		Mode: wire.HoldResponse, Timeout: time.Second, Meta: map[string]string{"user": "a"},
		Channels: []wire.Channel{{Name: "p3", PrevID: "1", HasPrevID: true}, {Name: "p4", PrevID: "2", HasPrevID: true, Filters: []string{"skip-self"}}},
	}, h); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&wire.Response{Status: 202, Header: header("Content-Type", "text/plain", "X-From", "instruct"), Body: []byte("instruct body\n")}, r); diff != "" {
		t.Error(diff)
	}
}

func TestInstructionsWrong(t *testing.T) {
	instruct := header("Content-Type", wire.InstructType)
	for _, c := range []wire.Response{
		{Status: 200, Header: header("Grip-Hold", "forever")},
		{Status: 200, Header: header("Grip-Hold", "response", "Grip-Timeout", "soon")},
		{Status: 200, Header: header("Grip-Hold", "stream", "Grip-Keep-Alive", "x; timeout=0")},
		{Status: 200, Header: header("Grip-Hold", "stream", "Grip-Keep-Alive", "x; format=rot13")},
		{Status: 200, Header: header("Grip-Hold", "stream", "Grip-Keep-Alive", `\q; format=cstring`)},
		{Status: 200, Header: header("Grip-Hold", "stream", "Grip-Keep-Alive", "?; format=base64")},
		{Status: 200, Header: header("Grip-Hold", "stream", "Grip-Link", "/x; rel=next")},
		{Status: 200, Header: header("Grip-Status", "99")},
		{Status: 404, Header: instruct, Body: []byte(`{}`)},
		{Status: 200, Header: instruct, Body: []byte(`{`)},
		{Status: 200, Header: instruct, Body: []byte(`{"hold":{"mode":"x"}}`)},
		{Status: 200, Header: instruct, Body: []byte(`{"response":{"code":5}}`)},
		{Status: 200, Header: instruct, Body: []byte(`{"response":{"headers":5}}`)},
		{Status: 200, Header: instruct, Body: []byte(`{"response":{"headers":{"a b":"c"}}}`)},
		{Status: 200, Header: instruct, Body: []byte(`{"response":{"body-bin":"?"}}`)},
	} {
		if _, _, err := wire.Instructions(&c); !errors.Is(err, wire.ErrInstruct) {
			t.Errorf("%v %s: %v", c.Header, c.Body, err)
		}
	}
}

func TestControl(t *testing.T) {
	for _, c := range []struct {
		in   string
		want *wire.Control
	}{
		{`{"channel":"r1","type":"subscribe"}`, &wire.Control{Type: "subscribe", Channel: "r1"}},
		{`{"type":"subscribe","channel":"a","filters":["skip-self"]}`, &wire.Control{Type: "subscribe", Channel: "a", Filters: []string{"skip-self"}}},
		{`{"type":"detach"}`, &wire.Control{Type: "detach"}},
		{`{"type":"set-meta","name":"user","value":"a"}`, &wire.Control{Type: "set-meta", Name: "user", Value: "a"}},
		{`{"type":"keep-alive","content":"tick","timeout":2}`, &wire.Control{Type: "keep-alive", Kind: wire.EventText, Content: []byte("tick"), Timeout: 2 * time.Second}},
		{`{"type":"keep-alive","message-type":"binary","content-bin":"AA==","mode":"interval"}`, &wire.Control{Type: "keep-alive", Kind: wire.EventBinary, Content: []byte{0}, Interval: true}},
		{`{"type":"keep-alive"}`, &wire.Control{Type: "keep-alive", Kind: wire.EventText}},
		{`{"type":"sing"}`, nil},
		{`{"type":"subscribe"}`, nil},
		{`{"type":"set-meta"}`, nil},
		{`{"type":"keep-alive","message-type":"smoke"}`, nil},
		{`{"type":"keep-alive","content-bin":"?"}`, nil},
		{`[]`, nil},
		{`x`, nil},
	} {
		got, err := wire.ParseControl([]byte(c.in))
		if (c.want == nil) != (err != nil) {
			t.Errorf("%s: %v", c.in, err)
		} else if diff := cmp.Diff(c.want, got); c.want != nil && diff != "" {
			t.Errorf("%s: %s", c.in, diff)
		}
	}
}

func FuzzInstructions(f *testing.F) {
	f.Add("response", "a; prev-id=1; filter=x, b", `x\n; format=cstring; timeout=5`, `</a>; rel=next`, []byte(`{"hold":{}}`))
	f.Fuzz(func(t *testing.T, hold, channel, keepAlive, link string, body []byte) {
		for _, ct := range []string{"text/plain", wire.InstructType} {
			_, _, err := wire.Instructions(&wire.Response{Status: 200, Body: body, Header: http.Header{
				"Grip-Hold": {hold}, "Grip-Channel": {channel}, "Grip-Keep-Alive": {keepAlive}, "Grip-Link": {link}, "Content-Type": {ct},
			}})
			if err != nil && !errors.Is(err, wire.ErrInstruct) {
				t.Fatal(err)
			}
		}
		_, _ = wire.ParseControl(body)
	})
}
