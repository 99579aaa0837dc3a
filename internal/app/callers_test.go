package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/topicwire/topicwire/broker/auth"
)

func TestWhoIsOnThisMachine(t *testing.T) {
	for _, c := range []struct {
		name, remote, host string
		header             [2]string
		local              bool
	}{
		{"a program", "127.0.0.1:5000", "127.0.0.1:8080", [2]string{}, true},
		{"a program that names localhost", "127.0.0.1:5000", "localhost:8080", [2]string{}, true},
		{"IPv6", "[::1]:5000", "[::1]:8080", [2]string{}, true},
		{"IPv6 without a port", "[::1]:5000", "[::1]", [2]string{}, true},
		{"an address typed into a browser", "127.0.0.1:5000", "127.0.0.1:8080", [2]string{"Sec-Fetch-Site", "none"}, true},
		{"another machine", "192.0.2.1:5000", "127.0.0.1:8080", [2]string{}, false},
		{"a page whose name resolves to loopback", "127.0.0.1:5000", "evil.example:8080", [2]string{}, false},
		{"a page", "127.0.0.1:5000", "127.0.0.1:8080", [2]string{"Origin", "https://evil.example"}, false},
		{"a page's image", "127.0.0.1:5000", "127.0.0.1:8080", [2]string{"Sec-Fetch-Site", "cross-site"}, false},
		{"a proxy", "127.0.0.1:5000", "127.0.0.1:8080", [2]string{"X-Forwarded-For", "192.0.2.1"}, false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/topics/a", nil)
		r.RemoteAddr, r.Host = c.remote, c.host
		if c.header[0] != "" {
			r.Header.Set(c.header[0], c.header[1])
		}
		if why := notLocal(r); (why == "") != c.local {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}

func TestFunctionsHaveKeysOfTheirOwn(t *testing.T) {
	var table auth.Keys
	k := newFunctionKeys(&table, func(name string) *auth.Principal { return &auth.Principal{Name: name} })
	a, b := k.of("a"), k.of("b")
	if a.ID == b.ID || a.Secret == b.Secret || len(a.ID) != 20 || len(a.Secret) != 40 || k.of("a").ID != a.ID {
		t.Errorf("%+v and %+v", a, b)
	}
	if found, ok := table.Find(a.ID); !ok || found.Principal.Name != "a" {
		t.Errorf("found %+v", found)
	}
	k.load(func(name string) *auth.Principal { return &auth.Principal{Name: name, Method: "other"} })
	if found, _ := table.Find(a.ID); found.Principal.Method != "other" || found.Secret != a.Secret {
		t.Errorf("after a reload %+v", found)
	}
}
