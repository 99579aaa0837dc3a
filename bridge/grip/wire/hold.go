package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// InstructType is the type of a body of instructions.
const InstructType = "application/grip-instruct"

// Response is an HTTP response: of a function, or for a client.
type Response struct {
	Status int
	// Reason is the reason phrase; empty = the usual one.
	Reason string
	// Header has canonical names.
	Header http.Header
	Body   []byte
}

// Mode says how a request is held.
type Mode string

// The modes.
const (
	NoHold       Mode = ""
	HoldResponse Mode = "response" // nothing is sent until something is published
	HoldStream   Mode = "stream"   // everything that is published is appended
)

// Channel is a channel that a holder is bound to.
type Channel struct {
	Name string
	// PrevID is the id of the last message that the holder has seen; HasPrevID tells an
	// empty one from none.
	PrevID    string
	HasPrevID bool
	Filters   []string
	// Retained asks for the retained messages too. It is ours, not GRIP's.
	Retained bool
}

// KeepAlive is what is sent to a holder when nothing else is.
type KeepAlive struct {
	Content  []byte
	Timeout  time.Duration
	Interval bool // whether or not something else was sent
}

// Hold are the instructions in a response.
type Hold struct {
	Mode     Mode
	Channels []Channel
	// Timeout of a held response; 0 = none was given.
	Timeout   time.Duration
	KeepAlive *KeepAlive
	Meta      map[string]string
	// Next is where a stream goes on after NextTimeout of silence or when a message is
	// missing; empty = nowhere. Gone is told when the client leaves.
	Next        string
	NextTimeout time.Duration
	Gone        string
}

// The time limits when none are given.
const (
	DefaultTimeout     = 55 * time.Second
	DefaultKeepAlive   = 55 * time.Second
	DefaultNextTimeout = 120 * time.Second
	leastTimeout       = time.Second
)

// ErrInstruct says that the instructions in a response make no sense.
var ErrInstruct = errors.New("bad GRIP instructions")

func instructError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInstruct, fmt.Sprintf(format, args...))
}

// Instructions takes the instructions out of a response. It returns them and what is
// for the client; a response without instructions has the mode NoHold. Errors wrap
// ErrInstruct.
func Instructions(r *Response) (*Hold, *Response, error) {
	h := &Hold{}
	out := &Response{Status: r.Status, Reason: r.Reason, Header: http.Header{}, Body: r.Body}
	for k, v := range r.Header {
		if !strings.HasPrefix(k, "Grip-") {
			out.Header[k] = v
		}
	}
	if err := h.fromHeader(r.Header, out); err != nil {
		return nil, nil, err
	}
	if mediaType(r.Header.Get("Content-Type")) == InstructType {
		if r.Status != http.StatusOK {
			return nil, nil, instructError("a response of type %s has the status %d: it must be 200", InstructType, r.Status)
		}
		if err := h.fromBody(r.Body, out); err != nil {
			return nil, nil, err
		}
	}
	if h.Mode != NoHold && len(h.Channels) == 0 && h.Mode == HoldResponse {
		return h, out, nil // held until its timeout
	}
	return h, out, nil
}

// fromHeader reads the Grip-* headers.
func (h *Hold) fromHeader(in http.Header, out *Response) error {
	switch mode := strings.TrimSpace(in.Get("Grip-Hold")); mode {
	case "":
	case string(HoldResponse), string(HoldStream):
		h.Mode = Mode(mode)
	default:
		return instructError("Grip-Hold is %.50q: it must be response or stream", mode)
	}
	for _, e := range splitHeader(in["Grip-Channel"]) {
		c := Channel{Name: e.value, PrevID: e.get("prev-id"), HasPrevID: e.has("prev-id"), Retained: e.has("retained")}
		for _, p := range e.params {
			if p.Name == "filter" {
				c.Filters = append(c.Filters, p.Value)
			}
		}
		h.Channels = append(h.Channels, c)
	}
	if s := strings.TrimSpace(in.Get("Grip-Timeout")); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return instructError("Grip-Timeout is %.50q: it must be a number of seconds", s)
		}
		h.Timeout = max(seconds(float64(n)), leastTimeout)
	}
	if s := in.Get("Grip-Keep-Alive"); s != "" {
		k, err := parseKeepAlive(s)
		if err != nil {
			return err
		}
		h.KeepAlive = k
	}
	if err := h.links(in["Grip-Link"]); err != nil {
		return err
	}
	h.setMeta(in["Grip-Set-Meta"])
	if s := strings.TrimSpace(in.Get("Grip-Status")); s != "" {
		code, reason, _ := strings.Cut(s, " ")
		n, err := strconv.Atoi(code)
		if err != nil || n < 200 || n > 599 {
			return instructError("Grip-Status is %.50q: it must begin with a status from 200 to 599", s)
		}
		out.Status, out.Reason = n, reason
	}
	expose(in["Grip-Expose-Headers"], out)
	return nil
}

func (h *Hold) setMeta(lines []string) {
	for _, line := range lines {
		for _, e := range splitOutside(line, ',') {
			name, value, ok := strings.Cut(e, "=")
			if name = strings.TrimSpace(name); !ok || name == "" {
				continue
			}
			if h.Meta == nil {
				h.Meta = make(map[string]string)
			}
			h.Meta[name] = unquote(strings.TrimSpace(value))
		}
	}
}

func (h *Hold) links(lines []string) error {
	for _, e := range splitHeader(lines) {
		uri, ok := strings.CutPrefix(e.value, "<")
		uri, closed := strings.CutSuffix(uri, ">")
		if !ok || !closed {
			return instructError("Grip-Link is %.100q: it must be <URI>; rel=next or rel=gone", e.value)
		}
		switch e.get("rel") {
		case "next":
			h.Next, h.NextTimeout = uri, DefaultNextTimeout
			if s := e.get("timeout"); s != "" {
				n, err := strconv.Atoi(s)
				if err != nil || n < 0 {
					return instructError("the timeout of Grip-Link is %.50q: it must be a number of seconds", s)
				}
				h.NextTimeout = max(seconds(float64(n)), leastTimeout)
			}
		case "gone":
			h.Gone = uri
		}
	}
	return nil
}

// expose keeps of the client's headers only the listed ones, if there is a list.
func expose(lines []string, out *Response) {
	if len(lines) == 0 {
		return
	}
	kept := http.Header{}
	for _, e := range splitHeader(lines) {
		k := http.CanonicalHeaderKey(e.value)
		if v, ok := out.Header[k]; ok {
			kept[k] = v
		}
	}
	if v, ok := out.Header["Content-Type"]; ok {
		kept["Content-Type"] = v // or the client would not know what it gets
	}
	out.Header = kept
}

// parseKeepAlive reads DATA; format=raw|cstring|base64; timeout=S; mode=idle|interval.
func parseKeepAlive(s string) (*KeepAlive, error) {
	e := parseElement(s)
	k := &KeepAlive{Timeout: DefaultKeepAlive}
	switch format := e.get("format"); format {
	case "", "raw":
		k.Content = []byte(e.value)
	case "cstring":
		text, ok := unescape(e.value)
		if !ok {
			return nil, instructError("Grip-Keep-Alive is %.100q: use the escapes \\\\ \\r \\n \\t \\xHH", e.value)
		}
		k.Content = []byte(text)
	case "base64":
		b, err := base64.StdEncoding.DecodeString(e.value)
		if err != nil {
			return nil, instructError("Grip-Keep-Alive is no base64")
		}
		k.Content = b
	default:
		return nil, instructError("the format of Grip-Keep-Alive is %.50q: it must be raw, cstring or base64", format)
	}
	if s := e.get("timeout"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, instructError("the timeout of Grip-Keep-Alive is %.50q: it must be a number of seconds from 1", s)
		}
		k.Timeout = seconds(float64(n))
	}
	switch mode := e.get("mode"); mode {
	case "", "idle":
	case "interval":
		k.Interval = true
	default:
		return nil, instructError("the mode of Grip-Keep-Alive is %.50q: it must be idle or interval", mode)
	}
	return k, nil
}

func mediaType(s string) string {
	t, _, _ := strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// IsEvents reports whether a Content-Type is that of WebSocket events.
func IsEvents(contentType string) bool { return mediaType(contentType) == ContentType }

// instruct is the body of type application/grip-instruct.
type instruct struct {
	Hold *struct {
		Mode     string `json:"mode"`
		Channels []struct {
			Name    string   `json:"name"`
			PrevID  *string  `json:"prev-id"`
			PrevID2 *string  `json:"prevId"` // as npm grip writes it
			Filters []string `json:"filters"`
			Retain  bool     `json:"retained"`
		} `json:"channels"`
		Timeout   *float64 `json:"timeout"`
		KeepAlive *struct {
			Content    *string  `json:"content"`
			ContentBin *string  `json:"content-bin"`
			Timeout    *float64 `json:"timeout"`
			Mode       string   `json:"mode"`
		} `json:"keep-alive"`
		Meta map[string]string `json:"meta"`
	} `json:"hold"`
	Response *struct {
		Code    *int            `json:"code"`
		Reason  string          `json:"reason"`
		Headers json.RawMessage `json:"headers"`
		Body    *string         `json:"body"`
		BodyBin *string         `json:"body-bin"`
	} `json:"response"`
}

func (h *Hold) fromBody(body []byte, out *Response) error {
	var doc instruct
	if err := json.Unmarshal(body, &doc); err != nil {
		return instructError("the body of type %s is no JSON of the right form: %v", InstructType, err)
	}
	if doc.Hold != nil {
		if err := h.fromInstruct(&doc); err != nil {
			return err
		}
	}
	delete(out.Header, "Content-Type")
	delete(out.Header, "Content-Length")
	out.Body = nil
	r := doc.Response
	if r == nil {
		return nil
	}
	if r.Code != nil {
		if *r.Code < 200 || *r.Code > 599 {
			return instructError("the response's code is %d: it must be from 200 to 599", *r.Code)
		}
		out.Status = *r.Code
	}
	out.Reason = r.Reason
	headers, err := parseHeaders(r.Headers)
	if err != nil {
		return instructError("the response's headers: %v", err)
	}
	for k, v := range headers {
		if !strings.HasPrefix(k, "Grip-") {
			out.Header[k] = v
		}
	}
	switch {
	case r.BodyBin != nil:
		b, err := base64.StdEncoding.DecodeString(*r.BodyBin)
		if err != nil {
			return instructError("the response's body-bin is no base64")
		}
		out.Body = b
	case r.Body != nil:
		out.Body = []byte(*r.Body)
	}
	return nil
}

func (h *Hold) fromInstruct(doc *instruct) error {
	in := doc.Hold
	switch in.Mode {
	case "", string(HoldResponse):
		h.Mode = HoldResponse
	case string(HoldStream):
		h.Mode = HoldStream
	default:
		return instructError("the hold's mode is %.50q: it must be response or stream", in.Mode)
	}
	for _, c := range in.Channels {
		if c.PrevID == nil {
			c.PrevID = c.PrevID2
		}
		ch := Channel{Name: c.Name, Filters: c.Filters, Retained: c.Retain}
		if c.PrevID != nil {
			ch.PrevID, ch.HasPrevID = *c.PrevID, true
		}
		h.Channels = append(h.Channels, ch)
	}
	if in.Timeout != nil {
		h.Timeout = max(seconds(*in.Timeout), leastTimeout)
	}
	if k := in.KeepAlive; k != nil {
		h.KeepAlive = &KeepAlive{Timeout: DefaultKeepAlive, Interval: k.Mode == "interval"}
		if k.Timeout != nil {
			h.KeepAlive.Timeout = max(seconds(*k.Timeout), leastTimeout)
		}
		switch {
		case k.ContentBin != nil:
			b, err := base64.StdEncoding.DecodeString(*k.ContentBin)
			if err != nil {
				return instructError("the keep-alive's content-bin is no base64")
			}
			h.KeepAlive.Content = b
		case k.Content != nil:
			h.KeepAlive.Content = []byte(*k.Content)
		}
	}
	for k, v := range in.Meta {
		if h.Meta == nil {
			h.Meta = make(map[string]string)
		}
		h.Meta[k] = v
	}
	return nil
}

// parseHeaders reads headers as an object or as a list of pairs.
func parseHeaders(raw json.RawMessage) (http.Header, error) {
	h := http.Header{}
	if len(raw) == 0 || string(raw) == "null" {
		return h, nil
	}
	var object map[string]string
	if json.Unmarshal(raw, &object) == nil {
		for k, v := range object {
			if err := addHeader(h, k, v); err != nil {
				return nil, err
			}
		}
		return h, nil
	}
	var pairs [][2]string
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, errHeadersType
	}
	for _, p := range pairs {
		if err := addHeader(h, p[0], p[1]); err != nil {
			return nil, err
		}
	}
	return h, nil
}

var (
	errHeadersType = errors.New("they are neither an object nor a list of pairs")
	errHeaderText  = errors.New("a name or a value has characters that HTTP cannot carry")
)

func addHeader(h http.Header, name, value string) error {
	if !validHeader(name, value) {
		return errHeaderText
	}
	h.Add(name, value)
	return nil
}

func validHeader(name, value string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
