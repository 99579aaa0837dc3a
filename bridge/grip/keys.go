package grip

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/topicwire/topicwire/internal/weborigin"
	"github.com/topicwire/topicwire/message"
)

// ErrRefused says that nobody who is known may publish with these credentials.
var ErrRefused = errors.New("grip: the credentials are refused")

// RefusalStatus is the HTTP status that answers an error of Options.Authorize: what it says
// itself, else 401.
func RefusalStatus(err error) int {
	if e, ok := errors.AsType[interface {
		error
		HTTPStatus() int
	}](err); ok {
		return e.HTTPStatus()
	}
	return http.StatusUnauthorized
}

// refuseRequest answers a request that is not let in.
func refuseRequest(w http.ResponseWriter, status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	http.Error(w, http.StatusText(status), status)
}

// challenge is what a 401 has to have (RFC 9110, section 15.5.2).
const challenge = `Bearer realm="topicwire"`

const defaultIss = "topicwire"

// publisherKey is one key of a publisher.
type publisherKey struct {
	iss    string
	secret []byte
	topics []string // nil = every topic
}

// publisherKeys decides who may publish.
type publisherKeys struct {
	keys []publisherKey
	// none are configured: as long as nobody else is asked, everybody on this machine may
	// publish.
	none bool
}

// secretOf is a configured key: itself, or the bytes after base64:.
func secretOf(s string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(s, "base64:")
	if !ok {
		return []byte(s), nil
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("is no base64: %w", err)
	}
	return b, nil
}

// newKeys reads the keys of a configuration. main is the one that Grip-Sig is signed
// with and that functions here are given; it is made up if none is configured.
func newKeys(c *Config) (k *publisherKeys, main publisherKey, text string, err error) {
	k = &publisherKeys{none: c.Key == "" && len(c.Keys) == 0}
	main.iss, text = c.Iss, c.Key
	if main.iss == "" {
		main.iss = defaultIss
	}
	if text == "" {
		var random [24]byte
		_, _ = rand.Read(random[:]) // never fails: it aborts the program instead
		text = hex.EncodeToString(random[:])
	}
	if main.secret, err = secretOf(text); err != nil {
		return nil, main, "", fmt.Errorf("grip.key %w", err)
	}
	k.keys = append(k.keys, main)
	for i, kc := range c.Keys {
		secret, err := secretOf(kc.Key)
		if err != nil {
			return nil, main, "", fmt.Errorf("grip.keys[%d].key %w", i, err)
		}
		k.keys = append(k.keys, publisherKey{kc.Iss, secret, kc.Topics})
	}
	return k, main, text, nil
}

// topicGrant is what a key may do.
type topicGrant struct {
	name   string
	topics []string
}

// Name is the key's issuer.
func (g topicGrant) Name() string { return g.name }

// MayPublish reports whether one of the filters matches.
func (g topicGrant) MayPublish(topic string) bool {
	if g.topics == nil {
		return true
	}
	for _, f := range g.topics {
		if message.Match(f, topic) {
			return true
		}
	}
	return false
}

// MaySubscribe is never asked of a publisher.
func (g topicGrant) MaySubscribe(string) bool { return false }

// MayReceive is never asked of a publisher.
func (g topicGrant) MayReceive(string) bool { return false }

// authorize says what whoever sent a request may publish; others tells that there is
// somebody else to ask.
func (k *publisherKeys) authorize(r *http.Request, now time.Time, others bool) (Grant, error) {
	shown := bearer(r)
	if shown == "" {
		if k.none && !others && fromHere(r) {
			return topicGrant{}, nil
		}
		return nil, fmt.Errorf("%w: show a key or a JWT as Authorization: Bearer", ErrRefused)
	}
	for _, key := range k.keys {
		if subtle.ConstantTimeCompare([]byte(shown), key.secret) == 1 {
			return topicGrant{key.iss, key.topics}, nil
		}
		if key.iss == "" {
			continue
		}
		if c, ok := verifyHS256(shown, key.secret, now); ok && c.Iss == key.iss {
			return topicGrant{key.iss, key.topics}, nil
		}
	}
	return nil, fmt.Errorf("%w: no key fits", ErrRefused)
}

// bearer is what a request shows: a bearer token, or Fastly's header.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return r.Header.Get("Fastly-Key")
}

// fromHere reports whether a program of this machine sent the request: not a proxy for
// somebody else, and not a web page of another site in its user's browser.
func fromHere(r *http.Request) bool {
	return weborigin.IsLoopback(weborigin.Host(r.RemoteAddr)) && weborigin.IsLoopback(weborigin.Host(r.Host)) &&
		r.Header.Get("Forwarded") == "" && r.Header.Get("X-Forwarded-For") == "" &&
		weborigin.Rules{}.Allow(r)
}

// CheckKeys reports keys of a configuration that cannot be used: their text is wrong, or
// the file of sign_key is.
func CheckKeys(c Config) error {
	_, main, _, err := newKeys(&c)
	if err != nil {
		return err
	}
	_, err = newSigner(&c, main.secret)
	return err
}
