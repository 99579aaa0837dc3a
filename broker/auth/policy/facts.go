package policy

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Facts are what is known of one connection: what variables and conditions are about.
// Whoever makes them leaves them alone once a Set is bound to them.
type Facts struct {
	// ClientID is the client identifier; empty outside MQTT.
	ClientID string
	// Principal is the name of whoever was authenticated, Method how.
	Principal, Method string
	// Username is the user name; empty = none.
	Username string
	// Source is the client's network address.
	Source netip.Addr
	// Certificate is the one that the client was authenticated with; nil = none.
	Certificate *x509.Certificate
	// Claims are those of its token; nil = none.
	Claims map[string]any
	// Thing is the registered thing whose name is the client identifier; nil = none.
	Thing *Thing
	// Persistent and Will say what a CONNECT asks for: that the session is kept, and a
	// will message.
	Persistent, Will bool
}

// Thing is what is known of a registered thing.
type Thing struct {
	Name, Type string
	Attributes map[string]string
	// Attached: the thing belongs to whoever has connected.
	Attached bool
}

// one is the single value of a variable; why says that there is none.
func (f *Facts) one(v *variable) (value, why string) {
	values, why := f.values(v)
	switch {
	case why != "":
		return "", why
	case len(values) != 1:
		return "", fmt.Sprintf("has %d values", len(values))
	}
	return values[0], ""
}

// values are all values of a variable; why says that it has none.
func (f *Facts) values(v *variable) (values []string, why string) {
	one := func(s, why string) ([]string, string) {
		if s == "" {
			return nil, why
		}
		return []string{s}, ""
	}
	if f == nil {
		f = &Facts{}
	}
	switch v.kind {
	case varClientID:
		return one(f.ClientID, "has no value: there is no client identifier")
	case varSourceIP:
		if !f.Source.IsValid() {
			return nil, "has no value: the address is not known"
		}
		return []string{f.Source.Unmap().WithZone("").String()}, ""
	case varUsername:
		return one(f.Username, "has no value: there is no user name")
	case varPrincipal:
		return one(f.Principal, "has no value: the principal has no name")
	case varMethod:
		return one(f.Method, "has no value: the method of authentication has no name")
	case varConnectAttributes:
		if f.Persistent {
			values = append(values, "PersistentConnect")
		}
		if f.Will {
			values = append(values, "LastWill")
		}
		return values, ""
	case varClaim, varCognito:
		return f.claim(v)
	case varThingName, varThingType, varThingAttribute, varThingAttached:
		return f.thing(v)
	default:
		return f.certificate(v)
	}
}

func (f *Facts) thing(v *variable) (values []string, why string) {
	t := f.Thing
	switch {
	case t == nil:
		return nil, fmt.Sprintf("has no value: no thing %q is configured", f.ClientID)
	case v.kind == varThingAttached:
		return []string{strconv.FormatBool(t.Attached)}, ""
	case !t.Attached:
		return nil, fmt.Sprintf("has no value: the thing %q is not attached to this principal", t.Name)
	case v.kind == varThingName:
		return []string{t.Name}, ""
	case v.kind == varThingType:
		if t.Type == "" {
			return nil, fmt.Sprintf("has no value: the thing %q has no type", t.Name)
		}
		return []string{t.Type}, ""
	}
	value, ok := t.Attributes[v.arg]
	if !ok {
		return nil, fmt.Sprintf("has no value: the thing %q has no attribute %q", t.Name, v.arg)
	}
	return []string{value}, ""
}

// cognitoIssuer is who issues the tokens of Amazon Cognito's identity pools.
const cognitoIssuer = "https://cognito-identity.amazonaws.com"

// claim looks a claim up: by its name, else as a path of names with dots between.
func (f *Facts) claim(v *variable) (values []string, why string) {
	if f.Claims == nil {
		return nil, "has no value: the client has no token"
	}
	if v.kind == varCognito && f.Claims["iss"] != cognitoIssuer {
		return nil, "has no value: the token is not one of a Cognito identity pool"
	}
	value, ok := f.Claims[v.arg]
	if !ok {
		value = f.Claims
		for part := range strings.SplitSeq(v.arg, ".") {
			m, isMap := value.(map[string]any)
			if value, ok = m[part]; !isMap || !ok {
				return nil, fmt.Sprintf("has no value: the token has no claim %q", v.arg)
			}
		}
	}
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	for _, x := range list {
		s, ok := claimText(x)
		if !ok {
			return nil, fmt.Sprintf("has no value: the claim %q is neither text nor a list of texts", v.arg)
		}
		values = append(values, s)
	}
	return values, ""
}

// Claim is the values of a claim as text, by its name or a path of names with dots
// between; none if there is none.
func (f *Facts) Claim(name string) []string {
	values, _ := f.claim(&variable{kind: varClaim, arg: name})
	return values
}

// claimText is a claim's value as text.
func claimText(x any) (string, bool) {
	switch x := x.(type) {
	case string:
		return x, true
	case bool:
		return strconv.FormatBool(x), true
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), true
	case int64:
		return strconv.FormatInt(x, 10), true
	case int:
		return strconv.Itoa(x), true
	case json.Number:
		return x.String(), true
	}
	return "", false
}

// CertificateID is the identifier that AWS IoT gives a certificate: the SHA-256 of its
// DER form, in small hexadecimal digits.
func CertificateID(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func (f *Facts) certificate(v *variable) (values []string, why string) {
	c := f.Certificate
	if c == nil {
		return nil, "has no value: the client has shown no certificate"
	}
	switch v.kind {
	case varCertificateID:
		return []string{CertificateID(c)}, ""
	case varSerialNumber:
		if c.SerialNumber == nil {
			return nil, "has no value: the certificate has no serial number"
		}
		return []string{c.SerialNumber.String()}, ""
	case varSubject:
		values = attributes(&c.Subject, v.arg)
	case varIssuer:
		values = attributes(&c.Issuer, v.arg)
	default:
		values = alternatives(c, v.arg)
	}
	switch {
	case v.list && len(values) > 0:
		return values, ""
	case len(values) <= v.index:
		return nil, fmt.Sprintf("has no value: the certificate has %d of it", len(values))
	}
	return values[v.index : v.index+1], ""
}

// attributes are the values of an attribute, in the order of the certificate.
func attributes(n *pkix.Name, name string) []string {
	i := slices.IndexFunc(nameAttributes[:], func(a struct{ name, oid string }) bool { return a.name == name })
	var values []string
	for _, a := range n.Names {
		if s, ok := a.Value.(string); ok && i >= 0 && a.Type.String() == nameAttributes[i].oid {
			values = append(values, s)
		}
	}
	return values
}

// SubjectAttribute are the values that an attribute has in a certificate's subject.
func SubjectAttribute(c *x509.Certificate, name string) []string { return attributes(&c.Subject, name) }

// SubjectAttributes are the names of the attributes that are known.
func SubjectAttributes() []string { return attributeNames() }

func alternatives(c *x509.Certificate, kind string) []string {
	switch kind {
	case "RFC822Name":
		return c.EmailAddresses
	case "DNSName":
		return c.DNSNames
	case "UniformResourceIdentifier":
		values := make([]string, len(c.URIs))
		for i, u := range c.URIs {
			values[i] = u.String()
		}
		return values
	default:
		values := make([]string, len(c.IPAddresses))
		for i, ip := range c.IPAddresses {
			values[i] = ip.String()
		}
		return values
	}
}
