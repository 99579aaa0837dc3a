package function

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// Config says what stands behind a function's name: exactly one of a runtime (an
// emulated Lambda), lambda (a real one) and http. Of the emulator's settings, timeout
// and concurrency hold for all three.
type Config struct {
	emulator.Config `yaml:",inline"`

	Policy []string `yaml:"policy" single:"true" jsonschema:"example=may-publish" jsonschema_description:"Names of policies under auth.policies: what the function's processes may do when they call back, with the credentials that they find in their environment. Without it: nothing."`

	Lambda   string `yaml:"lambda" jsonschema:"example=arn:aws:lambda:eu-central-1:123456789012:function:ingest" jsonschema_description:"A real Lambda function: its ARN or name, with :VERSION or :ALIAS if you like. Credentials come from where AWS's own tools take them."`
	Region   string `yaml:"region" jsonschema:"example=eu-central-1" jsonschema_description:"With lambda: the AWS region. Left out, it is the ARN's, else AWS_REGION's or the AWS configuration file's."`
	Endpoint string `yaml:"endpoint" jsonschema:"example=http://127.0.0.1:4566" jsonschema_description:"With lambda: the address of something else that speaks Lambda's interface, for instance LocalStack or serverless-offline."`
	Quirks   Quirks `yaml:"quirks" jsonschema:"enum=auto,enum=aws,enum=rie" jsonschema_description:"With endpoint: what it deviates from AWS in. aws: nothing. rie: it is the Runtime Interface Emulator of Lambda's container images. auto, the default, finds out."`
	LogTail  bool   `yaml:"log_tail" jsonschema_description:"With lambda: fetch the last 4 KB of the function's log with every answer and write it to ours."`

	HTTP    string            `yaml:"http" jsonschema:"example=http://127.0.0.1:9000/ingest" jsonschema_description:"An HTTP function: the event is POSTed to this URL, and the body of a 2xx answer is the result."`
	Headers map[string]string `yaml:"headers" jsonschema_description:"With http: headers to send along."`
	Auth    *Auth             `yaml:"auth" jsonschema_description:"With http: how to authenticate."`
}

// Auth is how an HTTP function wants to be authenticated with: one of the three.
type Auth struct {
	Basic  *BasicAuth `yaml:"basic" jsonschema_description:"User name and password."`
	Bearer string     `yaml:"bearer" secret:"true" jsonschema:"example=${file:/run/secrets/token}" jsonschema_description:"A bearer token."`
	SigV4  *SigV4     `yaml:"sigv4" jsonschema_description:"AWS's signature, with the credentials that AWS's own tools would take. {} is enough for a Lambda Function URL or an API Gateway."`
}

// BasicAuth is a user name and password (RFC 7617).
type BasicAuth struct {
	Username string `yaml:"username" jsonschema:"required" jsonschema_description:"The user name; it has no colon."`
	Password string `yaml:"password" secret:"true" jsonschema_description:"The password."`
}

// The time limits of functions that set none.
const (
	defaultHTTPTimeout = 30 * time.Second
	// Lambda ends a function itself, after 15 minutes at the latest; a little more
	// leaves it the time to say so.
	defaultLambdaTimeout = 15*time.Minute + 10*time.Second
)

// limit is how long an invocation may take; 0 leaves it to the function.
func (c Config) limit() time.Duration {
	switch {
	case c.emulated():
		return 0
	case c.Timeout > 0:
		return c.Timeout
	case c.HTTP != "":
		return defaultHTTPTimeout
	default:
		return defaultLambdaTimeout
	}
}

// emulated reports whether the function runs here. What is neither lambda nor http
// counts as emulated, so that the emulator says what is missing.
func (c Config) emulated() bool { return c.Lambda == "" && c.HTTP == "" }

// Check reports what is wrong with c.
func (c Config) Check(report func(path, problem, remedy string)) {
	switch {
	case c.Lambda != "" && c.HTTP != "":
		report("http", "the function has both lambda and http", "keep one of them, or make two functions")
	case !c.emulated() && c.Runtime != "":
		report("runtime", "the function has a runtime, and lambda or http beside it", "keep one of runtime, lambda and http")
	}
	c.checkHTTP(report)
	c.checkLambda(report)
	if c.emulated() {
		c.Config.Check(report)
		return
	}
	c.checkShared(report)
}

// checkShared looks at the emulator's settings in a function that it does not run.
func (c Config) checkShared(report func(path, problem, remedy string)) {
	if c.Concurrency < 0 || c.Concurrency > maxConcurrency {
		report("concurrency", fmt.Sprintf("%d is out of range", c.Concurrency), fmt.Sprintf("use 1 to %d", maxConcurrency))
	}
	if c.Timeout < 0 {
		report("timeout", "is negative", "write a duration such as 5s")
	}
	v := reflect.ValueOf(c.Config)
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch key {
		case "timeout", "concurrency", "runtime": // for all; reported already
		default:
			if !v.Field(i).IsZero() {
				report(key, "is for functions that run here", "remove it: lambda and http functions run elsewhere")
			}
		}
	}
}

func (c Config) checkLambda(report func(path, problem, remedy string)) {
	if c.Lambda == "" {
		for _, f := range [...]struct {
			key string
			set bool
		}{{"region", c.Region != ""}, {"endpoint", c.Endpoint != ""}, {"quirks", c.Quirks != ""}, {"log_tail", c.LogTail}} {
			if f.set {
				report(f.key, "has no meaning without lambda", "add lambda: NAME, or remove "+f.key)
			}
		}
		return
	}
	t, err := parseTarget(c.Lambda)
	switch {
	case err != nil:
		report("lambda", err.Error(), "write the function's name or its ARN")
	case c.Region != "" && t.region != "" && c.Region != t.region:
		report("region", fmt.Sprintf("is %s, and the ARN says %s", c.Region, t.region), "remove region: the ARN's counts")
	}
	if c.Endpoint != "" {
		checkURL("endpoint", c.Endpoint, report)
	}
	c.checkQuirks(report)
}

func (c Config) checkHTTP(report func(path, problem, remedy string)) {
	if c.HTTP == "" {
		if len(c.Headers) > 0 {
			report("headers", "has no meaning without http", "add http: URL, or remove headers")
		}
		if c.Auth != nil {
			report("auth", "has no meaning without http", "add http: URL, or remove auth")
		}
		return
	}
	checkURL("http", c.HTTP, report)
	CheckHeaders("headers", c.Headers, report)
	if c.Auth != nil {
		c.Auth.check(c.HTTP, report)
	}
}

func (a *Auth) check(url string, report func(path, problem, remedy string)) {
	ways := 0
	for _, given := range [...]bool{a.Basic != nil, a.Bearer != "", a.SigV4 != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		report("auth", "has more than one of basic, bearer and sigv4", "keep one of them")
	case ways == 0:
		report("auth", "is empty", "add basic: {username, password}, bearer: TOKEN or sigv4: {}")
	case a.Basic != nil && (a.Basic.Username == "" || strings.Contains(a.Basic.Username, ":")):
		report("auth.basic.username", "is empty or has a colon", "write a user name without a colon")
	case a.SigV4 != nil && a.SigV4.filledFor(url).Service == "":
		report("auth.sigv4.service", "is missing, and the URL's host does not tell", "write the service's name in signatures, for instance lambda or execute-api")
	}
}

// CheckHeaders reports names and values that HTTP cannot carry.
func CheckHeaders(path string, headers map[string]string, report func(path, problem, remedy string)) {
	for _, k := range slices.Sorted(maps.Keys(headers)) {
		switch {
		case !IsToken(k):
			report(path+"."+k, fmt.Sprintf("%q is not a header name", k), "use letters, digits and hyphens")
		case strings.ContainsFunc(headers[k], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			report(path+"."+k, "the value has control characters", "write it on one line")
		}
	}
}

// IsToken reports whether s is a token (RFC 9110, section 5.6.2).
func IsToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

func checkURL(path, s string, report func(path, problem, remedy string)) {
	if problem := URLProblem(s); problem != "" {
		report(path, problem, "write http://HOST:PORT/PATH or https://...")
	}
}

// URLProblem says why an event cannot be POSTed to s, or nothing.
func URLProblem(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is not a URL", s)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Sprintf("%q is not an http or https URL", s)
	case u.Host == "":
		return fmt.Sprintf("%q names no host", s)
	}
	return ""
}

// set adds the Authorization header.
func (a *Auth) set(h http.Header) {
	switch {
	case a.Basic != nil:
		r := http.Request{Header: h}
		r.SetBasicAuth(a.Basic.Username, a.Basic.Password)
	case a.Bearer != "":
		h.Set("Authorization", "Bearer "+a.Bearer)
	}
}
