package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
)

// Item is one message to publish, in the forms in which it reaches holders.
type Item struct {
	Channel string
	// ID names the message within its channel, PrevID the one before it; HasPrevID
	// tells an empty one from none.
	ID, PrevID string
	HasPrevID  bool
	Meta       map[string]string
	NoSeq      bool
	Response   *ItemResponse
	Stream     *ItemStream
	WS         *ItemWS
}

// Action is what a form asks to be done.
type Action string

// The actions.
const (
	Send    Action = "send"    // deliver the content
	Close   Action = "close"   // end the stream or the connection
	Hint    Action = "hint"    // holders ask their handler again
	Refresh Action = "refresh" // an empty request to the handler of each WebSocket
)

// ItemResponse is the form for held responses.
type ItemResponse struct {
	Action  Action
	Code    int // 0 = that of the held response
	Reason  string
	Header  http.Header
	Body    []byte
	Patch   json.RawMessage // JSON patch (RFC 6902) of the held response's body; nil = none
	Filters []string        // of the content
}

// ItemStream is the form for streams.
type ItemStream struct {
	Action  Action
	Content []byte
	Filters []string
}

// ItemWS is the form for WebSockets.
type ItemWS struct {
	Action  Action
	Kind    string // TEXT, BINARY, PING or PONG
	Content []byte
	Code    int // of a close; 0 = none
	Reason  string
	Filters []string
}

// FormatError says what is wrong with what is published, in Pushpin's words.
type FormatError struct{ text string }

// Error is the sentence that the publisher gets.
func (e *FormatError) Error() string { return e.text }

func invalid(format string, args ...any) error {
	return &FormatError{"Invalid format: " + fmt.Sprintf(format, args...)}
}

// ParseItems reads the body of a publish: {"items": [...]}. Its errors are FormatErrors.
func ParseItems(body []byte) ([]*Item, error) {
	if !json.Valid(body) || firstByte(body) != '{' && firstByte(body) != '[' {
		return nil, &FormatError{"Body is not valid JSON."}
	}
	var top object
	if json.Unmarshal(body, &top) != nil {
		return nil, &FormatError{"Invalid format."}
	}
	raw, ok := top["items"]
	if !ok {
		return nil, invalid("object does not contain 'items'")
	}
	var list []json.RawMessage
	if firstByte(raw) != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, invalid("object contains 'items' with wrong type")
	}
	items := make([]*Item, 0, len(list))
	for _, r := range list {
		i, err := parseItem(r)
		if err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, nil
}

func firstByte(b []byte) byte {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

// object is a JSON object whose values are looked at one by one.
type object map[string]json.RawMessage

// of is the object that raw is, if it is one.
func objectOf(raw json.RawMessage) (object, bool) {
	var o object
	if firstByte(raw) != '{' || json.Unmarshal(raw, &o) != nil {
		return nil, false
	}
	return o, true
}

// text reads a string. what is the holder's name in errors.
func (o object) text(what, key string) (s string, ok bool, err error) {
	raw, ok := o[key]
	if !ok {
		return "", false, nil
	}
	if firstByte(raw) != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false, invalid("%s contains '%s' with wrong type", what, key)
	}
	return s, true, nil
}

const itemName = "publish item object"

func parseItem(raw json.RawMessage) (*Item, error) {
	o, ok := objectOf(raw)
	if !ok {
		return nil, invalid("%s is not an object", itemName)
	}
	i := &Item{}
	var err error
	if i.Channel, ok, err = o.text(itemName, "channel"); err != nil {
		return nil, err
	} else if !ok {
		return nil, invalid("%s does not contain 'channel'", itemName)
	}
	if i.ID, _, err = o.text(itemName, "id"); err != nil {
		return nil, err
	}
	if i.PrevID, i.HasPrevID, err = o.text(itemName, "prev-id"); err != nil {
		return nil, err
	}
	if raw, ok := o["no-seq"]; ok && json.Unmarshal(raw, &i.NoSeq) != nil {
		return nil, invalid("%s contains 'no-seq' with wrong type", itemName)
	}
	if err := i.parseMeta(o); err != nil {
		return nil, err
	}
	formats := o
	if raw, ok := o["formats"]; ok {
		if formats, ok = objectOf(raw); !ok {
			return nil, invalid("%s contains 'formats' with wrong type", itemName)
		}
		if len(formats) == 0 {
			return nil, invalid("no formats specified")
		}
		return i, i.parseFormats(formats)
	}
	if err := i.parseFormats(formats); err != nil {
		return nil, err
	}
	if i.Response == nil && i.Stream == nil && i.WS == nil {
		return nil, invalid("no formats specified")
	}
	return i, nil
}

func (i *Item) parseMeta(o object) error {
	raw, ok := o["meta"]
	if !ok {
		return nil
	}
	m, ok := objectOf(raw)
	if !ok {
		return invalid("%s contains 'meta' with wrong type", itemName)
	}
	i.Meta = make(map[string]string, len(m))
	for k := range m {
		v, _, err := m.text("'meta'", k)
		if err != nil {
			return err
		}
		i.Meta[k] = v
	}
	return nil
}

func (i *Item) parseFormats(o object) error {
	for _, f := range [...]struct {
		name  string
		parse func(*Item, object) error
	}{{"http-response", (*Item).parseResponse}, {"http-stream", (*Item).parseStream}, {"ws-message", (*Item).parseWS}} {
		raw, ok := o[f.name]
		if !ok {
			continue
		}
		format, ok := objectOf(raw)
		if !ok {
			return invalid("'%s' is not an object", f.name)
		}
		if err := f.parse(i, format); err != nil {
			return err
		}
	}
	return nil
}

// action reads a form's action, one of allowed.
func (o object) action(what string, allowed ...Action) (Action, error) {
	s, ok, err := o.text(what, "action")
	if err != nil || !ok {
		return Send, err
	}
	for _, a := range allowed {
		if s == string(a) {
			return a, nil
		}
	}
	return "", invalid("%s contains 'action' with unknown value", what)
}

// content reads KEY or KEY-bin.
func (o object) content(what, key string) (b []byte, isText, ok bool, err error) {
	s, ok, err := o.text(what, key+"-bin")
	if err != nil {
		return nil, false, false, err
	}
	if ok {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, false, false, invalid("%s contains '%s-bin' that is not base64", what, key)
		}
		return b, false, true, nil
	}
	s, ok, err = o.text(what, key)
	return []byte(s), true, ok, err
}

func (o object) filters(what string) ([]string, error) {
	raw, ok := o["content-filters"]
	if !ok {
		return nil, nil
	}
	var list []string
	if firstByte(raw) != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, invalid("%s contains 'content-filters' with wrong type", what)
	}
	return list, nil
}

func (i *Item) parseResponse(o object) (err error) {
	const what = "'http-response'"
	r := &ItemResponse{}
	i.Response = r
	if r.Action, err = o.action(what, Send, Hint); err != nil {
		return err
	}
	if r.Filters, err = o.filters(what); err != nil || r.Action != Send {
		return err
	}
	if raw, ok := o["code"]; ok {
		if json.Unmarshal(raw, &r.Code) != nil || r.Code < 100 || r.Code > 999 {
			return invalid("%s contains 'code' with wrong type", what)
		}
	}
	if r.Reason, _, err = o.text(what, "reason"); err != nil {
		return err
	}
	if raw, ok := o["headers"]; ok {
		if c := firstByte(raw); c != '{' && c != '[' {
			return invalid("%s contains 'headers' with wrong type", what)
		}
		if r.Header, err = parseHeaders(raw); err != nil {
			return invalid("headers contains element with wrong type")
		}
	}
	body, _, ok, err := o.content(what, "body")
	if err != nil {
		return err
	}
	if r.Body = body; ok {
		return nil
	}
	raw, ok := o["body-patch"]
	switch {
	case !ok:
		return invalid("%s does not contain 'body', 'body-bin', or 'body-patch'", what)
	case firstByte(raw) != '[':
		return invalid("%s contains 'body-patch' with wrong type", what)
	}
	r.Body, r.Patch = nil, raw
	return nil
}

func (i *Item) parseStream(o object) (err error) {
	const what = "'http-stream'"
	s := &ItemStream{}
	i.Stream = s
	if s.Action, err = o.action(what, Send, Close, Hint); err != nil {
		return err
	}
	if s.Filters, err = o.filters(what); err != nil || s.Action != Send {
		return err
	}
	var ok bool
	if s.Content, _, ok, err = o.content(what, "content"); err == nil && !ok {
		err = invalid("%s does not contain 'content' or 'content-bin'", what)
	}
	return err
}

func (i *Item) parseWS(o object) (err error) {
	const what = "'ws-message'"
	w := &ItemWS{}
	i.WS = w
	if w.Action, err = o.action(what, Send, Close, Hint, Refresh); err != nil {
		return err
	}
	if w.Filters, err = o.filters(what); err != nil {
		return err
	}
	switch w.Action {
	case Close:
		if raw, ok := o["code"]; ok && (json.Unmarshal(raw, &w.Code) != nil || w.Code < 0 || w.Code > 4999) {
			return invalid("%s contains 'code' with wrong type", what)
		}
		w.Reason, _, err = o.text(what, "reason")
		return err
	case Hint, Refresh:
		return nil
	default:
	}
	kind, _, err := o.text(what, "type")
	if err != nil {
		return err
	}
	content, isText, ok, err := o.content(what, "content")
	if err != nil {
		return err
	}
	w.Content = content
	switch kind {
	case "":
		if w.Kind = EventBinary; isText {
			w.Kind = EventText
		}
	case "text":
		w.Kind = EventText
	case "binary":
		w.Kind = EventBinary
	case "ping":
		w.Kind = EventPing
	case "pong":
		w.Kind = EventPong
	default:
		return invalid("%s contains 'type' with unknown value", what)
	}
	if !ok && w.Kind != EventPing && w.Kind != EventPong {
		return invalid("%s does not contain 'content' or 'content-bin'", what)
	}
	return nil
}
