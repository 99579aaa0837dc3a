package grip

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// publisher is who publishes.
type publisher struct {
	name  string
	addr  netip.AddrPort
	grant Grant
}

// mostPublish bounds the body of a publish in bytes.
const mostPublish = 16 << 20

// Where to look for the public key of Grip-Sig.
const jwkPath = "/.well-known/grip-jwk.json"

// isDoor reports whether a path is the door's own, and which part of it.
func (d *Door) isDoor(path string) (serve http.HandlerFunc, ok bool) {
	switch path {
	case d.options.Config.Path + "/publish", d.options.Config.Path + "/publish/":
		return d.servePublish, true
	case jwkPath:
		if doc := d.signer.jwk(); doc != nil {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/jwk+json")
				_, _ = w.Write(doc) // a client that has gone needs no answer
			}, true
		}
	}
	return nil, false
}

// servePublish takes POST /publish. The answers are Pushpin's, byte for byte; with
// "detail=1" in the query, or for a body of JSON, it also says who was reached.
func (d *Door) servePublish(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		respond(w, http.StatusMethodNotAllowed, "Method not allowed: "+r.Method+".")
		return
	}
	form := accepted(r.Header.Values("Accept"))
	if form == "" {
		respond(w, http.StatusNotAcceptable, "Not Acceptable. Supported formats are text/plain and application/json.")
		return
	}
	p, err := d.publisher(r)
	if err != nil {
		d.metrics.publishRefused.Inc()
		d.options.Log.Debug().Err(err).Str("remote", r.RemoteAddr).Msg("publish over HTTP refused")
		status, text := RefusalStatus(err), "Unauthorized: show a key, or a JWT signed with one, as Authorization: Bearer."
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", challenge)
		} else {
			text = http.StatusText(status) + "."
		}
		respond(w, status, text)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostPublish))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			respond(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", mostPublish))
		}
		return // the publisher has gone
	}
	items, err := wire.ParseItems(body)
	if err != nil {
		respond(w, http.StatusBadRequest, err.Error())
		return
	}
	for _, i := range items {
		if status, text := publishable(i, p.grant); status != 0 {
			d.metrics.publishRefused.Inc()
			respond(w, status, text)
			return
		}
	}
	result := d.publishAll(items, p)
	if result.err != nil {
		text := "Not published: " + result.err.Error()
		if len(items) > 1 {
			text = fmt.Sprintf("%d of %d items were not published: %v", result.failed, len(items), result.err)
		}
		respond(w, statusOf(result.err), text)
		return
	}
	w.Header().Set("Grip-Reached", strconv.Itoa(result.reached))
	if result.missed > 0 {
		w.Header().Set("Grip-Missed", strconv.Itoa(result.missed))
	}
	if form == typeJSON {
		answer := map[string]any{"message": "Published"}
		if r.URL.Query().Get("detail") != "" {
			answer["reached"], answer["missed"], answer["waiting"], answer["subscribers"] = result.reached, result.missed, result.waiting, result.subscribers
		}
		w.Header().Set("Content-Type", typeJSON)
		_, _ = w.Write(append(appendJSON(nil, answer), '\n')) // a client that has gone needs no answer
		return
	}
	respond(w, http.StatusOK, "Published")
}

// publishable says why an item may not be published.
func publishable(i *wire.Item, g Grant) (status int, text string) {
	if err := message.ValidateTopic(i.Channel); err != nil {
		return http.StatusBadRequest, "Invalid format: publish item object contains 'channel' with a name that cannot be published to: " + err.Error()
	}
	if g != nil && !g.MayPublish(i.Channel) {
		return http.StatusForbidden, fmt.Sprintf("Forbidden: not allowed to publish to %.200q.", i.Channel)
	}
	return 0, ""
}

// statusOf is the HTTP status for a message that the space did not take.
func statusOf(err error) int {
	var coded interface{ ReasonCode() byte }
	if !errors.As(err, &coded) {
		return http.StatusServiceUnavailable
	}
	switch coded.ReasonCode() { // MQTT 5, section 3.4.2.1
	case 0x87:
		return http.StatusForbidden
	case 0x90, 0x99:
		return http.StatusBadRequest
	case 0x95:
		return http.StatusRequestEntityTooLarge
	case 0x97:
		return http.StatusTooManyRequests
	default:
		return http.StatusServiceUnavailable
	}
}

func respond(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") //nolint:gosec // plain text; and a client that has gone needs no answer
}

const (
	typeText = "text/plain"
	typeJSON = "application/json"
)

// accepted picks the form of an answer: text, unless only JSON is acceptable or named.
func accepted(accept []string) string {
	if len(accept) == 0 {
		return typeText
	}
	best := ""
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		t, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || params["q"] == "0" {
			continue
		}
		switch t {
		case typeText, typeJSON:
			return t
		case "*/*", "text/*":
			best = typeText
		case "application/*":
			if best == "" {
				best = typeJSON
			}
		}
	}
	return best
}

// publisher authorises whoever sent a request.
func (d *Door) publisher(r *http.Request) (publisher, error) {
	p := publisher{}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		p.addr = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	var err error
	asks := d.options.Asks()
	p.grant, err = d.keys.authorize(r, time.Now(), asks)
	if err != nil && asks {
		p.grant, err = d.options.Authorize(r)
	}
	if err == nil {
		p.name = p.grant.Name()
	}
	return p, err
}

// published is what became of a publish.
type published struct {
	reached, missed, waiting, subscribers, failed int
	err                                           error // of the first that failed
}

// publishAll publishes items in their order: all of them, even if the publisher does not
// wait for the answer.
func (d *Door) publishAll(items []*wire.Item, p publisher) published {
	var sum published
	for _, i := range items {
		s := &sequenced{Item: i, from: p}
		sum.subscribers += d.options.Space.Subscribers(i.Channel)
		d.sequence.put(s, time.Now())
		d.metrics.published.Inc()
		// An item that waits for another is delivered by whoever brings that, perhaps
		// just now: it is not looked at any more.
		if !s.delivered.Load() {
			sum.waiting++
			continue
		}
		sum.reached += s.pub.reached
		sum.missed += s.pub.missed
		if s.err != nil {
			sum.failed++
			if sum.err == nil {
				sum.err = s.err
			}
		}
	}
	return sum
}

// deliverItem publishes an item into the space: as one message, to everybody who has
// subscribed, through the one fan-out. What holders need beside the payload waits for
// them under the message.
func (d *Door) deliverItem(s *sequenced) {
	m, plain := itemMessage(s.Item, s.from)
	s.pub.item = s.Item
	d.publications.Store(m, &s.pub)
	defer d.publications.Delete(m)
	if plain {
		s.err = d.options.Space.Publish(d.life, m)
	} else {
		s.err = d.options.Space.PublishLocal(m) // there is nothing in it for others
	}
	if s.err != nil {
		d.metrics.publishFailed.Inc()
		if !s.since.IsZero() { // its publisher has been told that it was taken
			d.log.Warn("item", "", s.err, "an item that had waited for the one before it was not published", "channel", s.Channel, "id", s.ID)
			return
		}
		d.options.Log.Debug().Err(s.err).Str("channel", s.Channel).Msg("an item was not published")
	}
}

// itemMessage is an item as MQTT subscribers and rules see it: the content for
// WebSockets, else that for streams, else the body of the response. plain tells an item
// that has none of these; it only asks for something to be done.
func itemMessage(i *wire.Item, p publisher) (m *message.Message, plain bool) {
	m = &message.Message{
		Topic: i.Channel, QoS: 1, Received: time.Now(),
		From: message.Origin{Principal: p.name, Addr: p.addr, Via: message.ViaHTTP},
	}
	switch {
	case i.WS != nil && i.WS.Action == wire.Send && (i.WS.Kind == wire.EventText || i.WS.Kind == wire.EventBinary):
		m.Payload, plain = i.WS.Content, true
		m.Props.Format = message.FormatBytes
		if i.WS.Kind == wire.EventText {
			m.Props.Format = message.FormatUTF8
		}
	case i.Stream != nil && i.Stream.Action == wire.Send:
		m.Payload, plain = i.Stream.Content, true
	case i.Response != nil && i.Response.Action == wire.Send && i.Response.Patch == nil:
		m.Payload, plain = i.Response.Body, true
		m.Props.ContentType = i.Response.Header.Get("Content-Type")
	}
	if !plain {
		return m, false
	}
	add := func(key, value string) {
		m.Props.User = append(m.Props.User, message.UserProperty{Key: key, Value: value})
	}
	if i.ID != "" {
		add(propID, i.ID)
	}
	if i.HasPrevID {
		add(propPrev, i.PrevID)
	}
	for _, k := range slices.Sorted(maps.Keys(i.Meta)) {
		add(propMeta+k, i.Meta[k])
	}
	return m, true
}

// publicationOf finds how a message was published; nil if not over the door.
func (d *Door) publicationOf(m *message.Message) *publication {
	if m.From.Via != message.ViaHTTP {
		return nil
	}
	v, ok := d.publications.Load(m)
	if !ok {
		return nil
	}
	p, _ := v.(*publication)
	return p
}
