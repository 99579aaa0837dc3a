package emulator

import (
	"encoding/json"
	"fmt"
	"time"
)

// Types of the errors that Lambda itself reports for a function.
const (
	errorTimeout       = "Sandbox.Timedout"
	errorExit          = "Runtime.ExitError"
	errorEntrypoint    = "Runtime.InvalidEntrypoint"
	errorTooLarge      = "Function.ResponseSizeTooLarge"
	errorUnknown       = "Runtime.Unknown"
	functionUnhandled  = "Unhandled"
	maxResponseMessage = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
)

// errorDocument is what an invocation answers whose function failed without a
// document of its own.
func errorDocument(errorType, message string) []byte {
	b, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, message})
	if err != nil { // two strings always marshal
		return []byte(`{"errorType":"` + errorUnknown + `"}`)
	}
	return b
}

func timeoutDocument(requestID string, limit time.Duration) []byte {
	return errorDocument(errorTimeout, fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", requestID, limit.Seconds()))
}

func exitDocument(requestID, how string) []byte {
	if how == "" {
		return errorDocument(errorExit, "RequestId: "+requestID+" Error: Runtime exited without providing a reason")
	}
	return errorDocument(errorExit, "RequestId: "+requestID+" Error: Runtime exited with error: "+how)
}

func entrypointDocument(requestID string, cause error) []byte {
	return errorDocument(errorEntrypoint, "RequestId: "+requestID+" Error: "+cause.Error())
}

func tooLargeDocument() []byte { return errorDocument(errorTooLarge, maxResponseMessage) }

// documentType reads errorType out of an error document; declared, the header's, is
// what counts if there is one.
func documentType(declared string, document []byte) string {
	if declared != "" {
		return declared
	}
	var d struct {
		Type string `json:"errorType"`
	}
	if json.Unmarshal(document, &d) != nil || d.Type == "" {
		return errorUnknown
	}
	return d.Type
}
