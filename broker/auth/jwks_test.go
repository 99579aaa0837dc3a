package auth_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/topicwire/topicwire/broker/auth"
)

// jwk is a public key as a key set has it, with what is changed.
func jwk(t *testing.T, key any, id string, change map[string]any) string {
	t.Helper()
	k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}})
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(must(json.Marshal(k.Marshal())), &fields); err != nil {
		t.Fatal(err)
	}
	maps.Copy(fields, change)
	return string(must(json.Marshal(fields)))
}

// Key sets as careless issuers publish them, and as somebody would like them to be.
func TestOddKeySets(t *testing.T) {
	t.Parallel()
	one, two, three := newIssuer(t), newIssuer(t), newIssuer(t)
	s := newKeySet(t)
	set := func(keys ...string) { s.body.Store(`{"keys":[` + strings.Join(keys, ",") + `]}`) }
	by := func(alg string, key any, id string) *auth.Credentials {
		c := token(sign(t, alg, key, map[string]any{"kid": id}, claims(nil)))
		c.Remote = from("127.0.0.1", "", "").Remote
		return c
	}
	for _, c := range []struct {
		what         string
		keys         []string
		good, refuse []*auth.Credentials
	}{
		{
			"two keys under one id",
			[]string{jwk(t, one.rsa.Public(), "a", nil), jwk(t, two.rsa.Public(), "a", nil), jwk(t, one.ecdsa.Public(), "a", nil)},
			[]*auth.Credentials{by("RS256", one.rsa, "a"), by("PS256", two.rsa, "a"), by("ES256", one.ecdsa, "a")},
			[]*auth.Credentials{by("RS256", three.rsa, "a"), by("RS256", one.rsa, "b"), by("ES256", two.ecdsa, "a")},
		},
		{
			"a key for one algorithm",
			[]string{jwk(t, one.rsa.Public(), "a", map[string]any{"alg": "RS512"})},
			[]*auth.Credentials{by("RS512", one.rsa, "a")},
			[]*auth.Credentials{by("RS256", one.rsa, "a"), by("PS512", one.rsa, "a")},
		},
		{
			"keys for something else",
			[]string{
				jwk(t, one.rsa.Public(), "enc", map[string]any{"use": "enc"}), jwk(t, one.rsa.Public(), "ops", map[string]any{"key_ops": []string{"encrypt", "wrapKey"}}),
				jwk(t, two.rsa.Public(), "verify", map[string]any{"key_ops": []string{"verify"}, "use": "sig"}),
			},
			[]*auth.Credentials{by("RS256", two.rsa, "verify")},
			[]*auth.Credentials{by("RS256", one.rsa, "enc"), by("RS256", one.rsa, "ops"), by("RS256", one.rsa, "verify")},
		},
		{
			"what nobody can read beside what we can",
			[]string{`{"kty":"XX","kid":"x"}`, `{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}`, `{}`, jwk(t, one.ed.Public(), "ed", nil)},
			[]*auth.Credentials{by("EdDSA", one.ed, "ed")},
			[]*auth.Credentials{by("EdDSA", two.ed, "ed"), by("RS256", one.rsa, "a"), by("HS256", []byte("AQAB"), "x")},
		},
	} {
		set(c.keys...)
		b := start(t, jwtConfig(auth.JWTConfig{JWKS: s.URL}), auth.Options{})
		for i, cr := range c.good {
			if _, err := b.Authenticate(t.Context(), cr); err != nil {
				t.Errorf("%s: token %d: %v", c.what, i, err)
			}
		}
		for i, cr := range c.refuse {
			b.advance(time.Minute)
			if p, err := b.Authenticate(t.Context(), cr); err == nil {
				t.Errorf("%s: token %d got in as %s", c.what, i, p.Name)
			}
		}
	}
	// One that is too large, or no set, leaves what was known in force.
	set(jwk(t, one.rsa.Public(), "a", nil))
	b := start(t, jwtConfig(auth.JWTConfig{JWKS: s.URL}), auth.Options{})
	b.lets(by("RS256", one.rsa, "a"), "ada")
	for _, body := range []string{"[]", `{"keys":{}}`, "<html>", fmt.Sprintf(`{"keys":[%s]}`, strings.Repeat(" ", 2<<20))} {
		s.body.Store(body)
		b.advance(time.Minute)
		b.refuses(by("RS256", two.rsa, "b"), auth.ErrRefused) // it causes a fetch
		b.lets(by("RS256", one.rsa, "a"), "ada")
	}
}
