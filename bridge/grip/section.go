package grip

import (
	"fmt"
	"strings"
	"time"

	"github.com/topicwire/topicwire/message"
)

// Config is the section `grip`: the door for publishing, the keys, the history.
type Config struct {
	Path    string        `yaml:"path" jsonschema:"example=/realm/my" jsonschema_description:"What stands before /publish in the URL of the door for publishing, as in GRIP_URL; nothing by default."`
	Iss     string        `yaml:"iss" jsonschema:"example=my" jsonschema_description:"The issuer under which key is known; topicwire by default."`
	Key     string        `yaml:"key" jsonschema:"example=${file:/run/secrets/grip}" jsonschema_description:"The secret that publishers show (as it is, or as JWTs signed with it) and that Grip-Sig is signed with; base64:... for bytes. Without it only this machine may publish, and a secret is made up at every start."`
	SignKey string        `yaml:"sign_key" jsonschema:"example=grip.pem" jsonschema_description:"PEM file with an EC P-256 private key: Grip-Sig is then signed with ES256, and the public key served at /.well-known/grip-jwk.json."`
	SignIss string        `yaml:"sign_iss" jsonschema:"example=pushpin" jsonschema_description:"The issuer that Grip-Sig names; pushpin by default, which GRIP's libraries expect."`
	Keys    []KeyConfig   `yaml:"keys" jsonschema_description:"Further keys of publishers."`
	History HistoryConfig `yaml:"history" jsonschema_description:"Topics whose messages are kept, so that a stream or a poll that comes back continues where it was."`

	MaxSubscriptions int `yaml:"max_subscriptions" jsonschema:"minimum=0,example=100" jsonschema_description:"Most channels of one connection; 100 by default."`
	MaxConnections   int `yaml:"max_connections" jsonschema:"minimum=0,example=10000" jsonschema_description:"Most connections held at the same time; no limit of its own by default."`
}

// KeyConfig is one key of a publisher.
type KeyConfig struct {
	Iss    string   `yaml:"iss" jsonschema:"example=shop" jsonschema_description:"The issuer of its JWTs; without it only the key itself is taken."`
	Key    string   `yaml:"key" jsonschema:"required,example=${file:/run/secrets/shop}" jsonschema_description:"The secret; base64:... for bytes."`
	Topics []string `yaml:"topics" jsonschema:"example=shop/#" jsonschema_description:"Topic filters of what it may publish to; everything by default."`
}

// HistoryConfig says which topics have a history and how long it is.
type HistoryConfig struct {
	Topics      []string      `yaml:"topics" jsonschema:"example=feed/#" jsonschema_description:"Topic filters of the topics with a history."`
	MaxMessages int           `yaml:"max_messages" jsonschema:"minimum=0,example=10000" jsonschema_description:"Most messages that are kept; 10000 by default."`
	MaxBytes    int           `yaml:"max_bytes" unit:"bytes" jsonschema:"minimum=0,example=64MB" jsonschema_description:"Most bytes that are kept; 64MB by default."`
	MaxAge      time.Duration `yaml:"max_age" jsonschema:"example=1h" jsonschema_description:"How long messages are kept; 1h by default."`
}

// Check reports what is wrong with the section itself; its parts check themselves.
func (c Config) Check(report func(path, problem, remedy string)) {
	if c.Path != "" && (!strings.HasPrefix(c.Path, "/") || strings.HasSuffix(c.Path, "/") || strings.ContainsAny(c.Path, "?#*{} ")) {
		report("path", fmt.Sprintf("%q is no path", c.Path), "write /NAME, without a slash at its end")
	}
	if c.Iss != "" && c.Key == "" {
		report("iss", "has no key", "add key: SECRET, or remove iss")
	}
}

// Check reports a key that is none and filters that are none.
func (c KeyConfig) Check(report func(path, problem, remedy string)) {
	if c.Key == "" {
		report("key", "is missing", "write the secret, best as ${file:...} or ${env:...}")
	}
	checkFilters("topics", c.Topics, report)
}

// Check reports filters that are none and ages that are negative.
func (c HistoryConfig) Check(report func(path, problem, remedy string)) {
	checkFilters("topics", c.Topics, report)
	if c.MaxAge < 0 {
		report("max_age", "is negative", "write a duration such as 1h")
	}
}

func checkFilters(path string, filters []string, report func(path, problem, remedy string)) {
	for i, f := range filters {
		if err := message.ValidateFilter(f); err != nil {
			report(fmt.Sprintf("%s[%d]", path, i), err.Error(), "write a topic filter such as feed/#")
		} else if strings.HasPrefix(f, "$share/") {
			report(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%q is a shared subscription", f), "write the filter alone")
		}
	}
}
