package emulator

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/topicwire/topicwire/message"
)

// extensions are those that a process registered through the Extensions API
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html): an
// environment with one is asked to end by SIGTERM. Guarded by Function.mu.
type extensions struct {
	list []*extension
}

type extension struct {
	id     string
	name   string
	events []string
	queue  chan []byte // of extensionQueue; what does not fit is dropped and logged
}

const (
	extensionQueue  = 64
	maxExtensions   = 10 // AWS's limit
	eventInvoke     = "INVOKE"
	eventShutdown   = "SHUTDOWN"
	unknownIDType   = "Extension.UnknownExtensionIdentifier"
	unknownIDAnswer = "Unknown extension identifier"
)

func (x *extensions) registered() bool { return len(x.list) > 0 }

// invoked reports whether any extension wants to hear of invocations.
func (x *extensions) invoked() bool {
	return len(x.list) > 0 && slices.ContainsFunc(x.list, func(e *extension) bool { return slices.Contains(e.events, eventInvoke) })
}

func (x *extensions) invoke(k *call, arn string) {
	x.tell(eventInvoke, map[string]any{
		"eventType": eventInvoke, "deadlineMs": k.deadline.UnixMilli(), "requestId": k.inv.RequestID, "invokedFunctionArn": arn,
		"tracing": map[string]string{"type": "X-Amzn-Trace-Id", "value": k.inv.TraceID},
	})
}

func (x *extensions) shutDown(reason string, deadline time.Time) {
	x.tell(eventShutdown, map[string]any{"eventType": eventShutdown, "shutdownReason": reason, "deadlineMs": deadline.UnixMilli()})
}

func (x *extensions) tell(kind string, event any) {
	b, err := json.Marshal(event)
	if err != nil { // strings and numbers always marshal
		return
	}
	for _, e := range x.list {
		if !slices.Contains(e.events, kind) {
			continue
		}
		select {
		case e.queue <- b:
		default: // an extension that does not ask for its events does not hold up invocations
		}
	}
}

func (x *extensions) find(id string) *extension {
	for _, e := range x.list {
		if e.id == id {
			return e
		}
	}
	return nil
}

// handleExtension answers the Extensions API.
func (c *conn) handleExtension(path string) bool {
	b, err := c.readBody(nil)
	if err != nil {
		return false
	}
	switch {
	case c.req.post && path == "register":
		c.register(b.data)
	case !c.req.post && path == "event/next":
		return c.nextExtensionEvent()
	case c.req.post && (path == "init/error" || path == "exit/error"):
		c.env.log.Error().RawJSON("error", jsonOr(b.data)).Msg("an extension reports an error")
		c.receipt()
	default:
		c.notFound()
	}
	return true
}

// register adds the extension named in the request's header.
func (c *conn) register(request []byte) {
	var in struct {
		Events []string `json:"events"`
	}
	if len(c.req.extension) == 0 || len(request) > 0 && json.Unmarshal(request, &in) != nil {
		c.refuse(statusBadRequest, "Extension.InvalidRequest", "an extension registers with its name in a header and its events as JSON")
		return
	}
	x := &extension{id: message.NewID(), name: string(c.req.extension), events: in.Events, queue: make(chan []byte, extensionQueue)}
	f := c.env.f
	f.mu.Lock()
	full := len(c.env.ext.list) >= maxExtensions
	if !full {
		c.env.ext.list = append(c.env.ext.list, x)
	}
	f.mu.Unlock()
	if full {
		c.refuse(statusForbidden, "Extension.TooManyExtensions", "an environment takes 10 extensions")
		return
	}
	answer, err := json.Marshal(map[string]string{
		"functionName": f.name, "functionVersion": functionVersion, "handler": c.env.gen.handler, "accountId": f.opts.AccountID,
	})
	if err != nil { // strings always marshal
		answer = []byte("{}")
	}
	c.reply(statusOK, string(answer), extensionIDHeaderName+x.id)
}

// nextExtensionEvent blocks until there is an event for the extension.
func (c *conn) nextExtensionEvent() bool {
	c.env.f.mu.Lock()
	x := c.env.ext.find(string(c.req.extension))
	c.env.f.mu.Unlock()
	if x == nil {
		c.refuse(statusForbidden, unknownIDType, unknownIDAnswer)
		return true
	}
	if c.flush() != nil {
		return false
	}
	select {
	case event := <-x.queue:
		c.reply(statusOK, string(event), extensionEventHeader)
		return true
	case <-c.env.gone:
		return false
	}
}

const extensionEventHeader = "Lambda-Extension-Event-Identifier: 1"

// jsonOr returns b if it is JSON, and else as a JSON string.
func jsonOr(b []byte) []byte {
	if json.Valid(b) {
		return b
	}
	quoted, err := json.Marshal(string(b))
	if err != nil { // a string always marshals
		return []byte(`""`)
	}
	return quoted
}
