package auth

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// JWTConfig are the settings of the method jwt (RFC 7519).
type JWTConfig struct {
	JWKS       string        `yaml:"jwks" jsonschema:"example=https://login.example.com/.well-known/jwks.json" jsonschema_description:"Where the issuer publishes its keys (a JSON Web Key Set)."`
	Refresh    time.Duration `yaml:"refresh" jsonschema:"example=1h" jsonschema_description:"How often jwks is fetched; 1h by default. A key that is not in it causes a fetch too, every 30 seconds at most."`
	Keys       []string      `yaml:"keys" jsonschema:"example=issuer.pem" jsonschema_description:"Files with keys: public keys or certificates in PEM, or a JSON Web Key Set. Reloaded when they change."`
	Secret     string        `yaml:"secret" secret:"true" jsonschema:"example=${JWT_SECRET}" jsonschema_description:"The secret of tokens that are signed with HS256, HS384 or HS512: at least 32 bytes."`
	Algorithms []string      `yaml:"algorithms" jsonschema:"example=RS256,enum=HS256,enum=HS384,enum=HS512,enum=RS256,enum=RS384,enum=RS512,enum=PS256,enum=PS384,enum=PS512,enum=ES256,enum=ES384,enum=ES512,enum=EdDSA" jsonschema_description:"Which signatures count; by default those that the keys are for."`
	Issuer     string        `yaml:"issuer" jsonschema:"example=https://login.example.com/" jsonschema_description:"What the claim iss has to be. A token of another issuer is left to the next method."`
	Audience   []string      `yaml:"audience" jsonschema:"example=topicwire" jsonschema_description:"What the claim aud has to have one of."`
	Leeway     time.Duration `yaml:"leeway" jsonschema:"example=30s" jsonschema_description:"How far the issuer's clock may be off; none by default."`
	NoExpiry   bool          `yaml:"allow_no_expiry" jsonschema_description:"Accept tokens without exp, which are good for ever."`
	Principal  string        `yaml:"principal" jsonschema:"example=sub" jsonschema_description:"The claim that names the client; sub by default."`
	Token      *TokenConfig  `yaml:"token" jsonschema_description:"Where the token may be. Without this section: the password of CONNECT, and Authorization: Bearer of a WebSocket handshake or HTTP request."`
}

// TokenConfig says where a token may be: who writes the section says all of it.
type TokenConfig struct {
	Password bool   `yaml:"password" jsonschema_description:"The password of CONNECT, or of HTTP Basic authentication."`
	Header   string `yaml:"header" jsonschema:"example=Authorization" jsonschema_description:"A header of the WebSocket handshake or HTTP request; Authorization means its Bearer token."`
	Query    string `yaml:"query" jsonschema:"example=token" jsonschema_description:"A parameter of the URL. URLs end up in the logs of proxies: prefer short-lived tokens."`
	Cookie   string `yaml:"cookie" jsonschema:"example=session" jsonschema_description:"A cookie. Only pages of the same host, or of listen.websocket.allowed_origins, can make a browser send it here."`
}

const (
	defaultRefresh = time.Hour
	minRefresh     = time.Minute
	// minSecret is the least length of a secret (RFC 7518, section 3.2).
	minSecret = 32
)

// The signature algorithms (RFC 7518, section 3.1; RFC 8037) by the keys they take.
func symmetricAlgorithms() []string { return []string{"HS256", "HS384", "HS512"} }

func asymmetricAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// Check reports what cannot work, and what would be no protection.
func (c JWTConfig) Check(report func(path, problem, remedy string)) {
	if !c.hasKey() {
		report("", "has no key to check tokens with", "add jwks: URL, keys: [issuer.pem] or secret: ${JWT_SECRET}")
	}
	if c.JWKS != "" {
		if problem := secureURL(c.JWKS); problem != "" {
			report("jwks", fmt.Sprintf("%q %s", c.JWKS, problem), "write the https:// URL of the issuer's key set")
		}
	}
	switch {
	case strings.Contains(c.Secret, "-----BEGIN"):
		report("secret", "is a key in PEM, which is no secret", "put it in a file and name that under keys")
	case c.Secret != "" && len(c.Secret) < minSecret:
		report("secret", fmt.Sprintf("has %d bytes and can be guessed from one token", len(c.Secret)), "use at least 32 random bytes, for example of: openssl rand -base64 32")
	}
	for i, a := range c.Algorithms {
		at := fmt.Sprintf("algorithms[%d]", i)
		switch {
		case strings.EqualFold(a, "none"):
			report(at, "none means no signature, and anybody could write such tokens", "remove it")
		case slices.Contains(symmetricAlgorithms(), a):
			if c.Secret == "" {
				report(at, a+" needs a secret", "add secret: ${JWT_SECRET}, or remove it")
			}
		case slices.Contains(asymmetricAlgorithms(), a):
			if c.JWKS == "" && len(c.Keys) == 0 {
				report(at, a+" needs a public key", "add keys: [issuer.pem] or jwks: URL, or remove it")
			}
		default:
			report(at, fmt.Sprintf("%q is no algorithm", a), "write one of "+strings.Join(c.known(), ", "))
		}
	}
	for i, k := range c.Keys {
		if k == "" {
			report(fmt.Sprintf("keys[%d]", i), "is empty", "name a file with a public key")
		}
	}
	if c.Refresh != 0 && c.Refresh < minRefresh {
		report("refresh", c.Refresh.String()+" is too often", "write at least 1m")
	}
	if c.Leeway < 0 || c.Leeway > 10*time.Minute {
		report("leeway", c.Leeway.String()+" is out of range", "write at most 10m; 30s is plenty for clocks that are set by NTP")
	}
}

// PrincipalOf is who the client with a token is, by its claims; empty if they do not say.
func (c *JWTConfig) PrincipalOf(claims map[string]any) string {
	name, _ := claims[c.principal()].(string)
	return name
}

// principal is the claim that names the client.
func (c *JWTConfig) principal() string { return cmp.Or(c.Principal, "sub") }

func (JWTConfig) known() []string { return append(symmetricAlgorithms(), asymmetricAlgorithms()...) }

// algorithms are those that count.
func (c *JWTConfig) algorithms() []string {
	if len(c.Algorithms) > 0 {
		return c.Algorithms
	}
	var all []string
	if c.Secret != "" {
		all = append(all, symmetricAlgorithms()...)
	}
	if c.JWKS != "" || len(c.Keys) > 0 {
		all = append(all, asymmetricAlgorithms()...)
	}
	return all
}

func (c *JWTConfig) hasKey() bool { return c.JWKS != "" || len(c.Keys) > 0 || c.Secret != "" }

// tokens is where the token may be.
func (c *JWTConfig) tokens() TokenConfig {
	if c.Token == nil {
		return TokenConfig{Password: true, Header: "Authorization"}
	}
	return *c.Token
}

// covers reports whether c looks wherever other does.
func (c TokenConfig) covers(other TokenConfig) bool {
	return (c.Password || !other.Password) && (other.Header == "" || strings.EqualFold(c.Header, other.Header)) &&
		(other.Query == "" || c.Query == other.Query) && (other.Cookie == "" || c.Cookie == other.Cookie)
}

// Check reports a section that allows nothing, and names that cannot be.
func (c TokenConfig) Check(report func(path, problem, remedy string)) {
	if !c.Password && c.Header == "" && c.Query == "" && c.Cookie == "" {
		report("", "leaves no place for the token", "add password: true, header, query or cookie, or remove the section")
	}
	if c.Header != "" && strings.ContainsAny(c.Header, " :\t") {
		report("header", fmt.Sprintf("%q is no header's name", c.Header), "write for example Authorization")
	}
	if c.Cookie != "" && strings.ContainsAny(c.Cookie, " =;,\t") {
		report("cookie", fmt.Sprintf("%q is no cookie's name", c.Cookie), "write for example session")
	}
}

// secureURL says what is wrong with a URL whose answer decides who gets in.
func secureURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return "is no URL"
	case u.Scheme == "https":
		return ""
	case u.Scheme != "http":
		return "is no https:// URL"
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.IsLoopback() || u.Hostname() == "localhost" {
		return ""
	}
	return "can be read and changed on its way"
}

// find takes the token out of credentials; "" = there is none.
func (c *TokenConfig) find(cr *Credentials) string {
	if c.Password && looksLikeToken(string(cr.Password)) {
		return string(cr.Password)
	}
	r := cr.Request
	if r == nil {
		return ""
	}
	if c.Header != "" {
		if t := fromHeader(r, c.Header); t != "" {
			return t
		}
	}
	if c.Query != "" && r.URL != nil {
		if t := r.URL.Query().Get(c.Query); looksLikeToken(t) {
			return t
		}
	}
	if c.Cookie != "" {
		if k, err := r.Cookie(c.Cookie); err == nil && looksLikeToken(k.Value) {
			return k.Value
		}
	}
	return ""
}

func fromHeader(r *http.Request, name string) string {
	v := r.Header.Get(name)
	if scheme, token, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "bearer") {
		v = strings.TrimSpace(token)
	} else if strings.EqualFold(name, "authorization") {
		return "" // another scheme's
	}
	if looksLikeToken(v) {
		return v
	}
	return ""
}

// looksLikeToken reports text in the form of a signed token: three parts in base64url,
// the first of which begins a JSON object (RFC 7515, section 7.1).
func looksLikeToken(s string) bool {
	return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2
}
