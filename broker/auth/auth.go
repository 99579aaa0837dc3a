// Package auth decides who a client is and what it may do. A method looks at the
// credentials of a CONNECT and either names a principal, says that the credentials
// are not of its kind, or refuses them. Methods are asked in the order configured;
// a client that no method knows is refused. The package knows no MQTT packets.
package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/topicwire/topicwire/message"
)

// What a method answers besides a principal.
var (
	// ErrNotMine says that the credentials are of another method's kind: the next
	// method is asked, and a client that is nobody's is refused.
	ErrNotMine = errors.New("auth: not my kind of credentials")
	// ErrRefused says that the credentials are of this method's kind and wrong.
	ErrRefused = errors.New("auth: the credentials are refused")
)

// Credentials are what a client shows when it connects. They are valid for the
// length of the call.
type Credentials struct {
	// ClientID is the client identifier, assigned by the server if the client sent none.
	ClientID string
	// Username is the user name; it counts only if HasUsername.
	Username string
	// HasUsername tells an empty user name from none.
	HasUsername bool
	// Password is the password; nil if none was sent, empty if an empty one was.
	Password []byte
	// Listener is the name of the listener.
	Listener string
	// Via is the door the client came through.
	Via message.Via
	// Remote is the client's network address.
	Remote netip.AddrPort
	// TLS is the state of the TLS connection; nil without TLS.
	TLS *tls.ConnectionState
	// Request is the HTTP request of a WebSocket handshake: headers, query, cookies.
	// It is nil on other transports.
	Request *http.Request
	// Body reads the body of an HTTP request, for a signature that covers it; nil if
	// there is none.
	Body func() ([]byte, error)
}

// Method is one way of authenticating clients. Authenticate returns the principal,
// or an error that wraps [ErrNotMine] or [ErrRefused], or another error if it could
// not decide; the client is then told that the server is unavailable.
// It may be called from many goroutines at once.
type Method interface {
	Authenticate(ctx context.Context, c *Credentials) (*Principal, error)
}

// Principal is an authenticated identity and what it may do. A method fills in who it
// is; the policies that are attached to that give it its Policy.
type Principal struct {
	// Name is the identity: user name, certificate fingerprint, token subject.
	// Empty for an anonymous client.
	Name string
	// Method is the name of the method that authenticated it, for instance "jwt".
	Method string
	// Username is the user name, if there is one; policies may use it.
	Username string
	// Certificate is the client certificate it was authenticated with; nil if none.
	Certificate *x509.Certificate
	// Claims are those of its token; policies may use them. nil if there was none.
	Claims map[string]any
	// Documents are policy documents, in JSON, that came with the credentials: a
	// custom authorizer gives them. They are all that such a principal may do.
	Documents [][]byte
	// Expires is when the connection has to end; zero for never.
	Expires time.Time
	// Renew asks for the principal again at that time, without its client noticing;
	// zero for never. A custom authorizer's refreshAfterInSeconds is such a time.
	Renew time.Time
	// Policy says what it may do; nil allows nothing.
	Policy Policy

	proof any                                           // what its method needs for Recheck
	renew func(ctx context.Context) (*Principal, error) // what Renewed asks; nil = nobody
}

// Renewed asks for the principal again, when Renew has come: the same identity, perhaps
// with other documents and other times. An error that wraps [ErrRefused] means that the
// connection has to end, any other one that nobody could decide now.
func (p *Principal) Renewed(ctx context.Context) (*Principal, error) {
	if p.renew == nil {
		return p, nil
	}
	return p.renew(ctx)
}

// May reports whether the principal may do a to topic; for Subscribe it is a filter.
func (p *Principal) May(a Action, topic string) bool {
	return p != nil && p.Policy != nil && p.Policy.Allows(a, topic)
}

// Action is what a policy is asked about.
type Action byte

// The actions.
const (
	Publish   Action = iota // publish to a topic name
	Subscribe               // subscribe to a topic filter; of a shared subscription, to its filter part
	Receive                 // receive a message from a topic name
)

// Policy says what a principal may do. It is asked on every publish, so it must be
// fast; it may be called from many goroutines at once.
type Policy interface {
	Allows(a Action, topic string) bool
}

// AllowAll is the policy that forbids nothing.
type AllowAll struct{}

// Allows reports true.
func (AllowAll) Allows(Action, string) bool { return true }

// Chain asks methods one after the other.
type Chain []Method

// Authenticate returns the first principal that a method names. A method that
// refuses ends the search; [ErrNotMine] means that nobody knew the credentials, and
// its text what the last one missed that said so.
func (c Chain) Authenticate(ctx context.Context, cr *Credentials) (*Principal, error) {
	nobody := ErrNotMine
	for _, m := range c {
		p, err := m.Authenticate(ctx, cr)
		if !errors.Is(err, ErrNotMine) {
			return p, err
		}
		if err != ErrNotMine { //nolint:errorlint // one that says more
			nobody = err
		}
	}
	return nil, nobody
}
