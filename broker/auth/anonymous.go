package auth

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Anonymous is the method that lets everybody in with all rights, whatever they show.
// It is for development on one machine: the
// broker refuses to start with it when a listener can be reached from outside.
type Anonymous struct{}

// Authenticate names the anonymous principal. A user name or password is ignored: there are no users to check it against.
// A WebSocket or HTTP request has to name this machine as such: a web page whose own
// name was made to resolve to loopback (DNS rebinding) is of the same origin as we are,
// and must not get in nevertheless. Nor must whoever comes through a proxy on this machine.
func (Anonymous) Authenticate(_ context.Context, c *Credentials) (*Principal, error) {
	if r := c.Request; r != nil {
		if !namesLoopback(r.Host) {
			return nil, refuse(nameAnonymous, "", "the request is for host %.100q: without authentication only localhost or an address is served", r.Host)
		}
		if name := Forwarded(r); name != "" {
			return nil, refuse(nameAnonymous, "", "the request comes through a proxy (it has %s), and without authentication only this machine is served", name)
		}
	}
	return &Principal{Method: nameAnonymous, Policy: AllowAll{}}, nil
}

// Forwarded is the header by which a request says that a proxy has handed it on, for
// anybody; empty if none does.
func Forwarded(r *http.Request) string {
	for _, name := range [...]string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return name
		}
	}
	return ""
}

// namesLoopback reports a Host header that nobody can have got by way of DNS.
func namesLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err = netip.ParseAddr(host)
	return err == nil
}
