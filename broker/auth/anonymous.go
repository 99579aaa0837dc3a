package auth

import (
	"context"
	"net"
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
// and must not get in nevertheless.
func (Anonymous) Authenticate(_ context.Context, c *Credentials) (*Principal, error) {
	if c.Request != nil && !namesLoopback(c.Request.Host) {
		return nil, refuse(nameAnonymous, "", "the request is for host %.100q: without authentication only localhost or an address is served", c.Request.Host)
	}
	return &Principal{Method: nameAnonymous, Policy: AllowAll{}}, nil
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
