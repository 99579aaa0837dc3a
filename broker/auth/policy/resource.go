package policy

import (
	"fmt"
	"slices"
	"strings"
)

// resource is one element of a statement's Resource.
type resource struct {
	text  string
	kinds kinds
	// name is the pattern of the name; of several kinds at once, it is that of kind and
	// name together, unless whole says that all names are meant.
	name  pattern
	whole bool
	many  bool
}

// foreignKinds are kinds of resource that AWS IoT has and no action here is about.
var foreignKinds = [...]string{
	"authorizer", "billinggroup", "cacert", "cert", "domainconfiguration", "dynamicthinggroup", "job", "jobtemplate", "policy",
	"provisioningtemplate", "rolealias", "rule", "stream", "thinggroup", "thingtype",
}

// resourceRemedy says how a resource is written.
const resourceRemedy = "write arn:aws:iot:*:*:topic/NAME, topic/NAME for short, or *"

// parseResource takes an ARN apart, a short form of one (topic/NAME), or *. Region and
// account may be anything: this server is in no region and belongs to no account.
func parseResource(text string) (*resource, *problem) {
	r := &resource{text: text, kinds: kindsAll, whole: true}
	if text == "*" {
		return r, nil
	}
	if !strings.HasPrefix(text, "arn:") && text != "arn" {
		for _, k := range kindNames {
			if strings.HasPrefix(text, k.prefix) {
				return r, r.named(text)
			}
		}
		return nil, problemf(resourceRemedy, "%q is no resource", text)
	}
	fields := arnFields(text)
	for _, f := range fields[:min(len(fields), 5)] {
		if strings.Contains(f, "${") {
			return nil, problemf("write * in its place", "%q has a variable in front of the resource's name", text)
		}
	}
	if len(fields) > 2 {
		var ok bool
		if r.kinds, ok = serviceKinds(fields[2]); !ok {
			return nil, problemf(resourceRemedy, "%q names the service %q, whose resources are not known here", text, fields[2])
		}
	}
	if len(fields) < 6 {
		// A * stands for the fields that are missing only if it is a field of its own: in
		// arn:aws:iot:eu-central-1:topic/a* the account was forgotten.
		if fields[len(fields)-1] != "*" {
			return nil, problemf("an ARN is arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE, with * for any region and account", "%q is no whole ARN", text)
		}
		return r, nil
	}
	if strings.Contains(fields[3]+fields[4], "/") {
		return nil, problemf("an ARN is arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE, with * for any region and account", "%q has a name where its region or account should be", text)
	}
	if !strings.HasPrefix(fields[1], "aws") && !strings.ContainsAny(fields[1], "*?") {
		return nil, problemf("begin it with arn:aws:", "%q is no ARN of AWS's", text)
	}
	if fields[5] == "*" {
		return r, nil
	}
	return r, r.named(fields[5])
}

// serviceKinds are the kinds of resource of a service.
func serviceKinds(service string) (kinds, bool) {
	p, wrong := parsePattern(service, wild)
	if wrong != nil {
		return 0, false
	}
	g := p.constant()
	var k kinds
	for _, s := range [...]struct {
		name  string
		kinds kinds
	}{{"iot", kindsIoT}, {"lambda", kindFunction}, {"topicwire", kindServer}} {
		if g.match(s.name) {
			k |= s.kinds
		}
	}
	return k, k != 0
}

// arnFields splits an ARN into six at colons, those of variables not counted.
func arnFields(text string) []string {
	var fields []string
	start := 0
	for i := 0; i < len(text) && len(fields) < 5; i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			if end := strings.IndexByte(text[i:], '}'); end > 0 {
				i += end
			}
		case text[i] == ':':
			fields = append(fields, text[start:i])
			start = i + 1
		}
	}
	return append(fields, text[start:])
}

// named takes the last part of an ARN: kind and name.
func (r *resource) named(text string) *problem {
	r.whole = false
	for _, k := range kindNames {
		name, ok := strings.CutPrefix(text, k.prefix)
		if !ok || r.kinds&k.kind == 0 {
			continue
		}
		r.kinds = k.kind
		p, wrong := parsePattern(name, wild)
		if wrong != nil {
			return wrong
		}
		if len(p) == 0 {
			return problemf(fmt.Sprintf("write a name behind it, or %s*", k.prefix), "%q names nothing", r.text)
		}
		r.name = p
		return nil
	}
	p, wrong := parsePattern(text, wild)
	if wrong != nil {
		return wrong
	}
	kind, _, _ := strings.Cut(text, "/")
	switch {
	case slices.Contains(foreignKinds[:], kind):
		r.kinds = kindForeign
		return nil
	case strings.ContainsAny(kind, "*?") && !strings.Contains(kind, "$"):
		r.name, r.many = p, true // topic*: of several kinds
		r.kinds &^= kindServer | kindAccount
		return nil
	}
	known := make([]string, 0, len(kindNames))
	for _, k := range kindNames {
		if r.kinds&k.kind != 0 {
			known = append(known, strings.TrimRight(k.prefix, "/:"))
		}
	}
	if len(known) == 0 {
		return problemf("write *", "%q: the server's own actions are about no resource in particular", r.text)
	}
	return &problem{fmt.Sprintf("%q: there is no kind of resource %q", r.text, kind), suggest(kind, known)}
}

// fill gives the pattern of the names that are meant, for an action; missing is the
// variable that has no value.
func (r *resource) fill(f *Facts) (g glob, missing string) {
	if r.whole {
		return glob{shape: prefix}, ""
	}
	return r.name.fill(f)
}

// matches reports whether a name of a kind is meant, by the pattern that fill gave.
func (r *resource) matches(g *glob, k kinds, name string) bool {
	if r.many { // rare, so that it may allocate
		name = k.prefix() + name
	}
	return g.match(name)
}
