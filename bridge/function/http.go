package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Poster sends events to HTTP endpoints and shares one pool of connections among
// them. It is safe for concurrent use.
type Poster struct {
	client *http.Client
}

// NewPoster returns a Poster with an idle pool large enough for the concurrency that
// functions may be given.
func NewPoster() *Poster {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          4096,
		MaxIdleConnsPerHost:   maxConcurrency, // the default of 2 closes connections under load
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	return &Poster{client: &http.Client{
		Transport: &plainTransport{other: t, idleN: t.MaxIdleConnsPerHost, idleT: t.IdleConnTimeout, peek: alive()},
		// A redirected POST may turn into a GET without the event. It is a failure
		// that names the status instead.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes the idle connections.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

// Post sends body to url and returns the answer's body. Any status but 2xx is a
// [StatusError], or a [ThrottledError] for 429. Content-Type is application/json for
// a body that is JSON and application/octet-stream for any other, unless header says
// otherwise. The call that ctx carries travels in X-Topicwire-* headers.
func (p *Poster) Post(ctx context.Context, url string, header http.Header, body []byte) ([]byte, error) {
	return p.post(ctx, url, header, body, nil)
}

func (p *Poster) post(ctx context.Context, url string, header http.Header, body []byte, prepare func(*http.Request) error) ([]byte, error) {
	a, err := p.send(ctx, url, header, body, prepare)
	switch {
	case a == nil:
		return nil, err
	case a.status == http.StatusTooManyRequests:
		return nil, &ThrottledError{RetryAfter: a.retryAfter()}
	case a.status < 200 || a.status > 299:
		return nil, &StatusError{Status: a.status, Message: excerpt(a.body), RetryAfter: a.retryAfter()}
	case err != nil:
		return nil, fmt.Errorf("POST %s: %w", url, err)
	}
	return a.body, nil
}

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) retryAfter() time.Duration {
	return parseRetryAfter(a.header.Get("Retry-After"), time.Now())
}

// send makes the request and reads its answer, which is nil if there was none; an error
// beside one says that it could not be read. prepare, if not nil, has the last word on
// the request.
func (p *Poster) send(ctx context.Context, url string, header http.Header, body []byte, prepare func(*http.Request) error) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("cannot call %q: %w", url, err)
	}
	call := CallFrom(ctx)
	setCallHeaders(req.Header, call)
	for k, v := range header {
		if k == "Host" {
			req.Host = v[0]
		}
		req.Header[k] = v
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", contentType(body))
	}
	if prepare != nil {
		if err := prepare(req); err != nil {
			return nil, err
		}
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err // a *url.Error, which names method and URL
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost when closing what was read fails
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if call.Stream != nil && resp.StatusCode/100 == 2 && streamed(resp) {
		return a, readStream(resp, call.Stream)
	}
	a.body, err = readLimited(resp.Body, resp.ContentLength)
	return a, err
}

// readLimited reads all of an answer of at most MaxResponse bytes. size is what the
// sender announced, -1 if it did not.
func readLimited(r io.Reader, size int64) ([]byte, error) {
	if size > MaxResponse {
		return nil, ErrResponseTooLarge
	}
	var buf bytes.Buffer
	if size > 0 {
		buf.Grow(int(size) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(r, MaxResponse+1))
	if err != nil {
		return buf.Bytes(), err
	}
	if n > MaxResponse {
		return nil, ErrResponseTooLarge
	}
	return buf.Bytes(), nil
}

func contentType(body []byte) string {
	if json.Valid(body) {
		return "application/json"
	}
	return "application/octet-stream"
}

// setCallHeaders writes c as X-Topicwire-* headers. Bytes that a header cannot hold
// are percent-encoded, and so is the percent sign.
func setCallHeaders(h http.Header, c Call) {
	for _, f := range [...]struct{ key, value string }{
		{"X-Topicwire-Topic", c.Topic},
		{"X-Topicwire-Client-Id", c.ClientID},
		{"X-Topicwire-Rule", c.Rule},
		{"X-Topicwire-Request-Id", c.RequestID},
	} {
		if f.value != "" {
			h[f.key] = []string{headerText(f.value)}
		}
	}
	trace := c.trace()
	h["Traceparent"] = []string{trace.Traceparent()}
	h["Tracestate"] = []string{trace.Tracestate()}
}

func headerText(s string) string {
	const hex = "0123456789ABCDEF"
	plain := func(c byte) bool { return c >= ' ' && c < 0x7f && c != '%' }
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// httpFunction is a function behind a URL.
type httpFunction struct {
	poster *Poster
	url    string
	header http.Header
	signer *signer // nil if requests are not signed
}

// Invoke implements [Function].
func (f *httpFunction) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if f.signer == nil {
		return f.poster.Post(ctx, f.url, f.header, payload)
	}
	return f.poster.post(ctx, f.url, f.header, payload, func(r *http.Request) error { return f.signer.sign(r, payload) })
}

// newHTTP makes a function of a checked configuration.
func newHTTP(ctx context.Context, c Config, p *Poster, clients *awsClients) (*httpFunction, error) {
	h := make(http.Header, len(c.Headers)+1)
	for k, v := range c.Headers {
		h.Set(k, v)
	}
	f := &httpFunction{poster: p, url: c.HTTP, header: h}
	if c.Auth == nil {
		return f, nil
	}
	c.Auth.set(h)
	if c.Auth.SigV4 == nil {
		return f, nil
	}
	var err error
	f.signer, err = newSigner(ctx, c.Auth.SigV4.filledFor(c.HTTP), clients)
	return f, err
}

// timedOut tells a deadline of ours from every other failure.
func timedOut(ctx, parent context.Context, err error) bool {
	return err != nil && parent.Err() == nil && errors.Is(ctx.Err(), context.DeadlineExceeded)
}
