package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// Exit statuses of pub, sub and request, as mosquitto's clients have them. A refused
// connection ends with the server's reason code.
const (
	exitFailed      = 1
	exitTimeout     = 27
	exitInterrupted = 130 // as shells have it
)

// usageError is a command line that makes no sense; the status is mosquitto's.
func usageError(format string, args ...any) error {
	return exitError{code: exitFailed, msg: "topicwire: " + fmt.Sprintf(format, args...)}
}

// fail turns an error of the client into the program's end: what was wrong, where, and
// what to do about it. A context that ended because the user said so is no error.
func (f *clientFlags) fail(t mqttclient.Target, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	if _, ok := errors.AsType[exitError](err); ok {
		return err
	}
	e := exitError{code: exitFailed, msg: "topicwire: " + explain(t, err)}
	if refused, ok := errors.AsType[*mqttclient.ReasonError](err); ok && refused.Packet == mqttclient.CONNACK {
		e.code = int(refused.Code)
	}
	if errors.Is(err, errTimedOut) {
		e.code = exitTimeout
	}
	if f.Quiet {
		e.msg = ""
	}
	return e
}

// errTimedOut says that -W has passed.
var errTimedOut = errors.New("timed out")

// explain words an error for somebody who has just typed a command.
func explain(t mqttclient.Target, err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var refused *mqttclient.ReasonError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("connection refused: nothing listens on %s; start the server with topicwire serve", t.Address())
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no host called %q; check -h or -L", t.Host)
	case errors.As(err, &unknown):
		return fmt.Sprintf("the certificate of %s is signed by an authority that is not trusted here; name the authority's file with --cafile", t.Address())
	case errors.As(err, &name):
		return fmt.Sprintf("the certificate of %s is for another host: %v; --insecure skips this check", t.Address(), name)
	case errors.As(err, &record):
		return fmt.Sprintf("%s speaks no TLS; leave --cafile away or choose another port", t.Address())
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s did not answer in time", t.Address())
	case errors.As(err, &refused) && refused.Packet == mqttclient.CONNACK && (refused.Code == 4 || refused.Code == 5 || refused.Code == 0x86 || refused.Code == 0x87):
		return err.Error() + "; check -u and -P, or the server's auth settings"
	case errors.Is(err, mqttclient.ErrLost) && !t.TLS() && t.Port == "8883":
		return fmt.Sprintf("%v; port 8883 is usually for TLS: give --cafile", err)
	default:
		return err.Error()
	}
}
