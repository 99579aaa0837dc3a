package emulator

import (
	"bytes"
)

// The paths of the Runtime API and of the Extensions API.
const (
	runtimePrefix    = "/2018-06-01/runtime/"
	invocationPrefix = "invocation/"
	extensionPrefix  = "/2020-01-01/extension/"
	telemetryPath    = "/2022-07-01/telemetry"
	logsPath         = "/2020-08-15/logs"
)

// handle answers the request in c.req; false ends the connection.
func (c *conn) handle() bool {
	r := &c.req
	if r.foreign {
		c.refuse(statusForbidden, "Forbidden", "this is a Lambda Runtime API: it is for the process it was made for")
		return false
	}
	if rest, ok := bytes.CutPrefix(r.path, []byte(runtimePrefix)); ok {
		// A connection that waits for its event stays: whoever sends that does not
		// close it, and the runtime that wanted it closed does.
		return c.handleRuntime(rest) && (!r.closes || c.waiting)
	}
	if rest, ok := bytes.CutPrefix(r.path, []byte(extensionPrefix)); ok {
		return c.handleExtension(string(rest)) && !r.closes
	}
	if _, err := c.readBody(nil); err != nil {
		return false
	}
	switch {
	case r.put && string(r.path) == telemetryPath:
		c.reply(statusAccepted, `{"errorMessage":"Telemetry API is not supported","errorType":"Telemetry.NotSupported"}`, "")
	case r.put && string(r.path) == logsPath:
		c.reply(statusAccepted, `{"errorMessage":"Logs API is not supported","errorType":"Logs.NotSupported"}`, "")
	default:
		c.notFound()
	}
	return !r.closes
}

func (c *conn) notFound() {
	c.refuse(statusNotFound, "NotFound", "the Runtime API has no such resource")
}

func (c *conn) handleRuntime(path []byte) bool {
	if !c.req.post {
		if string(path) == "invocation/next" {
			return c.handleNext()
		}
		c.notFound()
		return true
	}
	if rest, ok := bytes.CutPrefix(path, []byte(invocationPrefix)); ok {
		id, what, _ := bytes.Cut(rest, []byte("/"))
		switch string(what) {
		case "response":
			return c.handleResponse(id, false)
		case "error":
			return c.handleResponse(id, true)
		}
	}
	b, err := c.readBody(nil)
	if err != nil {
		return false
	}
	if string(path) != "init/error" {
		c.notFound()
		return true
	}
	document := b.data
	if len(document) == 0 {
		document = errorDocument(documentType(string(c.req.errorType), nil), "")
	}
	if !c.env.initFailed(document, documentType(string(c.req.errorType), document)) {
		c.refuseTransition("InitError")
		return true
	}
	c.receipt()
	return true
}

func (c *conn) refuseTransition(to string) {
	c.refuse(statusForbidden, "InvalidStateTransition", "Transition to "+to+" is not allowed in the runtime's present state")
}

// handleNext gives the process its next event, now or when there is one.
func (c *conn) handleNext() bool {
	what, inv, deadline := c.env.next(c)
	c.deliver()
	switch what {
	case eventNow:
		c.sendEvent(&inv, deadline)
	case eventLater:
		c.waiting = true
	case eventNever:
		// The process waits until it is ended; nobody sends it anything.
		c.waiting = true
		return c.flush() == nil
	case eventRefused:
		c.refuseTransition("Ready")
	}
	return true
}

// handleResponse takes an invocation's answer: a response, or the function's error.
func (c *conn) handleResponse(id []byte, failed bool) bool {
	e := c.env
	e.f.mu.Lock()
	_, k := e.find(id)
	var pipe *chunkPipe
	if k != nil && !failed && (c.req.streaming || c.req.chunked) {
		pipe = k.stream // aws-lambda-go streams without saying so
	}
	e.f.mu.Unlock()
	b, err := c.readBody(pipe)
	if err != nil {
		return false
	}
	payload, errorType := b.data, ""
	switch {
	case b.tooLarge:
		payload, errorType = tooLargeDocument(), errorTooLarge
	case b.errorType != "":
		payload, errorType = b.errorBody, b.errorType
		if len(payload) == 0 {
			payload = errorDocument(errorType, "")
		}
	case failed:
		errorType = documentType(string(c.req.errorType), payload)
		if len(payload) == 0 {
			payload = errorDocument(errorType, "")
		}
	}
	if k != nil {
		k, c.outcome = e.complete(id, payload, errorType)
		c.answered = k
	}
	switch {
	case k == nil:
		c.refuse(statusBadRequest, "InvalidRequestID", "Invalid request ID")
	case b.tooLarge:
		c.refuse(statusTooLarge, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).")
	default:
		c.receipt()
	}
	return true
}
