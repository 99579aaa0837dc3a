package auth

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"
)

// jwtMethod is the method that checks JSON Web Tokens.
type jwtMethod struct {
	cfg    JWTConfig
	token  TokenConfig
	parser *jwt.Parser
	now    func() time.Time
	static atomic.Pointer[[]jwtKey] // of the secret and the files
	jwks   *jwks                    // nil without
}

// maxToken is how long a token may be; those of real issuers have 1 to 4 KB.
const maxToken = 16 << 10

func newJWT(cfg JWTConfig, log zerolog.Logger, m *metrics, now func() time.Time) (*jwtMethod, error) {
	j := &jwtMethod{cfg: cfg, token: cfg.tokens(), now: now}
	o := []jwt.ParserOption{
		jwt.WithValidMethods(cfg.algorithms()), jwt.WithTimeFunc(now), jwt.WithLeeway(cfg.Leeway),
		jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
	}
	if !cfg.NoExpiry {
		o = append(o, jwt.WithExpirationRequired())
	}
	if cfg.Issuer != "" {
		o = append(o, jwt.WithIssuer(cfg.Issuer))
	}
	if len(cfg.Audience) > 0 {
		o = append(o, jwt.WithAudience(cfg.Audience...))
	}
	j.parser = jwt.NewParser(o...)
	if cfg.JWKS != "" {
		j.jwks = newJWKS(cfg.JWKS, cfg.Refresh, log, m, now)
	}
	return j, j.reload()
}

func (j *jwtMethod) files() []string { return j.cfg.Keys }

func (j *jwtMethod) reload() error {
	var all []jwtKey
	if j.cfg.Secret != "" {
		all = append(all, jwtKey{key: []byte(j.cfg.Secret)})
	}
	for _, file := range j.cfg.Keys {
		keys, err := readKeys(file)
		if err != nil {
			return err
		}
		all = append(all, keys...)
	}
	j.static.Store(&all)
	return nil
}

func (j *jwtMethod) run(ctx context.Context) {
	if j.jwks != nil {
		j.jwks.run(ctx)
	}
}

// errKeys says that the keys could not be had: nobody can say whether the token is good.
var errKeys = errors.New("auth: jwt: the issuer's keys are not available")

// Authenticate looks at whoever shows a token.
func (j *jwtMethod) Authenticate(ctx context.Context, c *Credentials) (*Principal, error) {
	text := j.token.find(c)
	switch {
	case text == "":
		return nil, ErrNotMine
	case len(text) > maxToken:
		return nil, refuse(nameJWT, "", "the token has %d bytes, more than %d", len(text), maxToken)
	case j.cfg.Issuer != "" && j.foreign(text):
		return nil, fmt.Errorf("%w: the token is of another issuer", ErrNotMine)
	}
	claims := jwt.MapClaims{}
	_, err := j.parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) { return j.keysFor(ctx, t) })
	if err != nil {
		switch {
		case errors.Is(err, errKeys):
			return nil, err
		case errors.Is(err, jwt.ErrTokenInvalidClaims): // its signature is right
			sub, _ := claims["sub"].(string)
			return nil, refuseGenuine(nameJWT, sub, "%s", tokenProblem(err))
		}
		return nil, refuse(nameJWT, "", "%s", tokenProblem(err))
	}
	name := j.cfg.PrincipalOf(claims)
	if name == "" {
		return nil, refuseGenuine(nameJWT, "", "the token has no claim %q to name the client with", j.cfg.principal())
	}
	p := &Principal{Name: name, Method: nameJWT, Claims: claims}
	if exp, err := claims.GetExpirationTime(); err == nil && exp != nil {
		p.Expires = exp.Add(j.cfg.Leeway)
	}
	return p, nil
}

// foreign reports a token that says itself that it is another issuer's. Nothing is
// believed for that: the next method looks at it.
func (j *jwtMethod) foreign(text string) bool {
	claims := jwt.MapClaims{}
	if _, _, err := j.parser.ParseUnverified(text, claims); err != nil {
		return false
	}
	issuer, err := claims.GetIssuer()
	return err == nil && issuer != j.cfg.Issuer
}

// keysFor finds the keys that may have signed a token. [jwt.Parser] has checked by then
// that its algorithm is one that is configured.
func (j *jwtMethod) keysFor(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errCritical // RFC 7515, section 4.1.11: we know no extension
	}
	id, _ := t.Header["kid"].(string)
	keys := fitting(*j.static.Load(), t.Method.Alg(), id)
	if j.jwks != nil {
		published, err := j.jwks.keys(ctx, t.Method.Alg(), id)
		if err != nil && len(keys) == 0 {
			return nil, fmt.Errorf("%w: %w", errKeys, err)
		}
		keys = append(keys, published...)
	}
	if len(keys) == 0 {
		return nil, errNoKey
	}
	set := jwt.VerificationKeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, k)
	}
	return set, nil
}

var (
	errNoKey    = errors.New("no key fits its algorithm and key id")
	errCritical = errors.New("it has extensions that are not known here")
)

// tokenProblem says in our words what is wrong with a token, so that nothing of it
// reaches the log.
func tokenProblem(err error) string {
	for _, p := range []struct {
		err error
		say string
	}{
		{errNoKey, "no key fits the token's algorithm and key id"},
		{errCritical, "the token has critical extensions that are not known here"},
		{jwt.ErrTokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "the token was issued in the future"},
		{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
		{jwt.ErrTokenInvalidIssuer, "the token is of another issuer"},
		{jwt.ErrTokenRequiredClaimMissing, "the token lacks exp, aud or iss"},
		{jwt.ErrTokenSignatureInvalid, "the token's signature is wrong, or of an algorithm that is not allowed"},
		{jwt.ErrTokenMalformed, "the token is malformed"},
	} {
		if errors.Is(err, p.err) {
			return p.say
		}
	}
	return "the token cannot be verified"
}
