package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/message"
)

// sigV4 is the method that checks AWS's signatures, of presigned URLs and of headers.
type sigV4 struct {
	cfg    SigV4Config
	own    map[string]Key // of the configuration
	shared *Keys          // those of functions' processes, and whoever else has been given one
	only   bool           // there is no configuration: keys that are not shared are not ours
	used   *usedSignatures
	now    func() time.Time
}

const (
	// skew is how far a client's clock may be off, as on AWS.
	skew = 5 * time.Minute
	// maxSignedBody bounds what is read of a request for its signature; the doors have
	// lower limits of their own.
	maxSignedBody = 64 << 20
)

func newSigV4(cfg SigV4Config, shared *Keys, used *usedSignatures, now func() time.Time) *sigV4 {
	m := &sigV4{cfg: cfg, own: make(map[string]Key), shared: shared, used: used, now: now}
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

// find looks a key up; shared tells one of this server's own functions.
func (m *sigV4) find(id string) (k Key, shared, known bool) {
	if k, known = m.own[id]; known {
		return k, false, true
	}
	k, known = m.shared.Find(id)
	return k, true, known
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
	key, shared, known := m.find(s.keyID)
	if !known {
		if m.only {
			return nil, ErrNotMine
		}
		return nil, refuse(nameSigV4, s.keyID, "there is no such access key")
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
	if name := s.unsigned(c.Request); name != "" {
		return nil, refuseGenuine(nameSigV4, s.keyID, "the header %.60q is not signed", name)
	}
	until, err := m.inTime(s)
	if err != nil {
		return nil, err
	}
	if from, _ := network(c.Remote.Addr()); !shared || !from.IsLoopback() { // functions here sign thousands of requests a second
		if err := m.reuse(s, c, from, until); err != nil {
			return nil, err
		}
	}
	p := Principal{Name: s.keyID, Method: nameSigV4}
	if key.Principal != nil {
		p = *key.Principal
	}
	p.proof = key
	return &p, nil
}

// inTime reports until when the signature, which is right, is good, or that it is not now.
func (m *sigV4) inTime(s *signature) (time.Time, error) {
	signed, err := time.Parse(amzTime, s.date)
	if err != nil {
		return signed, refuseGenuine(nameSigV4, s.keyID, "X-Amz-Date is no time")
	}
	valid := skew
	if s.presigned && s.expires != "" {
		seconds, err := strconv.ParseUint(s.expires, 10, 32)
		if valid = time.Duration(seconds) * time.Second; err != nil || valid == 0 || valid > m.cfg.MaxExpires {
			return signed, refuseGenuine(nameSigV4, s.keyID, "X-Amz-Expires is no number of seconds up to %d", int(m.cfg.MaxExpires.Seconds()))
		}
	}
	now, until := m.now(), signed.Add(valid)
	switch {
	case signed.After(now.Add(skew)):
		return until, refuseGenuine(nameSigV4, s.keyID, "it is signed for %s, which is in the future: is the client's clock right?", s.date)
	case now.After(until):
		return until, refuseGenuine(nameSigV4, s.keyID, "the signature has expired: it was good from %s for %v", s.date, valid)
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

// reuse refuses a signature that has let somebody in before, as far as the configuration
// says so. Which network address it comes from is what policies call aws:SourceIp, of IPv6
// the /64: behind a proxy, the proxy's.
func (m *sigV4) reuse(s *signature, c *Credentials, from netip.Addr, until time.Time) error {
	if m.cfg.Reuse == ReuseUntilExpiry {
		return nil
	}
	// A request that is signed in its headers is no URL that somebody could have read, and
	// SDKs send it again within the second if no answer comes: it is bound to its address
	// also where nothing else may be used again.
	table, strict := m.used.handshakes, m.cfg.Reuse == ReuseNever
	if !s.presigned && c.Via == message.ViaHTTP {
		table, strict = m.used.requests, false
	}
	first, again, full := table.use(s.keyID, s.mac, from, until, m.now(), strict)
	switch {
	case full:
		return fmt.Errorf("auth: sigv4: %d signatures are good at once, and with reuse: never none of them may be forgotten", maxSignatures)
	case again && first != from:
		return &Refusal{
			Method: nameSigV4, User: s.keyID, err: errReplayed,
			Why:  "the signature was used before, from " + first.String() + ": somebody has read it, or the client's address has changed and it has to sign again",
			tell: "the signature was used before from another address: sign again",
		}
	case again && strict:
		return &Refusal{
			Method: nameSigV4, User: s.keyID, err: errReplayed,
			Why:  "the signature was used before, and sigv4.reuse is never: clients have to sign again for every connection",
			tell: "the signature was used before: sign again for every connection",
		}
	}
	return nil
}

// recheck finds keys that are gone or have another secret.
func (m *sigV4) recheck(p *Principal) error {
	was, _ := p.proof.(Key)
	is, _, ok := m.find(was.ID)
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
