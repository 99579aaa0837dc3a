package app

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

// methodFunction is the method of a function's principal.
const methodFunction = "function"

// functionKeys are the access keys with which the functions of this server sign. Each
// function has one from its first process on, as long as the server lives: a process of
// a configuration before may still use it.
type functionKeys struct {
	table *auth.Keys

	mu     sync.Mutex
	issued map[string]auth.Key // by function
}

func newFunctionKeys() *functionKeys {
	return &functionKeys{table: new(auth.Keys), issued: make(map[string]auth.Key)}
}

// of is the key of a function.
func (k *functionKeys) of(name string) auth.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.issued[name]
	if !ok {
		key = auth.Key{ID: "ASIA" + rand.Text()[:16], Secret: secret(), Principal: functionPrincipal(name)}
		k.issued[name] = key
		k.table.Put(key)
	}
	return key
}

func secret() string {
	var b [30]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// functionPrincipal is who the processes of a function are.
func functionPrincipal(name string) *auth.Principal {
	return &auth.Principal{Name: name, Method: methodFunction, Policy: auth.AllowAll{}}
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
	if !known && p.Method == methodFunction {
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

// anybodyHere is who makes a request as long as no authentication is configured: a
// function of this server if it uses its key, else whoever is on this machine and is no
// web page.
func (d *doors) anybodyHere(r *http.Request) (*auth.Principal, error) {
	if why := notLocal(r); why != "" {
		return nil, fmt.Errorf("%w: without authentication configured this door is for programs on this machine, and %s", auth.ErrRefused, why)
	}
	if key, ok := d.keys.table.Find(accessKeyID(r)); ok {
		return key.Principal, nil
	}
	return &auth.Principal{Policy: auth.AllowAll{}}, nil
}

// notLocal says why a request may not come from a program on this machine: a web page,
// one that makes its own name resolve to 127.0.0.1 included, and what a proxy hands on
// may be anybody's.
func notLocal(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case !loopback(r.RemoteAddr):
		return "the request comes from " + r.RemoteAddr
	case host != "localhost" && !loopback(net.JoinHostPort(strings.Trim(host, "[]"), "0")):
		return fmt.Sprintf("the request is for the host %.100q", host)
	case r.Header.Get("Origin") != "", site != "" && site != "none":
		return "the request comes from a web page"
	case r.Header.Get("X-Forwarded-For") != "", r.Header.Get("Forwarded") != "":
		return "the request comes through a proxy"
	}
	return ""
}

func loopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// accessKeyID is the identifier of the key that a request is signed with, in its
// Authorization header or its query; empty if it is not signed.
func accessKeyID(r *http.Request) string {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "); ok {
		for part := range strings.SplitSeq(rest, ",") {
			if value, ok := strings.CutPrefix(strings.TrimSpace(part), "Credential="); ok {
				credential = value
			}
		}
	}
	id, _, _ := strings.Cut(credential, "/")
	return id
}
