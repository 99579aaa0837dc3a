package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a server answers that does not let somebody in is said in its own words, and
// the password in --server is not.
func TestDeadIsRefused(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		http.StatusUnauthorized: "credentials that a policy allows topicwire:Admin; give them as --server http://USER:PASSWORD@HOST:PORT",
		http.StatusForbidden:    "topicwire: credentials that a policy allows topicwire:Admin\n",
		http.StatusBadGateway:   "answered with HTTP status 502 Bad Gateway; is it a topicwire server?",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "hush-hush" {
				t.Errorf("the password is %q", password)
			}
			http.Error(w, "credentials that a policy allows topicwire:Admin", status)
		}))
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"dead", "list", "--server", strings.Replace(s.URL, "://", "://ops:hush-hush@", 1)}, &Streams{Out: &out, Err: &errs})
		s.Close()
		if code != 1 || out.Len() > 0 || !strings.Contains(errs.String(), want) || strings.Contains(errs.String(), "hush") {
			t.Errorf("%d: exit status %d: %s%s", status, code, &out, &errs)
		}
	}
}
