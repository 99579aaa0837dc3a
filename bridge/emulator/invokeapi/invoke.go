package invokeapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/topicwire/topicwire/bridge/function"
)

const (
	// maxAsync is the largest event of an asynchronous invocation.
	// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)
	maxAsync = 1 << 20
	// maxClientContext is the longest X-Amz-Client-Context, in bytes of base64.
	maxClientContext = 3583
	latest           = "$LATEST"
)

// The invocation types.
const (
	typeSync   = "RequestResponse"
	typeAsync  = "Event"
	typeDryRun = "DryRun"
)

func (c *call) readBody() error {
	if c.r.ContentLength > function.MaxPayload {
		return tooLarge(function.MaxPayload)
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, function.MaxPayload+1))
	switch {
	case err != nil:
		return &Error{http.StatusBadRequest, typeContent, "the request's body could not be read: " + err.Error(), "", 0}
	case len(body) > function.MaxPayload:
		return tooLarge(function.MaxPayload)
	}
	c.body = body
	return nil
}

// event is the payload of an invocation: JSON, and {} for nothing.
func (c *call) event() ([]byte, error) {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return []byte("{}"), nil
	}
	if !json.Valid(c.body) {
		return nil, &Error{http.StatusBadRequest, typeContent, "Could not parse request body into json: it is not JSON", "", 0}
	}
	return c.body, nil
}

// mayRecur refuses an invocation that is one of a loop.
func (c *call) mayRecur() error {
	if c.caller.Hops < MaxHops {
		return nil
	}
	c.o.Log.Warn().Str("function", c.function.Name).Str("caller", c.caller.Name).Uint8("hops", c.caller.Hops).
		Msg("an invocation was refused: functions invoke each other in a loop")
	return &Error{
		http.StatusBadRequest, "RecursiveInvocationException",
		fmt.Sprintf("%s was to be invoked after %d rules and functions in a row: they invoke each other in a loop", c.function.Name, c.caller.Hops), "", 0,
	}
}

// invoke is the operation Invoke.
func (c *call) invoke() error {
	kind := c.r.Header.Get("X-Amz-Invocation-Type")
	event, err := c.event()
	if err != nil {
		return err
	}
	switch kind {
	case "", typeSync:
		return c.invokeNow(event)
	case typeAsync:
		if err := c.invokeLater(event); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusAccepted)
		return nil
	case typeDryRun:
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return invalid("the invocation type %q is none of %s, %s and %s", kind, typeSync, typeAsync, typeDryRun)
	}
}

func (c *call) invokeNow(event []byte) error {
	if err := c.mayRecur(); err != nil {
		return err
	}
	in, err := c.invocation()
	if err != nil {
		return err
	}
	var tail []byte
	if in.Tail != nil {
		in.Tail = func(log []byte) { tail = log }
	}
	out, err := c.o.Functions.Invoke(function.WithCall(c.r.Context(), in), c.function.Name, event)
	h := c.w.Header()
	if err != nil {
		doc, _, failed := c.failure(err)
		if !failed {
			return err
		}
		c.outcome = "function_error"
		h.Set("X-Amz-Function-Error", "Unhandled")
		out = doc
	}
	if in.Tail != nil {
		h.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(tail))
	}
	h.Set("X-Amz-Executed-Version", latest)
	h.Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(out) // the caller has gone: there is nobody to tell
	return nil
}

// invocation is how a function is called: what the headers of a synchronous request say.
func (c *call) invocation() (function.Call, error) {
	in := function.Call{RequestID: c.requestID, Hops: c.caller.Hops, Qualifier: c.qualifier, Direct: true}
	if s := c.r.Header.Get("X-Amz-Client-Context"); s != "" {
		doc, err := base64.StdEncoding.DecodeString(s)
		if err != nil || !json.Valid(doc) || len(s) > maxClientContext {
			return in, &Error{
				http.StatusBadRequest, typeContent,
				fmt.Sprintf("Client context must be a valid Base64-encoded JSON object of at most %d bytes.", maxClientContext), "", 0,
			}
		}
		in.ClientContext = string(doc)
	}
	switch s := c.r.Header.Get("X-Amz-Log-Type"); s {
	case "", "None":
	case "Tail":
		in.Tail = func([]byte) {}
	default:
		return in, invalid("the log type %q is neither None nor Tail", s)
	}
	return in, nil
}

// invokeLater puts an event where it is safe.
func (c *call) invokeLater(event []byte) error {
	if len(event) > maxAsync {
		return tooLarge(maxAsync)
	}
	if err := c.mayRecur(); err != nil {
		return err
	}
	ctx := function.WithCall(c.r.Context(), function.Call{RequestID: c.requestID, Hops: c.caller.Hops})
	return c.o.Functions.InvokeLater(ctx, c.function.Name, event)
}

// invokeAsync is the older form of Invoke with the type Event.
// (https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html)
func (c *call) invokeAsync() error {
	event, err := c.event()
	if err != nil {
		return err
	}
	if err := c.invokeLater(event); err != nil {
		return err
	}
	c.write(http.StatusAccepted, map[string]int{"Status": http.StatusAccepted})
	return nil
}

// stream is the operation InvokeWithResponseStream. Once something has been sent, a
// failure is told in the last event.
func (c *call) stream() error {
	switch kind := c.r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", typeSync:
	case typeDryRun:
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return invalid("the invocation type %q is neither %s nor %s", kind, typeSync, typeDryRun)
	}
	event, err := c.event()
	if err != nil {
		return err
	}
	if err := c.mayRecur(); err != nil {
		return err
	}
	in, err := c.invocation()
	if err != nil {
		return err
	}
	s := &eventStream{w: c.w}
	var tail []byte
	if in.Tail != nil {
		in.Tail = func(log []byte) { tail = log }
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	in.Stream = func(chunk function.Chunk) error { return s.chunks(chunk.Data) }
	out, err := c.o.Functions.Invoke(function.WithCall(ctx, in), c.function.Name, event)
	var end invokeComplete
	if err != nil {
		doc, errorType, failed := c.failure(err)
		switch {
		case failed:
			c.outcome = "function_error"
			end.Code, end.Details = errorType, string(doc)
		case s.begun:
			e := c.describe(err)
			c.outcome = e.Type
			end.Code, end.Details = e.Type, e.Message
		default:
			return err
		}
	}
	if in.Tail != nil {
		end.Log = base64.StdEncoding.EncodeToString(tail)
	}
	if len(out) > 0 { // it was given whole
		_ = s.chunks(out) // the caller may have gone: there is nobody to tell
	}
	_ = s.complete(end) // the same
	return nil
}
