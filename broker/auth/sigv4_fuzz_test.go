package auth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

// FuzzPresignedURL looks for a URL that gets in and means something else than the one that
// was signed, whatever it looks like, and for one that brings the parser down.
func FuzzPresignedURL(f *testing.F) {
	now := time.Now()
	_, query, _ := strings.Cut(url1(now), "?")
	meaning := func(query string) url.Values {
		v, err := url.ParseQuery(query)
		if err != nil {
			return nil
		}
		v.Set("X-Amz-Signature", strings.ToLower(v.Get("X-Amz-Signature")))
		v.Del("X-Amz-Security-Token") // which the device SDK adds unsigned
		return v
	}
	want := meaning(query)
	f.Add(query)
	f.Add(query + "&X-Amz-Security-Token=a")
	f.Add(strings.ToUpper(query))
	f.Add(query + "&&x")
	f.Add(query + "&%zz=%")
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=////aws4_request")
	b := start(f, sigV4Config(nil), auth.Options{})
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, Host: replayHost, Header: http.Header{}, RequestURI: "/mqtt?" + query, URL: &url.URL{Path: "/mqtt", RawQuery: query}}
		c := &auth.Credentials{ClientID: "c", Via: message.ViaWebSocket, Request: r, Remote: from("127.0.0.1", "", "").Remote}
		if _, err := b.Authenticate(t.Context(), c); err == nil {
			if d := cmp.Diff(want, meaning(query)); d != "" {
				t.Errorf("%s got in (-signed +got):\n%s", query, d)
			}
		}
	})
}
