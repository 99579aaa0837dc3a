package config

import (
	"maps"
	"slices"

	"github.com/topicwire/topicwire/broker/auth"
)

// warnMethods warns of methods of authentication that let in more than they seem to.
func (l *loading) warnMethods() {
	c := &l.config.Auth
	for i := range c.Methods {
		m, path := &c.Methods[i], at("auth.methods", i)
		switch {
		case m.SigV4 != nil && m.SigV4.Reuse == auth.ReuseUntilExpiry:
			l.warn(path+".sigv4.reuse", "whoever has read a presigned URL, in the log of a proxy or the history of a browser, can connect with it until it expires",
				"write same_address or never, unless clients move from one address to another without signing again")
		case m.JWT != nil:
			l.warnJWT(path+".jwt", m.JWT)
		case m.Authorizer != nil:
			l.warnAuthorizers(path+".authorizer.authorizers", m.Authorizer)
		case m.Password != nil && c.BruteForce.PerUser < 0 && c.BruteForce.PerAddress < 0:
			l.warn("auth.brute_force", "passwords can be guessed without end", "leave out attempts_per_user or attempts_per_address")
		}
	}
}

// warnJWT warns of tokens that are good for ever, and of those that others can have sent.
func (l *loading) warnJWT(path string, c *auth.JWTConfig) {
	if c.NoExpiry {
		l.warn(path+".allow_no_expiry", "a token without exp lets in for ever, and nothing takes it back but another key",
			"have the issuer write exp, or keep this for devices that you can give another key")
	}
	if c.Token != nil && c.Token.Cookie != "" && slices.Contains(l.config.Listen.WebSocket.AllowedOrigins, "*") {
		l.warn(path+".token.cookie", "with allowed_origins: \"*\" every web page can connect as its visitor, whose browser sends the cookie along",
			"list the origins of your pages under listen.websocket.allowed_origins")
	}
}

// warnAuthorizers warns of functions that anybody can make run.
func (l *loading) warnAuthorizers(path string, c *auth.AuthorizerConfig) {
	exposed := slices.Concat(l.config.Listen.MQTT, l.config.Listen.MQTTS, l.config.Listen.HTTP, l.config.Listen.HTTPS)
	if len(l.exposed(exposed)) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Authorizers)) {
		if c.Authorizers[name].SigningDisabled {
			l.warn(path+"."+name+".signing_disabled", "whoever reaches the server makes the function run", "have tokens signed (signing_keys), or limit the function's concurrency")
		}
	}
}
