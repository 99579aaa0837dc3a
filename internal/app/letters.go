package app

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// letters is the door for the dead letters: /admin/dead.
type letters struct{ bridge *bridge.Bridge }

// routes puts the door on mux, each way through it behind guard.
func (d letters) routes(mux *http.ServeMux, guard func(http.Handler) http.Handler) {
	for path, h := range map[string]http.HandlerFunc{
		"GET /admin/dead":           d.list,
		"GET /admin/dead/{id}":      d.show,
		"POST /admin/dead/replay":   d.replay,
		"DELETE /admin/dead/replay": d.stop,
		"DELETE /admin/dead":        d.drop,
	} {
		mux.Handle(path, guard(h))
	}
}

// refuse answers with an error for a person.
func refuse(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

// The letters that one answer has, at most and unless asked otherwise.
const (
	defaultListed = 100
	maxListed     = 10_000
)

// list answers with the dead letters that match the query, the oldest first, and with
// how many there are.
func (d letters) list(w http.ResponseWriter, r *http.Request) {
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

func (d letters) records(letters []outbox.Letter) []bridge.LetterRecord {
	records := make([]bridge.LetterRecord, len(letters))
	for i := range letters {
		records[i] = d.bridge.Record(&letters[i])
	}
	return records
}

func (d letters) show(w http.ResponseWriter, r *http.Request) {
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

func (d letters) replay(w http.ResponseWriter, r *http.Request) {
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

func (d letters) stop(w http.ResponseWriter, r *http.Request) {
	f, err := chosen(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"stopped": d.bridge.StopReplays(f)})
}

func (d letters) drop(w http.ResponseWriter, r *http.Request) {
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
