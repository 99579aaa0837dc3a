package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/topicwire/topicwire/broker/auth"
)

const hmacSecret = "0123456789abcdef0123456789abcdef"

// issuer signs tokens with a key of every kind.
type issuer struct {
	rsa   *rsa.PrivateKey
	ecdsa *ecdsa.PrivateKey
	ed    ed25519.PrivateKey
}

func newIssuer(tb testing.TB) *issuer {
	tb.Helper()
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		tb.Fatal(err)
	}
	return &issuer{r, e, ed}
}

func publicPEM(tb testing.TB, public any) string {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (i *issuer) pem(tb testing.TB) string {
	tb.Helper()
	return publicPEM(tb, i.rsa.Public()) + publicPEM(tb, i.ecdsa.Public()) + publicPEM(tb, i.ed.Public())
}

// key is the one for an algorithm.
func (i *issuer) key(algorithm string) any {
	switch {
	case strings.HasPrefix(algorithm, "HS"):
		return []byte(hmacSecret)
	case strings.HasPrefix(algorithm, "ES"):
		return i.ecdsa
	case algorithm == "EdDSA":
		return i.ed
	default:
		return i.rsa
	}
}

// sign makes a token; a claim that is nil is left out.
func sign(tb testing.TB, algorithm string, key any, header, claims map[string]any) string {
	tb.Helper()
	t := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), jwt.MapClaims(claims))
	maps.Copy(t.Header, header)
	text, err := t.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func claims(more map[string]any) map[string]any {
	c := map[string]any{"sub": "ada", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range more {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	return c
}

func jwtConfig(c auth.JWTConfig) auth.Config {
	return auth.Config{Methods: []auth.MethodConfig{{JWT: &c}}}
}

func token(text string) *auth.Credentials { return login("whatever", text) }

func TestJWTOfEveryAlgorithm(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := start(t, jwtConfig(auth.JWTConfig{Keys: []string{write(t, "keys.pem", i.pem(t))}, Secret: hmacSecret}), auth.Options{})
	for _, a := range []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "EdDSA"} {
		exp := time.Now().Add(time.Hour).Truncate(time.Second)
		p := b.lets(token(sign(t, a, i.key(a), nil, claims(map[string]any{"exp": exp.Unix(), "role": "admin"}))), "ada")
		if p.Claims["role"] != "admin" || p.Method != "jwt" || p.Username != "" || !p.Expires.Equal(exp) {
			t.Errorf("%s: %+v", a, p)
		}
	}
}

func TestJWTClaims(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := start(t, jwtConfig(auth.JWTConfig{
		Secret: hmacSecret, Issuer: "me", Audience: []string{"topicwire", "other"}, Leeway: 30 * time.Second, Principal: "device",
	}), auth.Options{})
	good := map[string]any{"iss": "me", "aud": "topicwire", "device": "lamp"}
	now := time.Now().Unix()
	for _, c := range []struct {
		change map[string]any
		want   error // nil = it gets in
		why    string
	}{
		{nil, nil, ""},
		{map[string]any{"aud": []string{"x", "other"}}, nil, ""},
		{map[string]any{"exp": now - 10}, nil, ""}, // within the leeway
		{map[string]any{"nbf": now + 10, "iat": now + 10}, nil, ""},
		{map[string]any{"exp": now - 60}, auth.ErrRefused, "the token has expired"},
		{map[string]any{"exp": nil}, auth.ErrRefused, "lacks exp"},
		{map[string]any{"exp": "tomorrow"}, auth.ErrRefused, ""},
		{map[string]any{"nbf": now + 60}, auth.ErrRefused, "not valid yet"},
		{map[string]any{"iat": now + 60}, auth.ErrRefused, "issued in the future"},
		{map[string]any{"aud": "somebody"}, auth.ErrRefused, "another audience"},
		{map[string]any{"aud": nil}, auth.ErrRefused, "lacks exp, aud or iss"},
		{map[string]any{"iss": "you"}, auth.ErrNotMine, "another issuer"},
		{map[string]any{"iss": nil}, auth.ErrNotMine, "another issuer"},
		{map[string]any{"device": nil}, auth.ErrRefused, `no claim "device"`},
		{map[string]any{"device": 7}, auth.ErrRefused, `no claim "device"`},
		{map[string]any{"device": ""}, auth.ErrRefused, `no claim "device"`},
	} {
		all := claims(good)
		for k, v := range c.change {
			all[k] = v
			if v == nil {
				delete(all, k)
			}
		}
		cr := token(sign(t, "HS256", i.key("HS256"), nil, all))
		if c.want == nil {
			b.lets(cr, "lamp")
			continue
		}
		if err := b.refuses(cr, c.want); !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v: %v, want %q", c.change, err, c.why)
		}
	}
}

// What attackers send: each must be refused, and none of it logged.
func TestJWTAttacks(t *testing.T) {
	t.Parallel()
	i, other := newIssuer(t), newIssuer(t)
	public := i.pem(t)
	for _, cfg := range []auth.JWTConfig{
		{Keys: []string{write(t, "keys.pem", public)}},
		{Keys: []string{write(t, "keys.pem", public)}, Secret: hmacSecret},
		{Keys: []string{write(t, "keys.pem", public)}, Algorithms: []string{"RS256"}},
		{Secret: hmacSecret},
	} {
		b := start(t, jwtConfig(cfg), auth.Options{})
		b64 := base64.RawURLEncoding.EncodeToString
		body := b64(must(json.Marshal(claims(nil))))
		none := func(alg string) string {
			return b64(must(json.Marshal(map[string]any{"alg": alg, "typ": "JWT"}))) + "." + body + "."
		}
		good := sign(t, "RS256", i.rsa, nil, claims(nil))
		if cfg.Keys == nil {
			good = sign(t, "HS256", []byte(hmacSecret), nil, claims(nil))
		}
		b.lets(token(good), "ada")
		parts := strings.Split(good, ".")
		rsaDER := must(x509.MarshalPKIXPublicKey(i.rsa.Public()))
		attacks := map[string]string{
			"alg none":                              none("none"),
			"alg None":                              none("None"),
			"alg nOnE, a signature":                 none("nOnE") + parts[2],
			"no alg":                                b64([]byte(`{"typ":"JWT"}`)) + "." + body + "." + parts[2],
			"alg of another type":                   b64([]byte(`{"alg":5}`)) + "." + body + "." + parts[2],
			"signature stripped":                    parts[0] + "." + parts[1] + ".",
			"signature truncated":                   good[:len(good)-4],
			"signature of zeros":                    parts[0] + "." + parts[1] + "." + b64(make([]byte, 256)),
			"body changed":                          parts[0] + "." + b64(must(json.Marshal(claims(map[string]any{"sub": "root"})))) + "." + parts[2],
			"the public key in PEM as HS256 secret": sign(t, "HS256", []byte(public), nil, claims(nil)),
			"one public key in PEM":                 sign(t, "HS256", []byte(publicPEM(t, i.rsa.Public())), nil, claims(nil)),
			"the public key in DER":                 sign(t, "HS256", rsaDER, nil, claims(nil)),
			"the modulus":                           sign(t, "HS256", i.rsa.N.Bytes(), nil, claims(nil)),
			"an empty secret":                       sign(t, "HS256", []byte{}, nil, claims(nil)),
			"somebody's own key":                    sign(t, "RS256", other.rsa, nil, claims(nil)),
			"a key in the header":                   sign(t, "RS256", other.rsa, map[string]any{"jwk": map[string]any{"kty": "RSA", "n": b64(other.rsa.N.Bytes()), "e": "AQAB"}}, claims(nil)),
			"a key's address in the header":         sign(t, "RS256", other.rsa, map[string]any{"jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}, claims(nil)),
			"a kid that is a path":                  sign(t, "HS256", []byte{}, map[string]any{"kid": "../../dev/null"}, claims(nil)),
			"a critical extension":                  sign(t, "RS256", i.rsa, map[string]any{"crit": []string{"b64"}, "b64": false}, claims(nil)),
			"expired":                               sign(t, "RS256", i.rsa, nil, claims(map[string]any{"exp": time.Now().Add(-time.Second).Unix()})),
			"not yet valid":                         sign(t, "RS256", i.rsa, nil, claims(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})),
			"oversized":                             sign(t, "RS256", i.rsa, nil, claims(map[string]any{"x": strings.Repeat("x", 20<<10)})),
			"nested":                                parts[0] + "." + b64([]byte(strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000))) + "." + parts[2],
			"no JSON":                               parts[0] + "." + b64([]byte("null")) + "." + parts[2],
			"padding":                               parts[0] + "." + parts[1] + "==." + parts[2],
		}
		for name, text := range attacks {
			cr := token(text)
			cr.Remote = from("127.0.0.1", "", "").Remote
			if p, err := b.Authenticate(t.Context(), cr); err == nil || !errors.Is(err, auth.ErrRefused) && !errors.Is(err, auth.ErrNotMine) {
				t.Errorf("%s: got in as %+v, %v", name, p, err)
			}
		}
		for _, text := range attacks {
			if len(text) > 40 && strings.Contains(b.log.String(), text[len(text)-40:]) {
				t.Errorf("the log has a token:\n%s", b.log)
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Where the token may be.
func TestJWTPlaces(t *testing.T) {
	t.Parallel()
	text := sign(t, "HS256", []byte(hmacSecret), nil, claims(nil))
	request := func(change func(r *http.Request)) *auth.Credentials {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/mqtt", nil)
		change(r)
		return &auth.Credentials{Request: r}
	}
	places := map[string]*auth.Credentials{
		"password": token(text),
		"header":   request(func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }),
		"token":    request(func(r *http.Request) { r.Header.Set("X-Token", text) }),
		"query":    request(func(r *http.Request) { r.URL.RawQuery = url.Values{"jwt": {text}}.Encode() }),
		"cookie":   request(func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "session", Value: text}) }),
	}
	for _, c := range []struct {
		config *auth.TokenConfig
		in     string
	}{
		{nil, "password header"},
		{&auth.TokenConfig{Password: true}, "password"},
		{&auth.TokenConfig{Header: "authorization"}, "header"},
		{&auth.TokenConfig{Header: "X-Token"}, "token"},
		{&auth.TokenConfig{Query: "jwt"}, "query"},
		{&auth.TokenConfig{Cookie: "session"}, "cookie"},
		{&auth.TokenConfig{Cookie: "session", Query: "jwt"}, "cookie query"},
	} {
		b := start(t, jwtConfig(auth.JWTConfig{Secret: hmacSecret, Token: c.config}), auth.Options{})
		for name, cr := range places {
			if strings.Contains(c.in, name) {
				b.lets(cr, "ada")
			} else {
				b.refuses(cr, auth.ErrNotMine)
			}
		}
	}
}

// keySet serves a JSON Web Key Set that tests change.
type keySet struct {
	*httptest.Server
	body    atomic.Value // string
	fetches atomic.Int64
}

func newKeySet(t *testing.T) *keySet {
	t.Helper()
	s := &keySet{}
	s.body.Store("")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		body, _ := s.body.Load().(string)
		if body == "" {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// publish makes public keys the set, by their ids.
func (s *keySet) publish(t *testing.T, keys map[string]any) {
	t.Helper()
	var set jwkset.JWKSMarshal
	for id, key := range keys {
		jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	s.body.Store(string(must(json.Marshal(set))))
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	one, two := newIssuer(t), newIssuer(t)
	s := newKeySet(t)
	b := start(t, jwtConfig(auth.JWTConfig{JWKS: s.URL}), auth.Options{})
	b.run()
	by := func(i *issuer, id string) *auth.Credentials {
		return token(sign(t, "RS256", i.rsa, map[string]any{"kid": id}, claims(nil)))
	}
	// Nobody knows yet: that is no refusal.
	if _, err := b.Authenticate(t.Context(), by(one, "one")); err == nil || errors.Is(err, auth.ErrRefused) || errors.Is(err, auth.ErrNotMine) {
		t.Fatalf("without keys: %v", err)
	}
	s.publish(t, map[string]any{"one": one.rsa.Public(), "ed": one.ed.Public()})
	b.advance(time.Minute)
	b.lets(by(one, "one"), "ada")
	b.lets(token(sign(t, "EdDSA", one.ed, map[string]any{"kid": "ed"}, claims(nil))), "ada")
	b.lets(token(sign(t, "EdDSA", one.ed, nil, claims(nil))), "ada") // no kid: whichever fits

	// Keys of files count beside those that are published.
	both := start(t, jwtConfig(auth.JWTConfig{JWKS: s.URL, Keys: []string{write(t, "k.pem", publicPEM(t, two.rsa.Public()))}}), auth.Options{})
	both.lets(by(one, "one"), "ada")
	both.lets(token(sign(t, "RS256", two.rsa, nil, claims(nil))), "ada")

	// The issuer changes its key: a fetch, but one every 30 seconds at most.
	s.publish(t, map[string]any{"one": one.rsa.Public(), "two": two.rsa.Public()})
	b.advance(time.Minute)
	b.lets(by(two, "two"), "ada")
	before := s.fetches.Load()
	for n := range 50 {
		cr := by(two, fmt.Sprintf("made-up-%d", n))
		cr.Remote = from("127.0.0.1", "", "").Remote
		b.refuses(cr, auth.ErrRefused)
	}
	if n := s.fetches.Load() - before; n > 1 {
		t.Errorf("%d fetches for keys that are made up", n)
	}
	// The issuer is down: what is known holds.
	s.body.Store("")
	b.advance(time.Minute)
	b.lets(by(one, "one"), "ada")
	// Key confusion over the network: a symmetric key that is published is none.
	s.body.Store(`{"keys":[{"kty":"oct","kid":"s","k":"` + base64.RawURLEncoding.EncodeToString([]byte(hmacSecret)) + `"}]}`)
	b.advance(time.Minute)
	b.refuses(token(sign(t, "HS256", []byte(hmacSecret), map[string]any{"kid": "s"}, claims(nil))), auth.ErrRefused)
	// The other kind of key under the same id.
	b.refuses(token(sign(t, "HS256", []byte(publicPEM(t, one.rsa.Public())), map[string]any{"kid": "one"}, claims(nil))), auth.ErrRefused)
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(i.ecdsa))}))
	for _, c := range []struct{ text, want string }{
		{"", "has no public key"},
		{"hello", "has no public key"},
		{"{}", "has no public key"},
		{`{"keys":`, "is no JSON Web Key Set"},
		{private, "has a private key"},
		{publicPEM(t, small.Public()), "less than 2048 bits"},
		{"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"},
	} {
		_, err := auth.New(auth.Options{}).Prepare(jwtConfig(auth.JWTConfig{Keys: []string{write(t, "k", c.text)}}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %q", c.text, err, c.want)
		}
	}
	path := write(t, "keys.pem", publicPEM(t, i.ecdsa.Public()))
	b := start(t, jwtConfig(auth.JWTConfig{Keys: []string{path}}), auth.Options{})
	cr := func(i *issuer) *auth.Credentials { return token(sign(t, "ES256", i.ecdsa, nil, claims(nil))) }
	b.lets(cr(i), "ada")
	next := newIssuer(t)
	rewrite(t, path, publicPEM(t, next.ecdsa.Public()))
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	b.refuses(cr(i), auth.ErrRefused)
	b.lets(cr(next), "ada")
	if files := b.Files(); len(files) != 1 || files[0] != path {
		t.Errorf("files %v", files)
	}
}
