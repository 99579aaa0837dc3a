package wire_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// What Pushpin answers to what is wrong, word for word.
var wrongItems = []struct{ body, want string }{
	{``, "Body is not valid JSON."},
	{`5`, "Body is not valid JSON."},
	{`{`, "Body is not valid JSON."},
	{`[]`, "Invalid format."},
	{`{"channel":"a","http-stream":{"content":"x"}}`, "Invalid format: object does not contain 'items'"},
	{`{"items":5}`, "Invalid format: object contains 'items' with wrong type"},
	{`{"items":[5]}`, "Invalid format: publish item object is not an object"},
	{`{"items":[{}]}`, "Invalid format: publish item object does not contain 'channel'"},
	{`{"items":[{"channel":5}]}`, "Invalid format: publish item object contains 'channel' with wrong type"},
	{`{"items":[{"channel":"a"}]}`, "Invalid format: no formats specified"},
	{`{"items":[{"channel":"a","formats":{}}]}`, "Invalid format: no formats specified"},
	{`{"items":[{"channel":"a","formats":5}]}`, "Invalid format: publish item object contains 'formats' with wrong type"},
	{`{"items":[{"channel":"a","id":5,"http-stream":{"content":"x"}}]}`, "Invalid format: publish item object contains 'id' with wrong type"},
	{`{"items":[{"channel":"a","prev-id":5,"http-stream":{"content":"x"}}]}`, "Invalid format: publish item object contains 'prev-id' with wrong type"},
	{`{"items":[{"channel":"a","meta":5,"http-stream":{"content":"x"}}]}`, "Invalid format: publish item object contains 'meta' with wrong type"},
	{`{"items":[{"channel":"a","meta":{"a":5},"http-stream":{"content":"x"}}]}`, "Invalid format: 'meta' contains 'a' with wrong type"},
	{`{"items":[{"channel":"a","ws-message":5}]}`, "Invalid format: 'ws-message' is not an object"},
	{`{"items":[{"channel":"a","ws-message":{}}]}`, "Invalid format: 'ws-message' does not contain 'content' or 'content-bin'"},
	{`{"items":[{"channel":"a","formats":{"ws-message":{"content":5}}}]}`, "Invalid format: 'ws-message' contains 'content' with wrong type"},
	{`{"items":[{"channel":"a","ws-message":{"content":"x","type":"foo"}}]}`, "Invalid format: 'ws-message' contains 'type' with unknown value"},
	{`{"items":[{"channel":"a","http-stream":{}}]}`, "Invalid format: 'http-stream' does not contain 'content' or 'content-bin'"},
	{`{"items":[{"channel":"a","http-stream":{"content":"x","content-filters":5}}]}`, "Invalid format: 'http-stream' contains 'content-filters' with wrong type"},
	{`{"items":[{"channel":"a","http-response":{}}]}`, "Invalid format: 'http-response' does not contain 'body', 'body-bin', or 'body-patch'"},
	{`{"items":[{"channel":"a","http-response":{"body":5}}]}`, "Invalid format: 'http-response' contains 'body' with wrong type"},
	{`{"items":[{"channel":"a","http-response":{"headers":5,"body":"x"}}]}`, "Invalid format: 'http-response' contains 'headers' with wrong type"},
	{`{"items":[{"channel":"a","http-response":{"headers":[5],"body":"x"}}]}`, "Invalid format: headers contains element with wrong type"},
	{`{"items":[{"channel":"a","http-response":{"reason":5,"body":"x"}}]}`, "Invalid format: 'http-response' contains 'reason' with wrong type"},
	{`{"items":[{"channel":"a","http-response":{"body-patch":5}}]}`, "Invalid format: 'http-response' contains 'body-patch' with wrong type"},
	// Pushpin takes these, or has no words for them.
	{`{"items":[{"channel":"a","ws-message":{"content-bin":"@@"}}]}`, "Invalid format: 'ws-message' contains 'content-bin' that is not base64"},
	{`{"items":[{"channel":"a","ws-message":{"action":"foo"}}]}`, "Invalid format: 'ws-message' contains 'action' with unknown value"},
	{`{"items":[{"channel":"a","http-response":{"code":"x","body":"a"}}]}`, "Invalid format: 'http-response' contains 'code' with wrong type"},
}

func TestItemsWrong(t *testing.T) {
	for _, c := range wrongItems {
		_, err := wire.ParseItems([]byte(c.body))
		if _, ok := errors.AsType[*wire.FormatError](err); !ok || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.body, err, c.want)
		}
	}
}

func TestItems(t *testing.T) {
	const inFormats = `{"items":[{"channel":"c1","id":"2","prev-id":"1","meta":{"sender":"alice"},"formats":{
		"http-response":{"code":201,"reason":"Made","headers":{"x":"1"},"body":"r"},
		"http-stream":{"content":"s"},"ws-message":{"content":"w"}}}]}`
	const inItem = `{"items":[{"channel":"c1","id":"2","prev-id":"1","meta":{"sender":"alice"},
		"http-response":{"code":201,"reason":"Made","headers":[["X","1"]],"body-bin":"cg=="},
		"http-stream":{"content-bin":"cw=="},"ws-message":{"type":"text","content-bin":"dw=="}}]}`
	want := &wire.Item{
		Channel: "c1", ID: "2", PrevID: "1", HasPrevID: true, Meta: map[string]string{"sender": "alice"},
		Response: &wire.ItemResponse{Action: wire.Send, Code: 201, Reason: "Made", Header: http.Header{"X": {"1"}}, Body: []byte("r")},
		Stream:   &wire.ItemStream{Action: wire.Send, Content: []byte("s")},
		WS:       &wire.ItemWS{Action: wire.Send, Kind: wire.EventText, Content: []byte("w")},
	}
	for _, body := range []string{inFormats, inItem} {
		items, err := wire.ParseItems([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]*wire.Item{want}, items); diff != "" {
			t.Error(diff)
		}
	}
	items, err := wire.ParseItems([]byte(`{"items":[{"channel":"a","ws-message":{"action":"close","code":4001,"reason":"x"}},
		{"channel":"a","ws-message":{"content-bin":"AA=="}},{"channel":"a","http-stream":{"action":"close"}},
		{"channel":"a","http-response":{"action":"hint"}},{"channel":"a","formats":{"unknown":{}}},{"channel":"a","ws-message":{"action":"refresh"}}]}`))
	if err != nil || len(items) != 6 {
		t.Fatal(items, err)
	}
	if ws := items[0].WS; ws.Action != wire.Close || ws.Code != 4001 || ws.Reason != "x" {
		t.Errorf("%+v", ws)
	}
	if ws := items[1].WS; ws.Kind != wire.EventBinary || string(ws.Content) != "\x00" {
		t.Errorf("%+v", ws)
	}
}

func FuzzItems(f *testing.F) {
	for _, c := range wrongItems {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := wire.ParseItems(b)
		if _, ok := errors.AsType[*wire.FormatError](err); err != nil && !ok {
			t.Fatal(err)
		}
	})
}

func TestPatch(t *testing.T) {
	for _, c := range []struct{ doc, patch, want string }{
		{`{"a":1}`, `[{"op":"add","path":"/b","value":[1]}]`, `{"a":1,"b":[1]}`},
		{`{"a":[1,3]}`, `[{"op":"add","path":"/a/1","value":2},{"op":"add","path":"/a/-","value":4}]`, `{"a":[1,2,3,4]}`},
		{`{"a":1,"b":2}`, `[{"op":"remove","path":"/a"}]`, `{"b":2}`},
		{`{"a":{"b":1}}`, `[{"op":"replace","path":"/a/b","value":"x"}]`, `{"a":{"b":"x"}}`},
		{`{"a":{"b":1}}`, `[{"op":"move","from":"/a/b","path":"/c"}]`, `{"a":{},"c":1}`},
		{`{"a":[1]}`, `[{"op":"copy","from":"/a","path":"/b"},{"op":"add","path":"/b/-","value":2}]`, `{"a":[1],"b":[1,2]}`},
		{`{"a/b":1,"c~d":2}`, `[{"op":"test","path":"/a~1b","value":1},{"op":"remove","path":"/c~0d"}]`, `{"a/b":1}`},
		{`{"a":1}`, `[{"op":"replace","path":"/b","value":1}]`, ""},
		{`{"a":1}`, `[{"op":"test","path":"/a","value":2}]`, ""},
		{`{"a":[1]}`, `[{"op":"remove","path":"/a/5"}]`, ""},
		{`no`, `[]`, ""},
		{`{}`, `[{"op":"sing"}]`, ""},
	} {
		got, err := wire.Patch([]byte(c.doc), []byte(c.patch))
		if string(got) != c.want || (c.want == "") != errors.Is(err, wire.ErrPatch) {
			t.Errorf("%s with %s: %s, %v", c.doc, c.patch, got, err)
		}
	}
}
