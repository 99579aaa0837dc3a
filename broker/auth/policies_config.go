package auth

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/broker/auth/policy"
)

// PolicyConfig is the part of the configuration that says who may do what.
type PolicyConfig struct {
	Policies map[string]PolicyDocument `yaml:"policies" jsonschema_description:"AWS IoT policy documents by name: written out here, or the path of a JSON or YAML file with one."`
	Attach   []Attachment              `yaml:"attach" single:"true" jsonschema_description:"Who has which policies. Whoever several of these are about has the policies of all; whoever none is about may do nothing."`
	Things   map[string]ThingConfig    `yaml:"things" jsonschema_description:"Registered things by name, for the variables iot:Connection.Thing...; * and ? in a name make an entry for many things."`
	OnDenied OnDenied                  `yaml:"on_denied" jsonschema:"enum=refuse,enum=close" jsonschema_description:"What happens to a client that does what it may not. refuse (the default): it is told so in the acknowledgement and stays. close: it is disconnected, as AWS IoT does; an MQTT 5 SUBSCRIBE is answered with reason code 0x87."`
	Metrics  MetricsDoor               `yaml:"metrics" jsonschema:"enum=policy,enum=open" jsonschema_description:"Who may read /metrics. policy (the default): this machine, and whom a policy allows topicwire:Metrics. open: everybody who reaches the listener."`
}

// OnDenied says what becomes of a client that does what it may not.
type OnDenied string

// The choices.
const (
	RefuseDenied OnDenied = "refuse"
	CloseDenied  OnDenied = "close"
)

// MetricsDoor says who may read the metrics.
type MetricsDoor string

// The choices.
const (
	MetricsByPolicy MetricsDoor = "policy"
	MetricsOpen     MetricsDoor = "open"
)

// PolicyDocument is a policy document, or the file it is in. Whoever loads the
// configuration reads the file and fills the document in.
type PolicyDocument struct {
	policy.Document `yaml:",inline"`

	File string `yaml:"file" short:"true" jsonschema:"example=policies/device.json" jsonschema_description:"A file with the document, JSON or YAML, instead of the other keys."`
}

// Check reports what is wrong with a document that stands in the configuration. One in a
// file is checked where it is read.
func (p PolicyDocument) Check(report func(path, problem, remedy string)) {
	if p.File == "" {
		p.Document.Check(report)
	}
}

// Attachment gives policies to whoever fits all that it names. Names may have the
// wildcards * and ?.
type Attachment struct {
	Policies    []string            `yaml:"policies" single:"true" jsonschema:"required,example=device" jsonschema_description:"Names of policies."`
	Everybody   bool                `yaml:"everybody" jsonschema_description:"For everybody who is let in, anonymous clients among them."`
	User        []string            `yaml:"user" single:"true" jsonschema:"example=ada" jsonschema_description:"For these user names."`
	Principal   []string            `yaml:"principal" single:"true" jsonschema:"example=fleet-*" jsonschema_description:"For principals of these names, as the method of authentication gives them."`
	Method      []string            `yaml:"method" single:"true" jsonschema:"example=jwt" jsonschema_description:"For those whom these methods have authenticated."`
	Certificate []string            `yaml:"certificate" single:"true" jsonschema:"example=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" jsonschema_description:"For client certificates with these identifiers: the SHA-256 of the DER form in hexadecimal digits, as AWS IoT has it and openssl x509 -fingerprint -sha256 prints it; * = any certificate."`
	Subject     map[string][]string `yaml:"subject" single:"true" jsonschema:"example=Organization: Acme" jsonschema_description:"For client certificates whose subject has these attributes: CommonName, Organization, OrganizationalUnit, Country, State and the others that iot:Certificate.Subject... knows, and the values of which one must be there."`
	Claims      map[string][]string `yaml:"claims" single:"true" jsonschema:"example=role: admin" jsonschema_description:"For tokens with these claims: a name, or a path with dots, and the values of which one must be there."`
}

// ThingConfig is what the configuration knows of a registered thing.
type ThingConfig struct {
	Type       string            `yaml:"type" jsonschema:"example=lamp" jsonschema_description:"The name of its type."`
	Attributes map[string]string `yaml:"attributes" jsonschema_description:"Its attributes."`
	Principals []string          `yaml:"principals" single:"true" jsonschema:"example=*" jsonschema_description:"Whom it is attached to: names of principals, user names or identifiers of certificates, with * and ? as wildcards. None: nobody."`
}

var policyName = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`) // as AWS IoT has it

// Check reports what is wrong with names and attachments. Documents are checked one by one.
func (c PolicyConfig) Check(report func(path, problem, remedy string)) {
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		if !policyName.MatchString(name) {
			report("policies."+name, fmt.Sprintf("%q is no name of a policy", name), "use 1 to 128 letters, digits and _ + = , . @ -")
		}
	}
	for i, a := range c.Attach {
		at := fmt.Sprintf("attach[%d]", i)
		for j, name := range a.Policies {
			if _, ok := c.Policies[name]; !ok {
				report(fmt.Sprintf("%s.policies[%d]", at, j), fmt.Sprintf("there is no policy %q", name), c.suggest(name))
			}
		}
		if len(a.Policies) == 0 {
			report(at+".policies", "no policy is named", "write policies: NAME")
		}
		switch someone := a.someone(); {
		case !someone && !a.Everybody:
			report(at, "says nobody to attach the policies to", "add user, principal, method, certificate, subject or claims, or everybody: true")
		case someone && a.Everybody:
			report(at+".everybody", "there are others named beside everybody", "remove everybody, or the others")
		}
		for _, name := range slices.Sorted(maps.Keys(a.Subject)) {
			if known := policy.SubjectAttributes(); !slices.Contains(known, name) {
				report(at+".subject."+name, fmt.Sprintf("a subject has no attribute %q", name), "known here: "+strings.Join(known, ", "))
			}
		}
		for j, id := range a.Certificate {
			if _, err := fingerprint(id); err != nil {
				report(fmt.Sprintf("%s.certificate[%d]", at, j), err.Error(), "write 64 hexadecimal digits, with colons if you like: openssl x509 -noout -fingerprint -sha256 -in FILE prints them")
			}
		}
	}
}

// BringsPolicies reports whether a method gives its principals policies of their own, so
// that they need none attached.
func (c *Config) BringsPolicies() bool {
	return slices.ContainsFunc(c.Methods, func(m MethodConfig) bool { return slices.Contains(m.names(), "authorizer") })
}

// suggest is the remedy for the name of a policy that does not exist.
func (c PolicyConfig) suggest(name string) string {
	known := slices.Sorted(maps.Keys(c.Policies))
	if len(known) == 0 {
		return "write it under auth.policies"
	}
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return fmt.Sprintf("did you mean %q?", k)
		}
	}
	return "there are: " + strings.Join(known, ", ")
}

// CheckPolicyNames is the check of names of policies that stand elsewhere.
func (c PolicyConfig) CheckPolicyNames(names []string, report func(path, problem, remedy string)) {
	for i, name := range names {
		if _, ok := c.Policies[name]; !ok {
			report(fmt.Sprintf("[%d]", i), fmt.Sprintf("there is no policy %q", name), c.suggest(name))
		}
	}
}

// someone reports whether the attachment names somebody.
func (a *Attachment) someone() bool {
	return len(a.User)+len(a.Principal)+len(a.Method)+len(a.Certificate)+len(a.Subject)+len(a.Claims) > 0
}

// fingerprint is the identifier of a certificate in one form; a pattern stays one.
func fingerprint(s string) (string, error) {
	id := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if strings.ContainsAny(id, "*?") {
		return id, nil
	}
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%.80q is no SHA-256 fingerprint", s)
	}
	return id, nil
}
