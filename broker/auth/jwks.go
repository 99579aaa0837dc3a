package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// jwks is a key set that an issuer publishes. It is fetched when it is first needed,
// every refresh after that, and when a token names a key that it does not have: issuers
// publish a new key shortly before they use it.
type jwks struct {
	url     string
	refresh time.Duration
	log     zerolog.Logger
	metrics *metrics
	now     func() time.Time
	client  *http.Client

	current  atomic.Pointer[[]jwtKey]
	fetching chan struct{} // holds one token: whoever has it may fetch
	tried    time.Time     // guarded by fetching
	failed   error         // of the last fetch; the same
}

const (
	// refetch is the least time between two fetches that tokens cause: anybody can make
	// up a key id.
	refetch = 30 * time.Second
	// fetchTimeout bounds one fetch.
	fetchTimeout = 5 * time.Second
	// maxJWKS is how large a key set may be.
	maxJWKS = 1 << 20
)

func newJWKS(url string, refresh time.Duration, log zerolog.Logger, m *metrics, now func() time.Time) *jwks {
	if refresh == 0 {
		refresh = defaultRefresh
	}
	return &jwks{
		url: url, refresh: refresh, log: log, metrics: m, now: now, fetching: make(chan struct{}, 1),
		client: &http.Client{
			Timeout: fetchTimeout,
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > 3 || secureURL(r.URL.String()) != "" {
					return errRedirect
				}
				return nil
			},
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		},
	}
}

var errRedirect = errors.New("leads astray: more than 3 redirects, or one to an address without TLS")

// keys are those that fit. Nobody waits for a fetch but who has a token with an unknown
// key.
func (j *jwks) keys(ctx context.Context, algorithm, id string) ([]any, error) {
	all := j.current.Load()
	if all != nil {
		if found := fitting(*all, algorithm, id); len(found) > 0 {
			return found, nil
		}
	}
	if err := j.fetch(ctx, refetch); err != nil && all == nil {
		return nil, err
	}
	if all = j.current.Load(); all == nil {
		return nil, nil
	}
	return fitting(*all, algorithm, id), nil
}

// fetch gets the key set, unless it was tried less than recent ago.
func (j *jwks) fetch(ctx context.Context, recent time.Duration) error {
	select {
	case j.fetching <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-j.fetching }()
	now := j.now()
	if !j.tried.IsZero() && now.Sub(j.tried) < recent {
		return j.failed
	}
	keys, err := j.get(ctx)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // whoever asked has gone; the next one tries
	}
	j.tried, j.failed = now, err
	if err != nil {
		j.metrics.fetches.WithLabelValues("failed").Inc()
		j.log.Error().Err(err).Str("jwks", j.url).Msg("the issuer's keys could not be fetched")
		return err
	}
	j.metrics.fetches.WithLabelValues("fetched").Inc()
	j.current.Store(&keys)
	j.log.Debug().Str("jwks", j.url).Int("keys", len(keys)).Msg("the issuer's keys were fetched")
	return nil
}

func (j *jwks) get(ctx context.Context) ([]jwtKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil) //nolint:gosec // the operator's URL
	if err != nil {
		return nil, fmt.Errorf("auth: jwks: %w", err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := j.client.Do(r) //nolint:gosec // the operator's URL
	if err != nil {
		return nil, fmt.Errorf("auth: jwks: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("auth: jwks: %s answers %s", j.url, answer.Status)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxJWKS+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("auth: jwks: %w", err)
	case len(data) > maxJWKS:
		return nil, fmt.Errorf("auth: jwks: %s is larger than %d bytes", j.url, maxJWKS)
	}
	keys, err := parseJWKS(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("auth: jwks: %s %w", j.url, err)
	case len(keys) == 0:
		return nil, fmt.Errorf("auth: jwks: %s has no public key that checks signatures", j.url)
	}
	return keys, nil
}

// run fetches the key set at once and whenever it is due.
func (j *jwks) run(ctx context.Context) {
	tick := time.NewTicker(j.refresh)
	defer tick.Stop()
	_ = j.fetch(ctx, refetch) // it has been logged
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = j.fetch(ctx, 0) // it has been logged; the keys of before hold
		}
	}
}
