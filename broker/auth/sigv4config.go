package auth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// SigV4Config are the settings of the method sigv4 (AWS Signature Version 4).
type SigV4Config struct {
	Keys       []KeyConfig    `yaml:"keys" jsonschema_description:"The access keys that clients sign with. Only AWS itself can check the keys of AWS accounts: these are the server's own."`
	Services   []string       `yaml:"services" jsonschema:"example=iotdevicegateway" jsonschema_description:"For which services signatures may be; by default iotdevicegateway, iotdata, lambda, execute-api and iot."`
	Region     string         `yaml:"region" jsonschema:"example=eu-central-1" jsonschema_description:"For which region signatures must be; any by default."`
	Hosts      []string       `yaml:"hosts" jsonschema:"example=broker.example.com" jsonschema_description:"The names under which clients reach the server. Signatures for others are refused then; without this, a signature must be for the Host that the request names. A proxy that changes Host makes it necessary."`
	MaxExpires time.Duration  `yaml:"max_expires" jsonschema:"example=24h" jsonschema_description:"The longest X-Amz-Expires of a presigned URL; 24h by default, 7 days at most. A URL that names none is good for 5 minutes."`
	Reuse      SignatureReuse `yaml:"reuse" jsonschema:"enum=same_address,enum=never,enum=until_expiry" jsonschema_description:"Whether a signature lets in again while it is good. same_address (the default): from the network address that used it first; elsewhere the client has to sign again. never: a presigned URL or WebSocket handshake lets in once; clients that connect again have to sign again, as AWS's SDKs do, and two that sign with one key in the same second are in each other's way. until_expiry: from anywhere, as on AWS: whoever has read a URL can use it."`
}

// SignatureReuse says whether a signature lets in more than once.
type SignatureReuse string

// The choices.
const (
	ReuseSameAddress SignatureReuse = "same_address" // the default
	ReuseNever       SignatureReuse = "never"
	ReuseUntilExpiry SignatureReuse = "until_expiry"
)

// KeyConfig is an access key.
type KeyConfig struct {
	ID        string `yaml:"id" jsonschema:"required,example=AKIAEXAMPLE000000001" jsonschema_description:"The access key ID."`
	Secret    string `yaml:"secret" secret:"true" jsonschema:"required,example=${DEVICE_SECRET}" jsonschema_description:"The secret access key: at least 20 characters."`
	Token     string `yaml:"session_token" secret:"true" jsonschema:"example=${DEVICE_TOKEN}" jsonschema_description:"The session token of a temporary key, which clients then have to show."`
	Principal string `yaml:"principal" jsonschema:"example=dashboard" jsonschema_description:"Who signs with the key; the ID by default."`
}

const (
	defaultMaxExpires = 24 * time.Hour
	maxMaxExpires     = 7 * 24 * time.Hour
	minKeySecret      = 20
)

// defaultServices are those under whose names clients of ours sign.
func defaultServices() []string {
	return []string{"iotdevicegateway", "iotdata", "lambda", "execute-api", "iot"}
}

var keyID = regexp.MustCompile(`^\w{3,128}$`)

// Check reports keys that cannot be used, and what would be no protection.
func (c SigV4Config) Check(report func(path, problem, remedy string)) {
	if len(c.Keys) == 0 {
		report("keys", "there is no access key", "add keys: [{id: AKIAEXAMPLE000000001, secret: ${DEVICE_SECRET}}]")
	}
	seen := map[string]bool{}
	for i, k := range c.Keys {
		at := fmt.Sprintf("keys[%d]", i)
		switch {
		case k.ID != "" && !keyID.MatchString(k.ID):
			report(at+".id", fmt.Sprintf("%q is no access key ID", k.ID), "use 3 to 128 letters and digits, for example AKIAEXAMPLE000000001")
		case seen[k.ID]:
			report(at+".id", fmt.Sprintf("%q is there twice", k.ID), "remove one of them")
		}
		seen[k.ID] = true
		if k.Secret != "" && len(k.Secret) < minKeySecret {
			report(at+".secret", "is shorter than 20 characters and can be guessed", "use a random one, for example of: openssl rand -base64 30")
		}
	}
	if c.MaxExpires < 0 || c.MaxExpires > maxMaxExpires {
		report("max_expires", c.MaxExpires.String()+" is out of range", "write at most 7d, as AWS allows")
	}
	for i, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/ ") {
			report(fmt.Sprintf("hosts[%d]", i), fmt.Sprintf("%q is no host", h), "write a name, with its port if clients sign that: broker.example.com or broker.example.com:8443")
		}
	}
	for i, s := range c.Services {
		if s == "" || slices.Index(c.Services, s) != i {
			report(fmt.Sprintf("services[%d]", i), fmt.Sprintf("%q is empty or there twice", s), "remove it")
		}
	}
}
