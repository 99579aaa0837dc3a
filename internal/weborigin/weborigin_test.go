package weborigin

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
)

func TestOrigins(t *testing.T) {
	loop, public := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		name    string
		allowed []string
		host    string
		origin  []string
		local   netip.Addr
		want    bool
	}{
		{"no browser", nil, "broker.test", nil, public, true},
		{"the same host", nil, "broker.test:8080", []string{"http://broker.test:8080"}, public, true},
		{"case does not matter", nil, "Broker.test", []string{"http://bROKER.test"}, public, true},
		{"another port is another host", nil, "broker.test:8080", []string{"http://broker.test"}, public, false},
		{"another host", nil, "broker.test", []string{"http://evil.test"}, public, false},
		{"its name as a prefix", nil, "broker.test", []string{"http://broker.test.evil.test"}, public, false},
		{"no URL", nil, "broker.test", []string{"broker.test"}, public, false},
		{"a development server on loopback", nil, "127.0.0.1:8080", []string{"http://localhost:5173"}, loop, true},
		{"[::1] as well", nil, "localhost:8080", []string{"http://[::1]:5173"}, loop, true},
		{"another page on loopback", nil, "127.0.0.1:8080", []string{"http://evil.test"}, loop, false},
		{"localhost, but not at a loopback address", nil, "broker.test", []string{"http://localhost:5173"}, public, false},
		{"DNS rebinding to loopback", nil, "evil.test:8080", []string{"http://localhost:1"}, loop, false},
		{"null", nil, "broker.test", []string{"null"}, public, false},
		{"null on loopback", nil, "127.0.0.1:8080", []string{"null"}, loop, false},
		{"null, listed", []string{"null"}, "broker.test", []string{"null"}, public, true},
		{"listed", []string{"https://app.test"}, "broker.test", []string{"https://app.test"}, public, true},
		{"listed, other scheme", []string{"https://app.test"}, "broker.test", []string{"http://app.test"}, public, false},
		{"listed without scheme", []string{"app.test"}, "broker.test", []string{"http://app.test"}, public, true},
		{"the default port may be written", []string{"https://app.test"}, "broker.test", []string{"https://app.test:443"}, public, true},
		{"any other port must be", []string{"https://app.test"}, "broker.test", []string{"https://app.test:8443"}, public, false},
		{"port listed", []string{"https://app.test:8443"}, "broker.test", []string{"https://app.test:8443"}, public, true},
		{"wildcard", []string{"https://*.app.test"}, "broker.test", []string{"https://a.b.app.test"}, public, true},
		{"wildcard is not the host itself", []string{"https://*.app.test"}, "broker.test", []string{"https://app.test"}, public, false},
		{"wildcard port", []string{"http://app.test:*"}, "broker.test", []string{"http://app.test:99"}, public, true},
		{"any", []string{"*"}, "broker.test", []string{"https://evil.test"}, public, true},
		{"two origins", nil, "broker.test", []string{"http://broker.test", "http://evil.test"}, public, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(tt.local, 8080))
			ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(local))
			r := (&http.Request{Host: tt.host, Header: http.Header{}}).WithContext(ctx)
			if tt.origin != nil {
				r.Header["Origin"] = tt.origin
			}
			if got := Parse(tt.allowed).Allow(r); got != tt.want {
				t.Errorf("Allow = %v, want %v", got, tt.want)
			}
		})
	}
}

// What is no origin is reported, and allows nothing.
func TestCheck(t *testing.T) {
	list := []string{"https://*.example.com", "app.test", "null", "*", "https://x/path", "[a", "", "https:// x"}
	var got []string
	Check("allowed", list, func(path, _, _ string) { got = append(got, path) })
	if want := []string{"allowed[4]", "allowed[5]", "allowed[6]", "allowed[7]"}; !slices.Equal(got, want) {
		t.Errorf("%v are reported, want %v", got, want)
	}
	r := &http.Request{Host: "broker.test", Header: http.Header{"Origin": {"https://x"}}}
	if Parse(list[4:]).Allow(r) {
		t.Error("what is no origin allows a page")
	}
}
