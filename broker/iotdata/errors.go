package iotdata

import (
	"fmt"
	"net/http"
)

// Error is a refusal as AWS answers it: a status, the type in the X-Amzn-ErrorType
// header, and a message.
type Error struct {
	Status  int
	Type    string
	Message string
}

// Error is the type and the message.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

// The types that are used in more than one place.
const (
	typeInvalid     = "InvalidRequestException"
	typeForbidden   = "ForbiddenException"
	typeNotFound    = "ResourceNotFoundException"
	typeTooLarge    = "RequestEntityTooLargeException"
	typeThrottled   = "ThrottlingException"
	typeUnavailable = "ServiceUnavailableException"
)

func invalid(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, typeInvalid, fmt.Sprintf(format, args...)}
}

// refused is the answer for a message that was refused with an MQTT 5 reason code.
func refused(code byte, err error) *Error {
	switch code {
	case 0x87: // not authorized
		return &Error{http.StatusForbidden, typeForbidden, err.Error()}
	case 0x90, 0x99, 0x9B: // topic name, payload format, QoS
		return invalid("%v", err)
	case 0x95: // packet too large
		return &Error{http.StatusRequestEntityTooLarge, typeTooLarge, err.Error()}
	case 0x97: // quota exceeded
		return &Error{http.StatusTooManyRequests, typeThrottled, err.Error()}
	default:
		return &Error{http.StatusServiceUnavailable, typeUnavailable, err.Error()}
	}
}
