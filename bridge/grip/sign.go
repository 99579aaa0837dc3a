package grip

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// signer makes the Grip-Sig header: a JWT that shows a handler that the request comes
// from here. It is the same for all requests of a minute.
type signer struct {
	iss    string
	secret []byte            // HS256
	key    *ecdsa.PrivateKey // ES256, if not nil

	mu    sync.Mutex
	token string
	until time.Time
}

const (
	sigLife  = time.Hour
	sigRenew = time.Minute
)

// newSigner makes a signer with the shared secret, or the private key in a file.
func newSigner(c *Config, secret []byte) (*signer, error) {
	s := &signer{iss: c.SignIss, secret: secret}
	if s.iss == "" {
		s.iss = "pushpin" // what GRIP's libraries know
	}
	if c.SignKey == "" {
		return s, nil
	}
	key, err := readKey(c.SignKey)
	if err != nil {
		return nil, fmt.Errorf("grip.sign_key: %w", err)
	}
	s.key = key
	return s, nil
}

var errNoKey = errors.New("holds no EC private key for P-256: make one with openssl ecparam -name prime256v1 -genkey -noout")

func readKey(path string) (*ecdsa.PrivateKey, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, doc = pem.Decode(doc); block == nil {
			return nil, fmt.Errorf("%s %w", path, errNoKey)
		}
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			other, otherErr := x509.ParsePKCS8PrivateKey(block.Bytes)
			key, _ = other.(*ecdsa.PrivateKey)
			if otherErr != nil || key == nil {
				continue
			}
		}
		if key.Curve == elliptic.P256() {
			return key, nil
		}
	}
}

// sign returns a token that is good for at least the next minutes.
func (s *signer) sign(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.until) {
		return s.token
	}
	claims := map[string]any{"exp": now.Add(sigLife).Unix(), "iss": s.iss}
	if s.key != nil {
		s.token = signES256(claims, s.key)
	} else {
		s.token = signHS256(claims, s.secret)
	}
	s.until = now.Add(sigRenew)
	return s.token
}

// jwk is the public key, as RFC 7517 writes it; nil with a shared secret.
func (s *signer) jwk() []byte {
	if s.key == nil {
		return nil
	}
	point, err := s.key.PublicKey.Bytes() // 4, x, y
	if err != nil || len(point) != 65 {
		return nil
	}
	return appendJSON(nil, map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]),
		"y": base64.RawURLEncoding.EncodeToString(point[33:]),
	})
}

func signingInput(alg string, claims map[string]any) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"`+alg+`"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(appendJSON(nil, claims))
}

// signHS256 is a compact JWS (RFC 7515) with HMAC and SHA-256.
func signHS256(claims map[string]any, secret []byte) string {
	in := signingInput("HS256", claims)
	return in + "." + base64.RawURLEncoding.EncodeToString(mac(in, secret))
}

func mac(in string, secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(in))
	return h.Sum(nil)
}

// signES256 is one with ECDSA on P-256 and SHA-256 (RFC 7518, section 3.4).
func signES256(claims map[string]any, key *ecdsa.PrivateKey) string {
	in := signingInput("ES256", claims)
	sum := sha256.Sum256([]byte(in))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "" // only a broken random source fails
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return in + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// claims are those of a JWT that are looked at.
type claims struct {
	Iss string   `json:"iss"`
	Exp *float64 `json:"exp"`
	Nbf *float64 `json:"nbf"`
}

// verifyHS256 checks a JWT's signature and time.
func verifyHS256(token string, secret []byte, now time.Time) (*claims, bool) {
	c, in, sig, ok := splitToken(token)
	if !ok || !hmac.Equal(sig, mac(in, secret)) {
		return nil, false
	}
	const leeway = 30 // seconds that clocks may be apart
	t := float64(now.Unix())
	if c.Exp == nil || t > *c.Exp+leeway || c.Nbf != nil && t < *c.Nbf-leeway {
		return nil, false
	}
	return c, true
}

// splitToken takes a JWT of HS256 apart, unverified.
func splitToken(token string) (c *claims, in string, sig []byte, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, "", nil, false
	}
	var head struct {
		Alg string `json:"alg"`
	}
	c = &claims{}
	for i, v := range [...]any{&head, c} {
		doc, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(doc, v) != nil {
			return nil, "", nil, false
		}
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || head.Alg != "HS256" {
		return nil, "", nil, false
	}
	return c, parts[0] + "." + parts[1], sig, true
}
