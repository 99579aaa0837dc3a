package auth

import (
	"fmt"
	"strings"
	"time"
)

// Config is the section `auth` of the configuration: how clients show who they are, and
// what they may do.
type Config struct {
	Methods    []MethodConfig   `yaml:"methods" jsonschema_description:"How clients authenticate: the methods are asked in this order until one knows the credentials, and a client that none knows is refused. Without any, everybody may connect, which only listeners on loopback allow."`
	BruteForce BruteForceConfig `yaml:"brute_force" jsonschema_description:"How wrong attempts are slowed down."`

	PolicyConfig `yaml:",inline"`
}

// MethodConfig is one method: an object with exactly one key, its kind.
type MethodConfig struct {
	Anonymous  *AnonymousConfig  `yaml:"anonymous" jsonschema_description:"Everybody, without credentials; only while every listener is on loopback. Put it last."`
	Password   *PasswordConfig   `yaml:"password" jsonschema_description:"User names and passwords of a file that topicwire passwd (or htpasswd -B) writes."`
	JWT        *JWTConfig        `yaml:"jwt" jsonschema_description:"JSON Web Tokens, as the password or in a WebSocket's or HTTP request's header, query or cookie."`
	X509       *X509Config       `yaml:"x509" jsonschema_description:"Client certificates (mutual TLS), as far as listen.tls accepts them."`
	SigV4      *SigV4Config      `yaml:"sigv4" jsonschema_description:"AWS Signature Version 4: presigned WebSocket URLs and signed requests, with the access keys listed here."`
	Authorizer *AuthorizerConfig `yaml:"authorizer" jsonschema_description:"Functions that decide, with the event and the result of AWS IoT's custom authorizers."`
}

// AnonymousConfig has no settings.
type AnonymousConfig struct{}

// The names of the methods, in the configuration and in Principal.Method.
const (
	nameAnonymous  = "anonymous"
	namePassword   = "password"
	nameJWT        = "jwt"
	nameX509       = "x509"
	nameSigV4      = "sigv4"
	nameAuthorizer = "authorizer"
)

// names are the kinds that m has keys of: one, if it is right.
func (m *MethodConfig) names() []string {
	var names []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{nameAnonymous, m.Anonymous != nil},
		{namePassword, m.Password != nil},
		{nameJWT, m.JWT != nil},
		{nameX509, m.X509 != nil},
		{nameSigV4, m.SigV4 != nil},
		{nameAuthorizer, m.Authorizer != nil},
	} {
		if k.set {
			names = append(names, k.name)
		}
	}
	return names
}

// Kind is the method's name, for messages; empty if m is none.
func (m *MethodConfig) Kind() string {
	if names := m.names(); len(names) == 1 {
		return names[0]
	}
	return ""
}

// Check reports an item that is no method, or several.
func (m MethodConfig) Check(report func(path, problem, remedy string)) {
	switch names := m.names(); len(names) {
	case 0:
		report("", "the method is empty", "write one of anonymous: {}, password, jwt, x509: {}, sigv4, authorizer, with its settings")
	case 1:
	default:
		report("", "one method has "+strings.Join(names, " and "), "make an item of each: a list item with one key")
	}
}

// Check reports methods that are never asked because one before them knows everybody, and
// what is wrong with policies.
func (c Config) Check(report func(path, problem, remedy string)) {
	c.PolicyConfig.Check(report)
	seen := map[string]bool{}
	for i := range c.Methods {
		m := &c.Methods[i]
		if i > 0 && c.Methods[i-1].Anonymous != nil {
			report(fmt.Sprintf("methods[%d]", i), "is never asked: anonymous before it lets everybody in", "put anonymous last")
			break
		}
		for _, name := range m.names() {
			if seen[name] && name != nameJWT && name != nameAnonymous {
				report(fmt.Sprintf("methods[%d]", i), "there is a second "+name, "keep one: the first decides about everybody of its kind, and the second would never be asked")
			}
			seen[name] = true
		}
		if j := c.jwtBefore(i); j >= 0 {
			report(fmt.Sprintf("methods[%d]", i), fmt.Sprintf("is never asked: methods[%d] looks for tokens in the same places and, without issuer, decides about all of them", j),
				fmt.Sprintf("give methods[%d].jwt an issuer, so that it leaves other issuers' tokens to the next method", j))
		}
	}
}

// jwtBefore is a method jwt before the i-th that decides about every token which that one
// would find; -1 if there is none.
func (c *Config) jwtBefore(i int) int {
	if c.Methods[i].JWT == nil {
		return -1
	}
	for j := range i {
		before := c.Methods[j].JWT
		if before != nil && before.Issuer == "" && before.hasKey() && before.tokens().covers(c.Methods[i].JWT.tokens()) {
			return j
		}
	}
	return -1
}

// Anonymous reports whether everybody may connect: no method is configured, or
// anonymous is one of them.
func (c *Config) Anonymous() bool {
	for i := range c.Methods {
		if c.Methods[i].Anonymous != nil {
			return true
		}
	}
	return len(c.Methods) == 0
}

// OnlyAnonymous reports whether nobody has to say who he is: there is no method, or
// anonymous alone.
func (c *Config) OnlyAnonymous() bool {
	return len(c.Methods) == 0 || len(c.Methods) == 1 && c.Methods[0].Anonymous != nil
}

// Paths are the fields that name files, for whoever resolves them against the
// configuration's folder.
func (c *Config) Paths() []*string {
	var paths []*string
	for i := range c.Methods {
		m := &c.Methods[i]
		if m.Password != nil {
			paths = append(paths, &m.Password.File)
		}
		if m.JWT != nil {
			for k := range m.JWT.Keys {
				paths = append(paths, &m.JWT.Keys[k])
			}
		}
	}
	for i := range c.Methods {
		if a := c.Methods[i].Authorizer; a != nil {
			for _, one := range a.Authorizers {
				for k := range one.SigningKeys { // a slice is shared with the map's value
					paths = append(paths, &one.SigningKeys[k])
				}
			}
		}
	}
	return paths
}

// BruteForceConfig is the section `auth.brute_force`: wrong attempts cost time, more
// with every further one. See attempts.
type BruteForceConfig struct {
	PerAddress int           `yaml:"attempts_per_address" jsonschema:"minimum=-1,example=20" jsonschema_description:"How many refused credentials an address (an IPv6 /64) may show before it has to wait; 20 by default, -1 = no limit. One is forgotten every 10 seconds. Loopback has no limit by address."`
	PerUser    int           `yaml:"attempts_per_user" jsonschema:"minimum=-1,example=10" jsonschema_description:"How many wrong passwords a user name may get before it has to wait; 10 by default, -1 = no limit. Addresses from which the user has logged in before are counted apart, so that nobody is locked out by strangers."`
	Wait       time.Duration `yaml:"wait" jsonschema:"example=1s" jsonschema_description:"The first wait, doubled with every further wrong attempt; 1s by default."`
	MaxWait    time.Duration `yaml:"max_wait" jsonschema:"example=5m" jsonschema_description:"The longest wait; 5m by default."`
}

// Check reports waits that make no sense.
func (c BruteForceConfig) Check(report func(path, problem, remedy string)) {
	if c.PerAddress < -1 {
		report("attempts_per_address", fmt.Sprintf("%d is out of range", c.PerAddress), "write a positive number, -1 for no limit, or leave it out for 20")
	}
	if c.PerUser < -1 {
		report("attempts_per_user", fmt.Sprintf("%d is out of range", c.PerUser), "write a positive number, -1 for no limit, or leave it out for 10")
	}
	if c.Wait < 0 {
		report("wait", "is negative", "write 1s, or leave it out")
	}
	c = c.withDefaults()
	if c.MaxWait < c.Wait {
		report("max_wait", c.MaxWait.String()+" is less than wait", "write at least "+c.Wait.String())
	}
}

func (c BruteForceConfig) withDefaults() BruteForceConfig {
	if c.PerAddress == 0 {
		c.PerAddress = 20
	}
	if c.PerUser == 0 {
		c.PerUser = 10
	}
	if c.Wait == 0 {
		c.Wait = time.Second
	}
	if c.MaxWait == 0 {
		c.MaxWait = 5 * time.Minute
	}
	return c
}
