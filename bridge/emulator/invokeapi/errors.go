package invokeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
)

// Error is a refusal as AWS answers it: a status, the type in the X-Amzn-ErrorType
// header, and a message.
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors)
type Error struct {
	Status  int
	Type    string
	Message string
	// Reason says of a TooManyRequestsException which limit was reached.
	Reason string
	// RetryAfter is how long the caller is asked to wait; 0 if nobody knows.
	RetryAfter time.Duration
}

// Error is the type and the message.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

// The types that are used in more than one place.
const (
	typeNotFound = "ResourceNotFoundException"
	typeContent  = "InvalidRequestContentException"
	typeService  = "ServiceException"
)

var errNoOperation = &Error{http.StatusNotFound, "UnknownOperationException", "the Lambda interface here has no such operation", "", 0}

func invalid(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, "InvalidParameterValueException", fmt.Sprintf(format, args...), "", 0}
}

// write answers with the error.
func (e *Error) write(w http.ResponseWriter) {
	kind := "User"
	if e.Status >= http.StatusInternalServerError {
		kind = "Service"
	}
	doc := map[string]string{"Type": kind, "Message": e.Message, "message": e.Message}
	if e.Reason != "" {
		doc["Reason"] = e.Reason
	}
	h := w.Header()
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Amzn-ErrorType", e.Type)
	w.WriteHeader(e.Status)
	b, _ := json.Marshal(doc) // strings always marshal
	_, _ = w.Write(b)         // the caller has gone: there is nobody to tell
}

// describe finds the answer for what kept a function from running.
func (c *call) describe(err error) *Error {
	var own *Error
	var throttled *function.ThrottledError
	var status *function.StatusError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &throttled):
		e := &Error{http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.", throttled.Reason, throttled.RetryAfter}
		if e.Reason == "" {
			e.Reason = "ConcurrentInvocationLimitExceeded"
		}
		return e
	case errors.As(err, &status) && status.Code != "": // a real function's, handed on
		return &Error{status.Status, status.Code, status.Message, "", 0}
	case errors.Is(err, function.ErrNotFound):
		return &Error{http.StatusNotFound, typeNotFound, err.Error(), "", 0}
	case errors.Is(err, function.ErrPayloadTooLarge):
		return tooLarge(function.MaxPayload)
	case errors.Is(err, function.ErrUnavailable):
		return &Error{http.StatusBadGateway, "InvalidRuntimeException", err.Error(), "", 0}
	default:
		return &Error{http.StatusInternalServerError, typeService, err.Error(), "", 0}
	}
}

func tooLarge(limit int) *Error {
	return &Error{
		http.StatusRequestEntityTooLarge, "RequestTooLargeException",
		fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit), "", 0,
	}
}

// failure is the document of a function's own failure, if err is one: what a caller of
// Lambda finds in the answer, with status 200.
func (c *call) failure(err error) (doc []byte, errorType string, ok bool) {
	var own *function.Error
	var status *function.StatusError
	switch {
	case errors.As(err, &own):
		if json.Valid(own.Payload) {
			return own.Payload, own.Type, true
		}
		return document(own.Type, own.Error()), own.Type, true
	case errors.Is(err, function.ErrTimeout):
		errorType = "Sandbox.Timedout"
	case errors.Is(err, function.ErrResponseTooLarge):
		errorType = "Function.ResponseSizeTooLarge"
	case errors.As(err, &status) && status.Code == "": // an HTTP function's
		errorType = "HTTP." + strconv.Itoa(status.Status)
	default:
		return nil, "", false
	}
	return document(errorType, "RequestId: "+c.requestID+" Error: "+err.Error()), errorType, true
}

func document(errorType, message string) []byte {
	doc, _ := json.Marshal(map[string]string{"errorType": errorType, "errorMessage": message}) // strings always marshal
	return doc
}
