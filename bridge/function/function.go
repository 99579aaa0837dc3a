// Package function reaches functions by name: AWS Lambda, the built-in Lambda
// emulator, and HTTP. Whatever stands behind a name, a caller sees one method,
// Invoke, and one set of typed errors. It knows no rules, no topics' meaning and no
// retries: it makes one attempt and says what came of it.
package function

import (
	"context"
	"encoding/json"

	"github.com/topicwire/topicwire/message"
)

// Function is something that takes an event and gives an answer. It is the method
// set of lambda.Handler in aws-lambda-go. Implementations are safe for concurrent
// use, honour the context, and do not keep or change payload after they return.
type Function interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

// The limits of a synchronous Lambda invocation, in bytes. They hold for every
// function here.
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)
const (
	// MaxPayload is the largest event a function takes: 6 MB.
	MaxPayload = 6 << 20
	// MaxResponse is the largest answer it may give: a little more, as with AWS.
	MaxResponse = 6291556
)

// Call says on whose behalf a function is invoked. It travels in the context and
// reaches the function as Lambda client context or as HTTP headers.
type Call struct {
	// RequestID identifies the invocation; it is the same over retries.
	RequestID string
	// Rule is the name of the rule that asked for it.
	Rule string
	// Topic is the topic of the message that caused it.
	Topic string
	// ClientID is the MQTT client that published the message; may be empty.
	ClientID string
	// User are the message's MQTT 5 user properties.
	User []message.UserProperty
	// Hops is how many rules and functions have passed the message.
	Hops uint8

	// Qualifier is the version or alias that the caller named; empty if none.
	Qualifier string
	// Direct says that somebody waits for this one attempt, and nobody will make another:
	// the function is called even if its calls before have failed.
	Direct bool
	// ClientContext is what the function sees as its client context, in JSON, in place of
	// what is above; empty for that.
	ClientContext string
	// Stream takes a streamed answer piece by piece, in order and while the function
	// writes it; what Invoke returns is then empty. An answer that is given whole is
	// returned as usual. An error of Stream ends the invocation. nil gathers what is
	// streamed. It is called by the goroutine in Invoke, and owns the chunk.
	Stream func(Chunk) error
	// Tail is given the last 4 KB of the invocation's log, where there is one; nil if
	// nobody wants it.
	Tail func(log []byte)
}

// Chunk is a piece of a streamed answer.
type Chunk struct {
	// Data is the piece itself.
	Data []byte
	// Event and ID are those of a server-sent event; empty for anything else.
	Event, ID string
}

// MaxStream is how many bytes a streamed answer may have in all, as with AWS.
const MaxStream = 200 << 20

// trace is the trace that an invocation belongs to: that of the message, if it has one
// in a user property named traceparent (W3C Trace Context), else a new one.
func (c *Call) trace() message.Trace {
	for _, p := range c.User {
		if p.Key == "traceparent" {
			return message.ContinueTrace(p.Value, c.Hops)
		}
	}
	return message.NewTrace(c.Hops)
}

type callKey struct{}

// WithCall returns a context that carries c.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom returns the call that ctx carries; the zero Call if none.
func CallFrom(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}

// clientContext is a call as Lambda's client context, in JSON; empty for the zero Call.
// What handlers see as clientContext.custom has requestId, rule, topic and clientId,
// and each MQTT user property under its name after "user.".
func clientContext(c Call) string {
	if c.ClientContext != "" {
		return c.ClientContext
	}
	if c.Rule == "" && c.Topic == "" && c.ClientID == "" && len(c.User) == 0 {
		return "" // no message caused it: somebody invokes the function by itself
	}
	custom := make(map[string]string, 4+len(c.User))
	for _, f := range [...]struct{ key, value string }{
		{"requestId", c.RequestID}, {"rule", c.Rule}, {"topic", c.Topic}, {"clientId", c.ClientID},
	} {
		if f.value != "" {
			custom[f.key] = f.value
		}
	}
	for _, p := range c.User {
		custom["user."+p.Key] = p.Value
	}
	doc, err := json.Marshal(map[string]any{"custom": custom})
	if err != nil {
		return "" // strings always encode
	}
	return string(doc)
}
