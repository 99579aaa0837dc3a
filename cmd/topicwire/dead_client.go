package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// adminFlags say which server to ask.
type adminFlags struct {
	Server string `default:"http://127.0.0.1:8080" placeholder:"URL" env:"TOPICWIRE_SERVER" help:"The server's HTTP listener (${default})."`
}

// adminTimeout ends a request that the server does not answer.
const adminTimeout = time.Minute

// call makes a request and decodes the answer into v.
func (f *adminFlags) call(ctx context.Context, method, path string, q url.Values, v any) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	to := strings.TrimSuffix(f.Server, "/") + path
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, to, nil)
	if err != nil {
		return usageError("--server: %v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return f.unreachable(err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost when closing what was read fails
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var refused struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(body, &refused) == nil && refused.Error != "" {
			return errors.New(refused.Error) //nolint:err113 // the server's words
		}
		return f.refused(resp, body)
	}
	return json.Unmarshal(body, v)
}

// refused words an answer that has no error document.
func (f *adminFlags) refused(resp *http.Response, body []byte) error {
	said := strings.TrimSpace(string(body))
	switch {
	case resp.StatusCode == http.StatusUnauthorized && said != "":
		return fmt.Errorf("%s; give them as --server http://USER:PASSWORD@HOST:PORT", plain(said, longestSaid))
	case resp.StatusCode == http.StatusForbidden && said != "":
		return errors.New(plain(said, longestSaid)) //nolint:err113 // the server's words
	}
	return fmt.Errorf("%s answered with HTTP status %s; is it a topicwire server?", f.address(), resp.Status)
}

// longestSaid bounds what is shown of an answer, in characters.
const longestSaid = 300

// address is the server without the password that its URL may have.
func (f *adminFlags) address() string {
	u, err := url.Parse(f.Server)
	if err != nil {
		return f.Server
	}
	return u.Redacted()
}

// unreachable words an error of a request that was not answered.
func (f *adminFlags) unreachable(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("connection refused: nothing listens on %s; start the server with topicwire serve, or name another with --server", f.address())
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s does not speak HTTP; is it the address under listen.http?", f.address())
	}
	return err
}

// deadFilter chooses dead letters.
type deadFilter struct {
	IDs      []string `arg:"" optional:"" name:"id" help:"The letters' ids."`
	Rule     string   `placeholder:"NAME" help:"Those of this rule."`
	Function string   `placeholder:"NAME" help:"Those of this function: its name or ARN, or the beginning of a URL."`
	Since    string   `placeholder:"TIME" help:"Those given up since then: 2026-01-02, 2026-01-02T15:04:05Z, or a duration such as 1h for that long ago."`
	Until    string   `placeholder:"TIME" help:"Those given up before then."`
	Error    string   `placeholder:"TEXT" help:"Those whose last error has this in it, or is of this kind: function_error, timeout, throttled, ..."`
}

func (f *deadFilter) query() (url.Values, error) {
	q := url.Values{}
	for key, value := range map[string]string{"rule": f.Rule, "function": f.Function, "error": f.Error} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if len(f.IDs) > 0 {
		q["id"] = f.IDs
	}
	for key, text := range map[string]string{"since": f.Since, "until": f.Until} {
		if text == "" {
			continue
		}
		at, err := parseMoment(text, time.Now())
		if err != nil {
			return nil, usageError("--%s: %v", key, err)
		}
		q.Set(key, at.Format(time.RFC3339))
	}
	return q, nil
}

// parseMoment reads a time, or a duration before now.
func parseMoment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2026-01-02, 2026-01-02T15:04:05Z, or a duration such as 1h", s)
}

// printLetters prints a table, or a JSON document a line.
func printLetters(w io.Writer, letters []json.RawMessage, asJSON bool) error {
	if asJSON {
		for _, l := range letters {
			if _, err := fmt.Fprintf(w, "%s\n", l); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tGIVEN UP\tRULE\tTARGET\tTOPIC\tATTEMPTS\tCONDITION\tLAST ERROR")
	for _, raw := range letters {
		var l struct {
			Timestamp time.Time `json:"timestamp"`
			Request   struct {
				ID        string `json:"requestId"`
				Condition string `json:"condition"`
				Count     int    `json:"approximateInvokeCount"`
			} `json:"requestContext"`
			Topicwire struct {
				Rule, Action, Target, Topic string
				Replaying                   bool
				Attempts                    []struct{ Error string }
			} `json:"topicwire"`
		}
		if err := json.Unmarshal(raw, &l); err != nil {
			return fmt.Errorf("the server's answer is not understood: %w", err)
		}
		condition, last := l.Request.Condition, ""
		if l.Topicwire.Replaying {
			condition = "replaying"
		}
		if n := len(l.Topicwire.Attempts); n > 0 {
			last = l.Topicwire.Attempts[n-1].Error
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s %s\t%s\t%d\t%s\t%s\n", l.Request.ID, l.Timestamp.Local().Format(time.DateTime),
			l.Topicwire.Rule, l.Topicwire.Action, plain(l.Topicwire.Target, 40), plain(l.Topicwire.Topic, 40), l.Request.Count, condition, plain(last, 80))
	}
	return table.Flush()
}

// plain makes text from a message fit for a cell of a table.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
