package app

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/topicwire/topicwire/broker/auth"
)

// fromThisMachine reports a request that a program on this machine makes for itself, or
// a person here in a browser: no web page of somebody else's sent it.
func fromThisMachine(r *http.Request) bool { return notHere(r) == "" && !fromForeignPage(r) }

// notLocal says why a request may not come from a program on this machine: as notHere,
// and a web page, whoever's, is no program.
func notLocal(r *http.Request) string {
	why := notHere(r)
	if site := r.Header.Get("Sec-Fetch-Site"); why == "" && (r.Header.Get("Origin") != "" || site != "" && site != "none") {
		why = "the request comes from a web page"
	}
	return why
}

// notHere says why a request may come from elsewhere: not over loopback, to a host whose
// name may only have been made to resolve to loopback so that a web page reaches us (DNS
// rebinding), or handed on by a proxy, for anybody.
func notHere(r *http.Request) string {
	if !loopback(r.RemoteAddr) {
		return "the request comes from " + r.RemoteAddr
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !strings.EqualFold(host, "localhost") && !loopback(net.JoinHostPort(strings.Trim(host, "[]"), "0")) {
		return fmt.Sprintf("the request is for the host %.100q", host)
	}
	switch {
	case auth.Forwarded(r) != "":
		return "the request comes through a proxy"
	case !r.ProtoAtLeast(1, 1):
		return "the request comes in HTTP/1.0, which proxies speak that say nothing of themselves"
	}
	return ""
}

// fromForeignPage reports a request that a web page of another origin sent.
func fromForeignPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	return origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host
}

func loopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().Unmap().IsLoopback()
}
