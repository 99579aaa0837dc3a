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

	"github.com/topicwire/topicwire/broker/auth/policy"
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
	// custom authorizer gives them. They are all that such a principal may do: nothing, if
	// they are none. nil = there are no such, and the attached policies count.
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

// May reports whether the principal may do a to name. What name is depends on the
// action: a topic, a filter, a client identifier, the name of a function.
func (p *Principal) May(a Action, name string) bool {
	return p != nil && p.Policy != nil && p.Policy.Allows(a, name)
}

// MayAll reports whether the principal may do a to everything, so that nobody need ask
// for each name. It may change as policies do.
func (p *Principal) MayAll(a Action) bool {
	if p == nil {
		return false
	}
	all, ok := p.Policy.(interface{ All(a Action) bool })
	return ok && all.All(a)
}

// Decide is May with what decided: for log lines, reason strings and answers.
func (p *Principal) Decide(a Action, name string) Decision {
	if p != nil {
		if d, ok := p.Policy.(interface {
			Decide(a Action, name string) Decision
		}); ok {
			return d.Decide(a, name)
		}
	}
	return Decision{Action: a, Name: name, Allowed: p.May(a, name)}
}

// DecideSubscribe is Decide for a topic filter. Of a shared subscription, $share/GROUP/FILTER,
// either form may be allowed, the whole or the filter part alone; if one of the two is
// denied by a statement, that counts.
func (p *Principal) DecideSubscribe(filter string) Decision {
	_, rest, shared := message.SplitShare(filter)
	part := p.Decide(Subscribe, rest)
	if !shared || part.Policy == "" && part.Allowed || len(part.Policies) == 0 {
		return part // no share, or a policy that tells no reasons
	}
	whole := p.Decide(Subscribe, filter)
	switch {
	case whole.Policy != "" && !whole.Allowed, part.Policy == "" && whole.Allowed:
		return whole
	}
	return part
}

// Decision is whether something may be done, and which statement of which policy says so.
type Decision = policy.Decision

// Action is what a policy is asked about. Its String is what policies write.
type Action = policy.Action

// The actions. What is asked about is named behind each.
const (
	Publish              = policy.Publish              // a topic name
	Subscribe            = policy.Subscribe            // a topic filter; of a shared subscription, its filter part
	Receive              = policy.Receive              // a topic name
	Connect              = policy.Connect              // a client identifier
	RetainPublish        = policy.RetainPublish        // a topic name; in addition to Publish
	GetRetainedMessage   = policy.GetRetainedMessage   // a topic name
	ListRetainedMessages = policy.ListRetainedMessages // an empty name
	GetThingShadow       = policy.GetThingShadow       // THING, or THING/SHADOW
	UpdateThingShadow    = policy.UpdateThingShadow    // THING, or THING/SHADOW
	DeleteThingShadow    = policy.DeleteThingShadow    // THING, or THING/SHADOW
	ListNamedShadows     = policy.ListNamedShadows     // THING
	GetConnection        = policy.GetConnection        // a client identifier
	DeleteConnection     = policy.DeleteConnection     // a client identifier
	ListSubscriptions    = policy.ListSubscriptions    // a client identifier
	SendDirectMessage    = policy.SendDirectMessage    // a client identifier
	InvokeFunction       = policy.InvokeFunction       // a function's name, or NAME:QUALIFIER
	Debug                = policy.Debug                // an empty name: profiles
	Metrics              = policy.Metrics              // an empty name
	Admin                = policy.Admin                // an empty name: what shows or changes the server's state
)

// Policy says what a principal may do. It is asked on every publish, so it must be
// fast; it may be called from many goroutines at once.
type Policy interface {
	Allows(a Action, name string) bool
}

// AllowAll is the policy that forbids nothing.
type AllowAll struct{}

// Allows reports true.
func (AllowAll) Allows(Action, string) bool { return true }

// All reports true.
func (AllowAll) All(Action) bool { return true }

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
