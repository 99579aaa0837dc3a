package app

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"sync"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/message"
)

// functionKeys are the access keys with which the functions of this server sign. Each
// function has one from its first process on, as long as the server lives: a process of
// a configuration before may still use it.
type functionKeys struct {
	table *auth.Keys

	mu        sync.Mutex
	principal func(name string) *auth.Principal // by the configuration that holds now
	issued    map[string]auth.Key               // by function
}

func newFunctionKeys(table *auth.Keys, principal func(name string) *auth.Principal) *functionKeys {
	return &functionKeys{table: table, principal: principal, issued: make(map[string]auth.Key)}
}

// of is the key of a function.
func (k *functionKeys) of(name string) auth.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.issued[name]
	if !ok {
		key = auth.Key{ID: "ASIA" + rand.Text()[:16], Secret: secret(), Principal: k.principal(name)}
		k.issued[name] = key
		k.table.Put(key)
	}
	return key
}

// load puts the principals of another configuration behind the keys.
func (k *functionKeys) load(principal func(name string) *auth.Principal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.principal = principal
	for name, key := range k.issued {
		key.Principal = principal(name)
		k.issued[name] = key
		k.table.Put(key)
	}
}

func secret() string {
	var b [30]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// functionPrincipals says who the processes of a function are: somebody who may do what
// the function's policies allow. As long as everybody on this machine may do everything,
// a function without policies may too: it could just leave its signature out.
func (a *app) functionPrincipals(cfg *config.Config) func(name string) *auth.Principal {
	open := authorityOptions(cfg).Open && len(cfg.Auth.Attach) == 0
	return func(name string) *auth.Principal {
		policies := cfg.Functions[name].Policy
		if open && len(policies) == 0 {
			return &auth.Principal{Name: name, Method: auth.MethodFunction, Policy: auth.AllowAll{}}
		}
		return a.authority.Function(name, policies)
	}
}

// functionMay says whether a function may publish to a topic that its answer names.
func (d *doors) functionMay(nameOrARN, topic string, retain bool) bool {
	p := d.keys.who(d.a.functions.current().Resolve(nameOrARN))
	return p.May(auth.Publish, topic) && (!retain || p.May(auth.RetainPublish, topic))
}

// who is a function's principal.
func (k *functionKeys) who(name string) *auth.Principal {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.issued[name]; ok {
		return key.Principal
	}
	return k.principal(name)
}

// caller says who makes a request, and how many rules and functions have passed what
// the caller works on, its own invocation included. The body has been read.
func (d *doors) caller(r *http.Request, body []byte) (*auth.Principal, uint8, error) {
	r.Body = io.NopCloser(bytes.NewReader(body)) // a signature covers it
	p, err := d.identify(r)
	if err != nil {
		return nil, 0, err
	}
	return p, d.hops(r, p), nil
}

// hops is one more than the message had that caused what the caller does. AWS's SDKs
// send the trace of the invocation along that they run in, and so does OpenTelemetry; a
// function that sends none is known by its process's token and by what that works on.
// Whoever is no function and sends no trace begins at 0.
func (d *doors) hops(r *http.Request, p *auth.Principal) uint8 {
	cause, known := message.TraceHops(r.Header.Get("X-Amzn-Trace-Id"), r.Header.Get("Tracestate"))
	if !known && p.Method == auth.MethodFunction {
		cause, _ = d.a.functions.current().Hops(p.Name, r.Header.Get("X-Amz-Security-Token"))
		known = true
	}
	switch {
	case !known:
		return 0
	case cause == 255: // never round to a client's message
		return cause
	}
	return cause + 1
}

// identify says who makes a request: whoever the configured methods find. Who shows
// nothing that they know is let in only on this machine, and only as long as nobody has
// to show anything.
func (d *doors) identify(r *http.Request) (*auth.Principal, error) {
	p, err := d.a.caller(r)
	if err != nil || !anonymous(p) {
		return p, err
	}
	if why := notLocal(r); why != "" {
		return nil, &notLocalError{why}
	}
	return p, nil
}

// notLocalError refuses somebody without credentials.
type notLocalError struct{ why string }

func (e *notLocalError) Error() string {
	return "without credentials this door is for programs on this machine, and " + e.why
}

func anonymous(p *auth.Principal) bool {
	return p.Name == "" && (p.Method == "" || p.Method == "anonymous")
}
