package auth

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/netip"

	"github.com/topicwire/topicwire/message"
)

// ErrOrigin says that a request was sent by a web page that may not act here.
var ErrOrigin = errors.New("auth: the page that sent this request may not act here: add its origin to listen.websocket.allowed_origins")

// AuthenticateHTTP names the principal of an HTTP request, by whatever it shows: AWS's
// signature, a bearer token, a password (Basic), a client certificate, the headers of a
// custom authorizer. With no methods configured everybody on this machine is anonymous.
//
// A signed request is read to its end, since the signature covers the body, and given
// a new Body with the same bytes. The caller bounds the body before, with
// http.MaxBytesReader, and finds its *http.MaxBytesError in the error. [HTTPStatus] is
// the status for an error; its text is for the log, not for the client.
func (a *Authenticator) AuthenticateHTTP(r *http.Request) (*Principal, error) {
	if a.options.OriginAllowed != nil && !a.options.OriginAllowed(r) {
		return nil, ErrOrigin
	}
	return a.Authenticate(r.Context(), CredentialsOf(r))
}

// CredentialsOf is what an HTTP request shows. They are valid as long as the request.
func CredentialsOf(r *http.Request) *Credentials {
	c := &Credentials{Listener: "http", Via: message.ViaHTTP, TLS: r.TLS, Request: r}
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	}
	if r.Body != nil && r.Body != http.NoBody {
		c.Body = func() ([]byte, error) {
			body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxSignedBody))
			if err != nil {
				return nil, err
			}
			r.Body = sameBytes{bytes.NewReader(body)}
			return body, nil
		}
	}
	if user, password, ok := r.BasicAuth(); ok {
		c.Username, c.HasUsername, c.Password = user, true, []byte(password)
	}
	return c
}

// HTTPStatus is the status that answers an error of AuthenticateHTTP: 401 without
// credentials, 403 with wrong ones, 413, 429, or 503 if nobody could decide.
func HTTPStatus(err error) int {
	switch _, tooLarge := errors.AsType[*http.MaxBytesError](err); {
	case err == nil:
		return http.StatusOK
	case tooLarge:
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrTooMany):
		return http.StatusTooManyRequests
	case errors.Is(err, ErrNotMine):
		return http.StatusUnauthorized
	case errors.Is(err, ErrRefused), errors.Is(err, ErrOrigin):
		return http.StatusForbidden
	default:
		return http.StatusServiceUnavailable
	}
}
