package grip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// exchange is one HTTP request of a client and what becomes of it.
type exchange struct {
	d     *Door
	route *Route
	ask   handler
	grant Grant
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context // of the request, and of the door
	base  *request
	body  []byte
	from  uint64 // the point in the window at which the handler was first asked
	tries int    // how often it has been asked
}

// mostTries bounds how often one request is put to its handler because a channel has
// moved on or a publisher asks for it.
const mostTries = 10

// serveHTTP asks the handler about an ordinary request, and holds it if it says so.
func (g gripHandler) serveHTTP(w http.ResponseWriter, r *http.Request, route *Route, grant Grant) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostAnswer))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			http.Error(w, fmt.Sprintf("The body is larger than %d bytes.", mostAnswer), http.StatusRequestEntityTooLarge)
		}
		return // the client has gone
	}
	ctx, cancel := g.d.during(r)
	defer cancel()
	x := &exchange{d: g.d, route: route, ask: g.ask, grant: grant, w: w, r: r, ctx: ctx, base: newRequest(r, route), body: body}
	x.from = g.d.window.open()
	a, err := x.first()
	switch {
	case err != nil:
		g.d.window.close()
		x.failed(err)
	case a != nil:
		x.answer(a)
	}
}

// first asks the handler for the first time. An origin's ordinary answer goes straight
// to the client, however long it is; the answer is nil then, and the window closed.
func (x *exchange) first() (*answer, error) {
	x.tries++
	q := x.base.with(x.extra(nil), x.body)
	origin, ok := x.ask.(originHandler)
	if !ok {
		return x.ask.ask(x.ctx, x.route, q)
	}
	resp, err := origin.send(x.ctx, x.route, q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost when closing what was read fails
	a := answerOf(resp)
	if !instructs(a) {
		x.d.metrics.requests.WithLabelValues("http", "ok").Inc()
		x.d.window.close()
		writeHead(x.w, &a.Response, resp.ContentLength)
		x.copy(resp.Body)
		return nil, nil //nolint:nilnil // it has been answered
	}
	a.Body, err = readAnswer(resp.Body)
	return a, err
}

// instructs reports whether there may be instructions in an answer.
func instructs(a *answer) bool {
	for k := range a.Header {
		if strings.HasPrefix(k, "Grip-") {
			return true
		}
	}
	t, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(t), wire.InstructType)
}

// copy hands an origin's body on as it comes.
func (x *exchange) copy(body io.Reader) {
	rc := http.NewResponseController(x.w)
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, werr := x.w.Write(buf[:n]); werr != nil {
				return
			}
			_ = rc.Flush() // what cannot flush need not
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				panic(http.ErrAbortHandler) // the client must not take what it has for the whole
			}
			return
		}
	}
}

// extra are the headers of a request beside the client's.
func (x *exchange) extra(last []string) []wire.Param {
	list := []wire.Param{
		{Name: "Grip-Sig", Value: x.d.signer.sign(time.Now())},
		{Name: "Grip-Feature", Value: features},
	}
	if len(last) > 0 {
		list = append(list, wire.Param{Name: "Grip-Last", Value: strings.Join(last, ", ")})
	}
	return list
}

// again puts the request to the handler once more. last names channels and the ids that
// the client has seen.
func (x *exchange) again(ctx context.Context, last []string) (*answer, error) {
	x.tries++
	return x.ask.ask(ctx, x.route, x.base.with(x.extra(last), x.body))
}

// answer does what the handler's answer says. It closes the window.
func (x *exchange) answer(a *answer) {
	hold, out, err := wire.Instructions(&a.Response)
	if err != nil {
		x.d.window.close()
		x.failed(err)
		return
	}
	x.d.metrics.requests.WithLabelValues("http", "ok").Inc()
	switch hold.Mode {
	case wire.HoldResponse:
		x.poll(hold, out)
	case wire.HoldStream:
		x.d.window.close()
		x.stream(hold, out)
	default:
		x.d.window.close()
		writeResponse(x.w, out)
	}
}

// failed tells the client that there is no answer for it.
func (x *exchange) failed(err error) {
	outcome := "failed"
	if errors.Is(err, wire.ErrInstruct) || errors.Is(err, errAnswer) {
		outcome = "bad"
	}
	x.d.metrics.requests.WithLabelValues("http", outcome).Inc()
	if x.r.Context().Err() != nil {
		return // the client has gone
	}
	x.d.log.Warn("http", "", err, "a request was not answered: its handler failed", "path", x.route.Path, "function", x.route.Function)
	writeFailure(x.w, err)
}

// writeHead writes status and headers. length is that of the body; -1 = not known.
func writeHead(w http.ResponseWriter, r *wire.Response, length int64) {
	h := w.Header()
	for k, v := range r.Header {
		switch k {
		case "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Upgrade", "Proxy-Connection", "Trailer":
		default:
			h[k] = v
		}
	}
	if length >= 0 && bodyAllowed(r.Status) {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	w.WriteHeader(r.Status)
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// writeResponse writes a whole response.
func writeResponse(w http.ResponseWriter, r *wire.Response) {
	if r.Status < 200 {
		r.Status = http.StatusBadGateway // an interim answer is none
	}
	writeHead(w, r, int64(len(r.Body)))
	if bodyAllowed(r.Status) {
		_, _ = w.Write(r.Body) // a client that has gone needs no answer
	}
}

// bindings binds the channels of a hold. A channel that cannot be bound fails the hold:
// a client that waits for it would wait in vain.
func (x *exchange) bindings(hold *wire.Hold) ([]binding, error) {
	list := make([]binding, 0, len(hold.Channels))
	for _, c := range hold.Channels {
		b, err := x.d.bind(x.route, x.grant, c, len(list))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", wire.ErrInstruct, err)
		}
		list = append(list, b)
	}
	return list, nil
}

// behind are the channels that have moved on since the client's last id, as Grip-Last
// names them.
func (x *exchange) behind(list []binding) []string {
	var last []string
	for _, b := range list {
		if !b.HasPrevID || x.inHistory(b) {
			continue
		}
		if now, known := x.d.sequence.last(b.topic); known && now != b.last {
			last = append(last, b.Name+"; last-id="+b.last)
		}
	}
	return last
}

// inHistory reports whether what a client has missed of a channel can be had from the
// history.
func (x *exchange) inHistory(b binding) bool {
	if !x.d.history.keeps(b.topic) {
		return false
	}
	_, ok := parseSeq(b.PrevID)
	return ok
}

// mayReceive reports whether the client may have the messages of a topic: what is not
// delivered by the space, which asks by itself, has to be asked about.
func (x *exchange) mayReceive(topic string) bool {
	return x.grant == nil || x.grant.MayReceive(topic)
}

// lastSeen is the place in the history from which a client goes on: what it says
// itself, as EventSource does, or the handler for it. ok is false if it is new, or if
// none of its channels has a history.
func (x *exchange) lastSeen(list []binding) (seq uint64, ok bool) {
	if len(x.keptTopics(list)) == 0 {
		return 0, false
	}
	if seq, ok := parseSeq(x.r.Header.Get("Last-Event-ID")); ok {
		return seq, true
	}
	for _, b := range list {
		if n, numeric := parseSeq(b.PrevID); b.HasPrevID && numeric && x.d.history.keeps(b.topic) && (!ok || n < seq) {
			seq, ok = n, true
		}
	}
	return seq, ok
}

// keptTopics are the channels' topics that have a history.
func (x *exchange) keptTopics(list []binding) []string {
	var topics []string
	for _, b := range list {
		if x.d.history.keeps(b.topic) {
			topics = append(topics, b.topic)
		}
	}
	return topics
}
