package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/message"
)

// authorizers is the method that lets functions decide.
type authorizers struct {
	cfg     AuthorizerConfig
	invoke  Invoke
	metrics *metrics
	now     func() time.Time
	keys    atomic.Pointer[map[string][]*rsa.PublicKey] // by authorizer
	key     [32]byte                                    // of the digests in cache, drawn by this process

	mu    sync.Mutex
	cache map[[sha256.Size]byte]answered
}

// answered is what a function has said of a client, for the time that it allows.
type answered struct {
	until     time.Time // refreshAfterInSeconds
	result    *authorizerResult
	documents [][]byte
}

const (
	// authorizerTimeout is how long a function may take, as on AWS.
	authorizerTimeout = 5 * time.Second
	// maxAnswers is how many answers are remembered.
	maxAnswers = 10_000
)

func newAuthorizers(cfg AuthorizerConfig, invoke Invoke, m *metrics, now func() time.Time) (*authorizers, error) {
	a := &authorizers{cfg: cfg, invoke: invoke, metrics: m, now: now, cache: make(map[[sha256.Size]byte]answered)}
	_, _ = rand.Read(a.key[:]) // it never fails
	return a, a.reload()
}

func (a *authorizers) files() []string {
	var files []string
	for _, one := range a.cfg.Authorizers {
		files = append(files, one.SigningKeys...)
	}
	return files
}

func (a *authorizers) reload() error {
	all := make(map[string][]*rsa.PublicKey)
	for name, one := range a.cfg.Authorizers {
		for _, file := range one.SigningKeys {
			keys, err := readKeys(file)
			if err != nil {
				return err
			}
			for _, k := range keys {
				public, ok := k.key.(*rsa.PublicKey)
				if !ok {
					return fmt.Errorf("auth: %s has a key that is no RSA key", file)
				}
				all[name] = append(all[name], public)
			}
		}
	}
	a.keys.Store(&all)
	return nil
}

// Authenticate asks the authorizer that the client chooses, or the default one.
func (a *authorizers) Authenticate(ctx context.Context, c *Credentials) (*Principal, error) {
	choice := chosen(c)
	name := choice.name
	if name == "" {
		if name = a.cfg.Default; name == "" {
			return nil, ErrNotMine
		}
	}
	user, _, _ := strings.Cut(c.Username, "?") // what is behind it may be a token
	one, ok := a.cfg.Authorizers[name]
	if !ok {
		return nil, refuse(nameAuthorizer, user, "there is no authorizer %.100q", name)
	}
	token := ""
	if one.TokenKey != "" {
		token = choice.find(one.TokenKey)
	}
	if len(token) > maxToken {
		return nil, refuse(nameAuthorizer, user, "the token has %d bytes, more than %d", len(token), maxToken)
	}
	if !one.SigningDisabled && !a.signed(name, token, choice.find(customSignature)) {
		return nil, refuse(nameAuthorizer, user, "the token is missing, or not signed with a key of the authorizer %s", name)
	}
	ask := &asking{a: a, name: name, function: one.Function, event: event(c, token, !one.SigningDisabled), id: message.NewID(), user: user, began: a.now()}
	return ask.principal(ctx, true)
}

// signed reports whether signature is a token's, in base64, made with RSA and SHA-256
// (PKCS #1 v1.5). A URL may have it escaped once more.
func (a *authorizers) signed(name, token, signature string) bool {
	if token == "" || signature == "" || len(signature) > 2048 {
		return false
	}
	if strings.Contains(signature, "%") {
		if plain, err := url.PathUnescape(signature); err == nil {
			signature = plain
		}
	}
	// A + that was not escaped has become a blank on its way through a query.
	mac, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(signature, " ", "+"))
	if err != nil {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	for _, key := range (*a.keys.Load())[name] {
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], mac) == nil {
			return true
		}
	}
	return false
}

// asking is one client's question to its authorizer, which is put again when the answer
// is out of date. It keeps the event, and with it what the client has shown, as long as
// the connection lasts.
type asking struct {
	a                        *authorizers
	name, function, id, user string
	event                    *authorizerEvent
	began                    time.Time // the connection; disconnectAfterInSeconds counts from here
	expires                  time.Time // fixed by the first answer
}

// principal asks, or remembers.
func (q *asking) principal(ctx context.Context, remembered bool) (*Principal, error) {
	digest, err := q.event.digest(q.a.key[:], q.name)
	if err != nil {
		return nil, fmt.Errorf("auth: authorizer: %w", err)
	}
	now := q.a.now()
	said, ok := q.a.recall(digest, now)
	if !ok || !remembered {
		if said, err = q.ask(ctx); err != nil {
			return nil, err
		}
		q.a.remember(digest, said, now)
	}
	if !said.result.IsAuthenticated {
		return nil, refuse(nameAuthorizer, q.user, "the authorizer %s says no", q.name)
	}
	disconnect, refresh := said.result.lasts()
	if q.expires.IsZero() {
		q.expires = q.began.Add(disconnect)
	}
	p := &Principal{Name: said.result.PrincipalID, Method: nameAuthorizer, Username: q.user, Documents: said.documents, Expires: q.expires, proof: q.name}
	if refresh > 0 {
		p.Renew = now.Add(refresh)
		if ok && remembered {
			p.Renew = said.until // the answer is as old as it is
		}
		p.renew = func(ctx context.Context) (*Principal, error) { return q.principal(ctx, false) }
	}
	return p, nil
}

// ask calls the function.
func (q *asking) ask(ctx context.Context) (answered, error) {
	e := *q.event
	e.Metadata = &metadata{q.id}
	text, err := json.Marshal(e)
	if err != nil {
		return answered{}, fmt.Errorf("auth: authorizer: %w", err)
	}
	limit, cancel := context.WithTimeout(ctx, authorizerTimeout)
	defer cancel()
	answer, err := q.a.invoke(limit, q.function, text)
	if err != nil {
		if errors.Is(limit.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %v", authorizerTimeout)
		}
		return answered{}, fmt.Errorf("auth: authorizer %s: %w", q.name, err)
	}
	r, documents, err := readResult(answer)
	if err != nil {
		return answered{}, refuse(nameAuthorizer, q.user, "%v (authorizer %s)", err, q.name)
	}
	return answered{result: r, documents: documents}, nil
}

// recall finds an answer of before to the same question: the same authorizer, token, user
// name, password, client identifier, headers and query.
func (a *authorizers) recall(digest [sha256.Size]byte, now time.Time) (answered, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	said, ok := a.cache[digest]
	if ok && !said.until.After(now) {
		delete(a.cache, digest)
		ok = false
	}
	if ok {
		a.metrics.cached.WithLabelValues(nameAuthorizer).Inc()
	}
	return said, ok
}

// remember keeps an answer that says for how long it holds. A refusal is not kept.
func (a *authorizers) remember(digest [sha256.Size]byte, said answered, now time.Time) {
	_, refresh := said.result.lasts()
	if !said.result.IsAuthenticated || refresh == 0 {
		return
	}
	said.until = now.Add(refresh)
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, there := a.cache[digest]; !there && len(a.cache) >= maxAnswers {
		for k, v := range a.cache {
			if !v.until.After(now) {
				delete(a.cache, k)
			}
		}
		for k := range a.cache {
			if len(a.cache) <= maxAnswers/2 {
				break
			}
			delete(a.cache, k)
		}
	}
	a.cache[digest] = said
}

// recheck finds authorizers that are gone.
func (a *authorizers) recheck(p *Principal) error {
	name, _ := p.proof.(string)
	if _, ok := a.cfg.Authorizers[name]; !ok {
		return refuse(nameAuthorizer, p.Name, "the authorizer %q is gone", name)
	}
	return nil
}
