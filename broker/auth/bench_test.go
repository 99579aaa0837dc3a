package auth_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/topicwire/topicwire/broker/auth"
)

func bench1(b *testing.B, cfg auth.Config, o auth.Options, c *auth.Credentials) {
	b.Helper()
	a := start(b, cfg, o)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAnonymous(b *testing.B) {
	bench1(b, auth.Config{}, auth.Options{}, &auth.Credentials{ClientID: "c"})
}

// The password was right shortly before.
func BenchmarkPasswordCached(b *testing.B) {
	bench1(b, passwordConfig(passwords(b, "ada", "right")), auth.Options{}, login("ada", "right"))
}

// It was not: argon2id, 19 MB, two rounds.
func BenchmarkPasswordHashed(b *testing.B) {
	cfg := passwordConfig(passwords(b, "ada", "right"))
	cfg.Methods[0].Password.Cache = -1
	bench1(b, cfg, auth.Options{}, login("ada", "right"))
}

func BenchmarkJWT(b *testing.B) {
	i := newIssuer(b)
	path := write(b, "keys.pem", i.pem(b))
	for _, a := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		b.Run(a, func(b *testing.B) {
			bench1(b, jwtConfig(auth.JWTConfig{Keys: []string{path}, Secret: hmacSecret}), auth.Options{}, token(sign(b, a, i.key(a), nil, claims(nil))))
		})
	}
}

func BenchmarkSigV4(b *testing.B) {
	const host = "broker.example.com"
	bench1(b, sigV4Config(nil), auth.Options{}, handshake(host, deviceSDK(keyID, secret, "token", host, "iotdevicegateway", time.Now(), 0)))
}

// The authorizer's answer of before still holds.
func BenchmarkAuthorizerCached(b *testing.B) {
	d := newDecider(allowResult)
	c := &auth.Credentials{ClientID: "c", Request: httptest.NewRequest("GET", "/mqtt?token=x", nil)}
	bench1(b, unsigned("main"), auth.Options{Invoke: d.invoke}, c)
}
