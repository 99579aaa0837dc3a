package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// variable is the name of something that is known of a connection. The same names are
// variables in resources and keys of conditions.
type variable struct {
	text  string // as written
	kind  variableKind
	arg   string // attribute, claim, part of a certificate
	index int    // of an attribute that a certificate has several times, from 0
	list  bool   // all of them
}

type variableKind byte

const (
	varClientID variableKind = iota
	varSourceIP
	varUsername
	varPrincipal
	varMethod
	varConnectAttributes
	varCertificateID
	varSerialNumber
	varSubject
	varIssuer
	varAlternativeName
	varThingName
	varThingType
	varThingAttribute
	varThingAttached
	varCognito
	varClaim
)

// fixedVariables are those whose whole name is known.
var fixedVariables = [...]struct {
	name string
	kind variableKind
	arg  string
}{
	{"iot:ClientId", varClientID, ""},
	{"aws:SourceIp", varSourceIP, ""},
	{"iot:CertificateId", varCertificateID, ""},
	{"iot:Certificate.SerialNumber", varSerialNumber, ""},
	{"iot:Connection.Thing.ThingName", varThingName, ""},
	{"iot:Connection.Thing.ThingTypeName", varThingType, ""},
	{"iot:Connection.Thing.IsAttached", varThingAttached, ""},
	{"iot:ConnectAttributes", varConnectAttributes, ""},
	{"cognito-identity.amazonaws.com:sub", varCognito, "sub"},
	{"cognito-identity.amazonaws.com:aud", varCognito, "aud"},
	{"cognito-identity.amazonaws.com:amr", varCognito, "amr"},
	{"topicwire:Username", varUsername, ""},
	{"topicwire:Principal", varPrincipal, ""},
	{"topicwire:Method", varMethod, ""},
}

// The prefixes of the others.
const (
	prefixSubject     = "iot:Certificate.Subject."
	prefixAlternative = "iot:Certificate.Subject.AlternativeName."
	prefixIssuer      = "iot:Certificate.Issuer."
	prefixAttributes  = "iot:Connection.Thing.Attributes["
	prefixClaim       = "jwt:"
)

// nameAttributes are the attributes of a certificate's subject and issuer, with their
// object identifiers (X.520; RFC 5280, section 4.1.2.4).
var nameAttributes = [...]struct{ name, oid string }{
	{"DistinguishedNameQualifier", "2.5.4.46"},
	{"Country", "2.5.4.6"},
	{"Organization", "2.5.4.10"},
	{"OrganizationalUnit", "2.5.4.11"},
	{"State", "2.5.4.8"},
	{"CommonName", "2.5.4.3"},
	{"SerialNumber", "2.5.4.5"},
	{"Title", "2.5.4.12"},
	{"Surname", "2.5.4.4"},
	{"GivenName", "2.5.4.42"},
	{"Initials", "2.5.4.43"},
	{"Pseudonym", "2.5.4.65"},
	{"GenerationQualifier", "2.5.4.44"},
}

// alternativeNames are the kinds of a certificate's alternative names.
var alternativeNames = [...]string{"RFC822Name", "DNSName", "UniformResourceIdentifier", "IPAddress"}

var claimName = regexp.MustCompile(`^[^\s"'*?{}$]+$`)

// parseVariable reads a name. Capitals do not count in AWS's names; they do in the names
// of claims and of things' attributes.
func parseVariable(text string) (variable, *problem) {
	v := variable{text: text}
	for _, f := range fixedVariables {
		if strings.EqualFold(text, f.name) {
			v.kind, v.arg = f.kind, f.arg
			return v, nil
		}
	}
	switch {
	case hasPrefixFold(text, prefixAlternative):
		return v, v.certificate(varAlternativeName, text[len(prefixAlternative):], alternativeNames[:])
	case hasPrefixFold(text, prefixSubject):
		return v, v.certificate(varSubject, text[len(prefixSubject):], attributeNames())
	case hasPrefixFold(text, prefixIssuer):
		return v, v.certificate(varIssuer, text[len(prefixIssuer):], attributeNames())
	case hasPrefixFold(text, prefixAttributes) && strings.HasSuffix(text, "]"):
		v.kind, v.arg = varThingAttribute, text[len(prefixAttributes):len(text)-1]
		if v.arg != "" {
			return v, nil
		}
	case strings.HasPrefix(text, prefixClaim):
		v.kind, v.arg = varClaim, text[len(prefixClaim):]
		if claimName.MatchString(v.arg) {
			return v, nil
		}
	}
	return v, &problem{fmt.Sprintf("there is no variable %q", text), suggest(text, variableNames())}
}

// certificate reads what follows the prefix of a certificate's names: NAME, NAME.List, or
// NAME.n for the one after the n-th.
func (v *variable) certificate(kind variableKind, rest string, known []string) *problem {
	v.kind = kind
	name, suffix, more := strings.Cut(rest, ".")
	for _, k := range known {
		if strings.EqualFold(k, name) {
			v.arg = k
		}
	}
	n, err := strconv.Atoi(suffix)
	switch {
	case v.arg == "":
		return &problem{fmt.Sprintf("there is no variable %q: a certificate has no %q", v.text, name), suggest(name, known)}
	case !more:
	case strings.EqualFold(suffix, "List"):
		v.list = true
	case err != nil || n < 1 || n > 100:
		return problemf("write .1 for the second value, .2 for the third, or .List for all of them", "the variable %q has an end that means nothing", v.text)
	default:
		v.index = n
	}
	return nil
}

// conditionOnly reports a variable that stands for several values at once.
func (v *variable) conditionOnly() bool { return v.list || v.kind == varConnectAttributes }

// variableNames are the names to suggest.
func variableNames() []string {
	names := make([]string, 0, len(fixedVariables)+4)
	for _, f := range fixedVariables {
		names = append(names, f.name)
	}
	return append(names, prefixSubject+"CommonName", prefixIssuer+"CommonName", prefixAttributes+"NAME]", prefixClaim+"sub")
}

func attributeNames() []string {
	names := make([]string, len(nameAttributes))
	for i, a := range nameAttributes {
		names[i] = a.name
	}
	return names
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
