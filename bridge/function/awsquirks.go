package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

// Quirks says what an endpoint that speaks Lambda's interface deviates in.
type Quirks string

// The quirks.
const (
	// QuirksAuto finds out, with a request that runs nothing: an endpoint that has no list
	// of functions, and the Runtime Interface Emulator's path, is one.
	QuirksAuto Quirks = "auto"
	// QuirksAWS takes the endpoint to answer as AWS does: LocalStack, SAM,
	// serverless-offline.
	QuirksAWS Quirks = "aws"
	// QuirksRIE takes it to be AWS's Runtime Interface Emulator, which is in Lambda's
	// base images: it has one function, named function, dies of two invocations at once,
	// checks no signature, and answers a failure like a success.
	QuirksRIE Quirks = "rie"
)

const (
	// listPath is where Lambda lists its functions.
	listPath = "/2015-03-31/functions/"
	// riePath is the path that every Runtime Interface Emulator has. Some have another one,
	// with the function's own name in it.
	riePath = listPath + "function/invocations"
)

// rie invokes what may be a Runtime Interface Emulator.
type rie struct {
	poster *Poster
	base   string // the endpoint
	// is is whether it is one: sure from the start with quirks: rie, else found out.
	is    atomic.Bool
	known atomic.Bool
	// turn holds one token: an invocation of something that is or may be one has to wait
	// for the one before, of whichever function of ours.
	turn chan struct{}
}

func newRIE(c Config, p *Poster, turn chan struct{}) *rie {
	r := &rie{poster: p, base: strings.TrimSuffix(c.Endpoint, "/"), turn: turn}
	r.is.Store(c.Quirks == QuirksRIE)
	r.known.Store(c.Quirks == QuirksRIE || c.Quirks == QuirksAWS)
	return r
}

// enter waits for the turn, if there has to be one; leave gives it back.
func (r *rie) enter(ctx context.Context) (leave func(), err error) {
	if r.known.Load() && !r.is.Load() {
		return func() {}, nil
	}
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// settle notes what the endpoint has turned out to be.
func (r *rie) settle(is bool) {
	r.is.Store(is)
	r.known.Store(true)
}

// unknownPath reports whether err is the answer of an HTTP server that does not know the
// path, and not Lambda's that does not know the function.
func unknownPath(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound && status.Code == ""
}

// found asks the endpoint whether it may be one, with a request that runs nothing:
// whatever imitates all of Lambda has a list of functions, or at least an error in a form
// of its own. ok is false if there was no answer.
func (r *rie) found(ctx context.Context) (is, ok bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+listPath, nil)
	if err != nil {
		return false, false
	}
	resp, err := r.poster.client.Do(req)
	if err != nil {
		return false, false
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost when closing what was read fails
	body, err := readLimited(resp.Body, resp.ContentLength)
	return resp.StatusCode == http.StatusNotFound && string(bytes.TrimSpace(body)) == "404 page not found", err == nil
}

// invoke makes one invocation. The caller has the turn.
func (r *rie) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	call := CallFrom(ctx)
	call.Stream = nil // whether it is an answer shows when all of it is there
	header := http.Header{"Content-Type": {"application/json"}, "X-Amzn-Trace-Id": {call.trace().XRay()}}
	if cc := encodeClientContext(call); cc != "" {
		header["X-Amz-Client-Context"] = []string{cc}
	}
	a, err := r.poster.send(WithCall(ctx, call), r.base+riePath, header, payload, nil)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusBadGateway && json.Valid(a.body):
		return nil, parseError(a.body) // the process exited, and this is the document
	case a.status != http.StatusOK:
		return nil, &StatusError{Status: a.status, Message: excerpt(a.body)}
	}
	return sniff(a.body)
}

// sniff finds the failures among answers that all look like successes.
func sniff(out []byte) ([]byte, error) {
	trimmed := bytes.TrimSpace(out)
	if bytes.HasPrefix(trimmed, []byte("Task timed out after ")) {
		return nil, &Error{Type: "Sandbox.Timedout", Message: string(trimmed), Payload: out}
	}
	if !bytes.HasPrefix(trimmed, []byte("{")) {
		return out, nil
	}
	var doc struct {
		Type    *string `json:"errorType"`
		Message *string `json:"errorMessage"`
	}
	if json.Unmarshal(trimmed, &doc) == nil && doc.Type != nil && doc.Message != nil {
		return nil, parseError(out)
	}
	return out, nil
}

// checkQuirks reports what is wrong with the setting.
func (c Config) checkQuirks(report func(path, problem, remedy string)) {
	switch c.Quirks {
	case "", QuirksAuto, QuirksAWS, QuirksRIE:
		if c.Quirks != "" && c.Endpoint == "" {
			report("quirks", "has no meaning without endpoint", "add endpoint: URL, or remove quirks: AWS itself has none")
		}
	default:
		report("quirks", fmt.Sprintf("%q is none of auto, aws and rie", c.Quirks), "write quirks: auto, aws or rie")
	}
	if c.Quirks == QuirksRIE && c.Concurrency > 1 {
		report("concurrency", "a Runtime Interface Emulator takes one invocation at a time", "remove it, or write 1")
	}
}

// Invoke implements [Function] as one synchronous invocation.
func (f *awsFunction) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if f.rie == nil {
		return f.invoke(ctx, payload)
	}
	leave, err := f.rie.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	switch {
	case f.rie.is.Load():
		return f.rie.invoke(ctx, payload)
	case f.rie.known.Load():
		return f.invoke(ctx, payload)
	}
	is, ok := f.rie.found(ctx)
	if is {
		out, err := f.rie.invoke(ctx, payload)
		if !unknownPath(err) {
			f.rie.settle(true)
			f.log.Info().Str("function", f.name).Msg("the endpoint is a Runtime Interface Emulator: quirks: rie")
			return out, err
		}
	}
	if ok {
		f.rie.settle(false)
	}
	return f.invoke(ctx, payload)
}
