package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sigV4 is the method that checks AWS's signatures, of presigned URLs and of headers.
type sigV4 struct {
	cfg    SigV4Config
	own    map[string]Key // of the configuration
	shared *Keys          // those of functions' processes, and whoever else has been given one
	only   bool           // there is no configuration: keys that are not shared are not ours
	now    func() time.Time

	mu   sync.Mutex
	used map[[sha256.Size]byte]time.Time // presigned URLs that have let in, until when they would
}

const (
	// skew is how far a client's clock may be off, as on AWS.
	skew = 5 * time.Minute
	// maxUsed is how many used URLs are remembered; while it is full, none lets in.
	maxUsed = 100_000
	// maxSignedBody bounds what is read of a request for its signature; the doors have
	// lower limits of their own.
	maxSignedBody = 64 << 20
)

func newSigV4(cfg SigV4Config, shared *Keys, now func() time.Time) *sigV4 {
	m := &sigV4{cfg: cfg, own: make(map[string]Key), shared: shared, now: now, used: make(map[[sha256.Size]byte]time.Time)}
	for _, k := range cfg.Keys {
		name := k.Principal
		if name == "" {
			name = k.ID
		}
		m.own[k.ID] = Key{ID: k.ID, Secret: k.Secret, Token: k.Token, Principal: &Principal{Name: name, Method: nameSigV4}}
	}
	if len(m.cfg.Services) == 0 {
		m.cfg.Services = defaultServices()
	}
	if m.cfg.MaxExpires == 0 {
		m.cfg.MaxExpires = defaultMaxExpires
	}
	return m
}

func (m *sigV4) find(id string) (Key, bool) {
	if k, ok := m.own[id]; ok {
		return k, true
	}
	return m.shared.Find(id)
}

// Authenticate looks at signed WebSocket handshakes and HTTP requests.
func (m *sigV4) Authenticate(_ context.Context, c *Credentials) (*Principal, error) {
	if c.Request == nil {
		return nil, ErrNotMine
	}
	s, err := signatureOf(c.Request)
	switch {
	case errors.Is(err, errNotSigned):
		return nil, ErrNotMine
	case err != nil && m.only:
		return nil, ErrNotMine
	case err != nil:
		return nil, refuse(nameSigV4, "", "%v", err)
	}
	key, known := m.find(s.keyID)
	if !known {
		if m.only {
			return nil, ErrNotMine
		}
		return nil, refuse(nameSigV4, s.keyID, "there is no such access key")
	}
	until, err := m.inTime(s)
	if err != nil {
		return nil, err
	}
	if err := m.scope(s, &key); err != nil {
		return nil, err
	}
	payload, err := payloadHash(c)
	if err != nil {
		return nil, err
	}
	if !s.good(c.Request, key.Secret, signedHosts(c.Request, m.cfg.Hosts), payload) {
		return nil, refuse(nameSigV4, s.keyID, "the signature is wrong: another secret, or the request is not the one that was signed")
	}
	if err := m.once(s, until); err != nil {
		return nil, err
	}
	p := Principal{Name: s.keyID, Method: nameSigV4}
	if key.Principal != nil {
		p = *key.Principal
	}
	p.proof = key
	return &p, nil
}

// inTime reports until when the signature is good, or that it is not now.
func (m *sigV4) inTime(s *signature) (time.Time, error) {
	signed, err := time.Parse(amzTime, s.date)
	if err != nil {
		return signed, refuse(nameSigV4, s.keyID, "X-Amz-Date is no time")
	}
	valid := skew
	if s.presigned && s.expires != "" {
		seconds, err := strconv.ParseUint(s.expires, 10, 32)
		if valid = time.Duration(seconds) * time.Second; err != nil || valid == 0 || valid > m.cfg.MaxExpires {
			return signed, refuse(nameSigV4, s.keyID, "X-Amz-Expires is no number of seconds up to %d", int(m.cfg.MaxExpires.Seconds()))
		}
	}
	now, until := m.now(), signed.Add(valid)
	switch {
	case signed.After(now.Add(skew)):
		return until, refuse(nameSigV4, s.keyID, "it is signed for %s, which is in the future: is the client's clock right?", s.date)
	case now.After(until):
		return until, refuse(nameSigV4, s.keyID, "the signature has expired: it was good from %s for %v", s.date, valid)
	}
	return until, nil
}

// scope checks what the signature is for, and the session token.
func (m *sigV4) scope(s *signature, key *Key) error {
	switch {
	case !slices.Contains(m.cfg.Services, s.service):
		return refuse(nameSigV4, s.keyID, "it is signed for service %.40q", s.service)
	case m.cfg.Region != "" && s.region != m.cfg.Region:
		return refuse(nameSigV4, s.keyID, "it is signed for region %.40q", s.region)
	case key.Token != "" && subtle.ConstantTimeCompare([]byte(key.Token), []byte(s.token)) != 1:
		return refuse(nameSigV4, s.keyID, "the session token is missing or not the key's")
	}
	return nil
}

// payloadHash is the hash of the body that the signature covers.
func payloadHash(c *Credentials) (string, error) {
	var body []byte
	if c.Body != nil {
		var err error
		if body, err = c.Body(); err != nil {
			return "", fmt.Errorf("auth: sigv4: the body cannot be read: %w", err)
		}
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if said := c.Request.Header.Get(amzContent); said != "" && !strings.EqualFold(said, hash) {
		return "", refuse(nameSigV4, "", "X-Amz-Content-Sha256 is not the hash of the body; unsigned bodies are not accepted")
	}
	return hash, nil
}

// once refuses a presigned URL that has let in before, if that is configured.
func (m *sigV4) once(s *signature, until time.Time) error {
	if !m.cfg.SingleUse || !s.presigned {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := [sha256.Size]byte(s.mac)
	if _, again := m.used[k]; again {
		return refuse(nameSigV4, s.keyID, "the presigned URL was used before")
	}
	now := m.now()
	if len(m.used) >= maxUsed {
		for k, until := range m.used {
			if now.After(until) {
				delete(m.used, k)
			}
		}
		if len(m.used) >= maxUsed {
			return fmt.Errorf("auth: sigv4: %d presigned URLs are in use at once", maxUsed)
		}
	}
	m.used[k] = until
	return nil
}

// recheck finds keys that are gone or have another secret.
func (m *sigV4) recheck(p *Principal) error {
	was, _ := p.proof.(Key)
	is, ok := m.find(was.ID)
	switch {
	case !ok:
		return refuse(nameSigV4, was.ID, "the access key was removed")
	case subtle.ConstantTimeCompare([]byte(is.Secret), []byte(was.Secret)) != 1, is.Token != was.Token:
		return refuse(nameSigV4, was.ID, "the access key has another secret")
	case is.Principal != nil && is.Principal.Name != p.Name:
		return refuse(nameSigV4, was.ID, "the access key is another principal's now")
	}
	return nil
}

// String keeps the secret out of whatever prints a Key.
func (k Key) String() string { return "access key " + k.ID }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// sameBytes is a body that was read, to be read again.
type sameBytes struct{ *bytes.Reader }

// Close does nothing.
func (sameBytes) Close() error { return nil }
