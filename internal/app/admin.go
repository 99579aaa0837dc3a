package app

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// admin is the door for those who run the server: /admin/dead. Whoever may pass says
// authorize, and nothing else.
type admin struct {
	bridge    *bridge.Bridge
	authorize func(*http.Request) error
}

func (d admin) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /admin/dead", d.allowed(d.list))
	mux.HandleFunc("GET /admin/dead/{id}", d.allowed(d.show))
	mux.HandleFunc("POST /admin/dead/replay", d.allowed(d.replay))
	mux.HandleFunc("DELETE /admin/dead", d.allowed(d.drop))
}

func (d admin) allowed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := d.authorize(r); err != nil {
			refuse(w, http.StatusForbidden, err)
			return
		}
		next(w, r)
	}
}

// refuse answers with an error for a person.
func refuse(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

var errNotLocal = errors.New("administration is for programs on the server's own machine")

// localOnly lets programs on this machine pass. A page in a browser on this machine is
// none, and neither is what a proxy hands on.
func localOnly(r *http.Request) error {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return errNotLocal
	}
	for _, h := range [...]string{"Origin", "Forwarded", "X-Forwarded-For", "X-Real-Ip"} {
		if r.Header.Get(h) != "" {
			return errNotLocal
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "none" {
		return errNotLocal
	}
	// A name that leads here without being this machine's is a trick on a browser.
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return errNotLocal
	}
	return nil
}

// The letters that one answer has, at most and unless asked otherwise.
const (
	defaultListed = 100
	maxListed     = 10_000
)

// list answers with the dead letters that match the query, the oldest first, and with
// how many there are.
func (d admin) list(w http.ResponseWriter, r *http.Request) {
	f, err := letterFilter(r)
	limit := defaultListed
	if s := r.FormValue("limit"); s != "" && err == nil {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > maxListed {
			err = fmt.Errorf("limit: write a number from 1 to %d", maxListed)
		}
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	letters := d.bridge.Letters(f)
	writeJSON(w, http.StatusOK, map[string]any{"total": len(letters), "letters": d.records(letters[:min(limit, len(letters))])})
}

func (d admin) records(letters []outbox.Letter) []bridge.LetterRecord {
	records := make([]bridge.LetterRecord, len(letters))
	for i := range letters {
		records[i] = d.bridge.Record(&letters[i])
	}
	return records
}

func (d admin) show(w http.ResponseWriter, r *http.Request) {
	letters := d.bridge.Letters(bridge.LetterFilter{IDs: []string{r.PathValue("id")}})
	if len(letters) == 0 {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no dead letter %.100q; it may have been replayed or dropped", r.PathValue("id")))
		return
	}
	writeJSON(w, http.StatusOK, d.bridge.Record(&letters[0]))
}

var errAll = errors.New("the query chooses all dead letters: add all=true if that is meant")

// chosen is the filter of something that changes letters: all of them only if that is
// said.
func chosen(r *http.Request) (bridge.LetterFilter, error) {
	f, err := letterFilter(r)
	if err == nil && f.Zero() && r.FormValue("all") != "true" {
		err = errAll
	}
	return f, err
}

func (d admin) replay(w http.ResponseWriter, r *http.Request) {
	f, err := chosen(r)
	var rate float64
	if s := r.FormValue("rate"); s != "" && err == nil {
		if rate, err = strconv.ParseFloat(s, 64); err != nil || !(rate > 0 && rate <= 1e6) {
			err = errors.New("rate: write how many letters a second, such as 10")
		}
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if r.FormValue("dry_run") == "true" {
		letters := d.bridge.Letters(f)
		writeJSON(w, http.StatusOK, map[string]any{"dry_run": true, "replayed": len(letters), "letters": d.records(letters[:min(maxListed, len(letters))])})
		return
	}
	n, err := d.bridge.ReplayLetters(f, rate, r.FormValue("to"))
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("to: %w", err))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"replayed": n})
}

func (d admin) drop(w http.ResponseWriter, r *http.Request) {
	f, err := chosen(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if r.FormValue("dry_run") == "true" {
		letters := d.bridge.Letters(f)
		writeJSON(w, http.StatusOK, map[string]any{"dry_run": true, "dropped": len(letters), "letters": d.records(letters[:min(maxListed, len(letters))])})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"dropped": d.bridge.DropLetters(f)})
}

// letterFilter reads a query.
func letterFilter(r *http.Request) (bridge.LetterFilter, error) {
	q := r.URL.Query()
	for key := range q {
		switch key {
		case "id", "rule", "function", "since", "until", "error", "limit", "all", "to", "rate", "dry_run":
		default: // one that is misspelt would choose more than is meant
			return bridge.LetterFilter{}, fmt.Errorf("unknown key %.50q in the query", key)
		}
	}
	f := bridge.LetterFilter{IDs: q["id"], Rule: q.Get("rule"), Function: q.Get("function"), Error: q.Get("error")}
	for key, at := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if s := q.Get(key); s != "" {
			t, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return f, fmt.Errorf("%s: %.50q is no time: write one as 2026-01-02T15:04:05Z", key, s)
			}
			*at = t
		}
	}
	return f, nil
}
