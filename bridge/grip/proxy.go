package grip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// mostAnswer bounds the answer of a handler in bytes, as Pushpin does for GRIP and
// Lambda for everything.
const mostAnswer = 6 << 20

// originHandler asks an HTTP origin.
type originHandler struct{ client *http.Client }

// newOriginHandler makes one with a pool of connections.
func newOriginHandler() originHandler {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:        4096,
		MaxIdleConnsPerHost: 1024, // the default of 2 closes connections under load
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression:  true, // as of Pushpin: what is published is not compressed, so what it is added to must not be
	}
	return originHandler{&http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (o originHandler) close() { o.client.CloseIdleConnections() }

func (o originHandler) ask(ctx context.Context, route *Route, q *request) (*answer, error) {
	resp, err := o.send(ctx, route, q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost when closing what was read fails
	a := answerOf(resp)
	a.Body, err = readAnswer(resp.Body)
	return a, err
}

// readAnswer reads the body of an origin's answer. What is too large is an error: half of
// it would be taken for the whole.
func readAnswer(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, mostAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the origin's answer: %w", err)
	case len(body) > mostAnswer:
		return nil, fmt.Errorf("%w: it has more than %d bytes", errAnswer, mostAnswer)
	}
	return body, nil
}

// answerOf is a response without its body.
func answerOf(resp *http.Response) *answer {
	_, reason, _ := strings.Cut(resp.Status, " ")
	if reason == http.StatusText(resp.StatusCode) {
		reason = ""
	}
	a := &answer{Response: wire.Response{Status: resp.StatusCode, Reason: reason, Header: make(http.Header, len(resp.Header))}}
	for k, v := range resp.Header {
		switch {
		case strings.HasPrefix(k, "Set-Meta-"):
			for _, s := range v {
				a.meta = append(a.meta, wire.Param{Name: k[len("Set-Meta-"):], Value: s})
			}
		case k == "Connection", k == "Keep-Alive", k == "Transfer-Encoding", k == "Proxy-Connection", k == "Trailer", k == "Upgrade":
		default:
			a.Header[k] = v
		}
	}
	return a
}

// send makes the HTTP request.
func (o originHandler) send(ctx context.Context, route *Route, q *request) (*http.Response, error) {
	target := strings.TrimSuffix(route.URL, "/") + q.uri.RequestURI()
	req, err := http.NewRequestWithContext(ctx, q.method, target, bytes.NewReader(q.body))
	if err != nil {
		return nil, fmt.Errorf("cannot ask %q: %w", target, err)
	}
	req.Host = q.host
	maps.Copy(req.Header, q.header)
	for _, p := range q.extra {
		req.Header[p.Name] = []string{p.Value} // names keep their case
	}
	if req.Header["User-Agent"] == nil {
		req.Header["User-Agent"] = []string{""} // none, instead of Go's
	}
	if len(q.body) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
		if q.method == http.MethodPost {
			req.Header["Content-Length"] = []string{"0"}
		}
	}
	return o.client.Do(req)
}

// neverSent reports whether err says that a request did not reach the handler, so that
// it may be made again.
func neverSent(err error) bool {
	var op *net.OpError
	var outer *url.Error
	return errors.As(err, &outer) && errors.As(err, &op) && op.Op == "dial"
}
