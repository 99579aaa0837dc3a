package auth

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/topicwire/topicwire/broker/auth/policy"
)

// Authority gives principals the policies that are attached to them. Load puts others
// in their place, and every principal that it has bound has the new ones from then on.
// Make one with NewAuthority; it is safe for concurrent use.
type Authority struct {
	rules atomic.Pointer[ruleset]
}

// Peer is what policies may ask of a connection, beside who it is.
type Peer struct {
	// ClientID is the client identifier; empty outside MQTT.
	ClientID string
	// Addr is the client's network address.
	Addr netip.Addr
	// Persistent and Will are what a CONNECT asks for.
	Persistent, Will bool
}

// AuthorityOptions are what an Authority needs beside its configuration.
type AuthorityOptions struct {
	// Open: everybody whom the method Anonymous lets in may do everything, as long as no
	// policy is attached to anybody. It is for a configuration with no other method.
	Open bool
}

// NewAuthority makes an Authority of a configuration that has been checked.
func NewAuthority(c PolicyConfig, o AuthorityOptions) *Authority {
	a := &Authority{}
	a.Load(c, o)
	return a
}

// Load puts another configuration in force, at once and for everybody.
func (a *Authority) Load(c PolicyConfig, o AuthorityOptions) { a.rules.Store(newRuleset(c, o)) }

// Open reports whether nobody is restricted: nobody has to say who he is, and no policy is
// attached to anybody.
func (a *Authority) Open() bool { return a.rules.Load().open }

// ClosesDenied reports whether a client that does what it may not is disconnected.
func (a *Authority) ClosesDenied() bool { return a.rules.Load().onDenied == CloseDenied }

// MetricsOpen reports whether everybody may read the metrics.
func (a *Authority) MetricsOpen() bool { return a.rules.Load().metrics == MetricsOpen }

// Bind gives a principal the policies that are attached to it, for one connection. The
// principal itself stays as it is, so that it may be shared: the result is another one.
// An error says that the documents that came with it are no policies.
func (a *Authority) Bind(p *Principal, peer Peer) (*Principal, error) {
	g := &grant{authority: a, principal: p, peer: peer}
	switch own := p.Policy.(type) {
	case nil, AllowAll:
	case *grant: // a function's
		g.principal, g.own, g.named, g.byName = own.principal, own.own, own.named, own.byName
	default:
		return p, nil // its method knows what it may do
	}
	if p.Documents != nil {
		policies := make([]*policy.Policy, len(p.Documents))
		for i, text := range p.Documents {
			var err error
			if policies[i], err = policy.Parse(fmt.Sprintf("authorizer[%d]", i), text); err != nil {
				return nil, err
			}
		}
		g.own = policy.NewSet(policies...)
	}
	g.refresh(a.rules.Load())
	bound := *p
	bound.Policy = g
	return &bound, nil
}

// Function is the principal of a function's processes. It may do what the named policies
// allow, and without any nothing at all, unless nobody is restricted.
func (a *Authority) Function(name string, policies []string) *Principal {
	p := &Principal{Name: name, Method: MethodFunction}
	g := &grant{authority: a, principal: p, named: policies, byName: true}
	g.refresh(a.rules.Load())
	p.Policy = g
	return p
}

// ThingOf is the name of the registered thing that a bound principal's client is, if it
// is attached to it; empty otherwise.
func (a *Authority) ThingOf(p *Principal) string {
	if g, ok := p.Policy.(*grant); ok {
		if t := a.rules.Load().thing(g.principal, g.peer.ClientID); t != nil && t.Attached {
			return t.Name
		}
	}
	return ""
}

// MethodFunction is the Method of a function's principal.
const MethodFunction = "function"

// grant is the policy of one principal's connection: a Bound that follows its authority.
type grant struct {
	authority *Authority
	principal *Principal
	peer      Peer
	own       *policy.Set // of documents that came with the principal; nil = the attached ones
	named     []string    // of a function
	byName    bool        // named counts

	now atomic.Pointer[granted]
}

// granted is what a grant came to under one ruleset.
type granted struct {
	rules *ruleset
	bound *policy.Bound // nil: everything is allowed
}

// current is what holds now.
func (g *grant) current() *policy.Bound {
	now := g.now.Load()
	if rules := g.authority.rules.Load(); now.rules != rules {
		now = g.refresh(rules)
	}
	return now.bound
}

func (g *grant) refresh(rules *ruleset) *granted {
	now := &granted{rules: rules}
	facts := rules.facts(g.principal, g.peer)
	if set := g.set(rules, facts); set != nil {
		now.bound = set.Bind(facts)
	}
	g.now.Store(now)
	return now
}

// set is the policies that count; nil = everything is allowed.
func (g *grant) set(rules *ruleset, facts *policy.Facts) *policy.Set {
	switch {
	case g.own != nil:
		return g.own
	case g.byName && rules.open && len(g.named) == 0:
		return nil // as everybody: its process could just leave its credentials out
	case g.byName:
		return rules.named(g.named)
	case rules.free(g.principal):
		return nil
	}
	return rules.set(g.principal, facts)
}

// Allows asks the policies of now.
func (g *grant) Allows(a Action, name string) bool {
	b := g.current()
	return b == nil || b.Allows(a, name)
}

// All reports whether they allow a on everything.
func (g *grant) All(a Action) bool {
	b := g.current()
	return b == nil || b.All(a)
}

// Decide asks them and says which statement decided.
func (g *grant) Decide(a Action, name string) Decision {
	if b := g.current(); b != nil {
		return b.Decide(a, name)
	}
	return Decision{Action: a, Name: name, Allowed: true}
}

// ruleset is one configuration, compiled.
type ruleset struct {
	open     bool
	onDenied OnDenied
	metrics  MetricsDoor
	policies map[string]*policy.Policy
	attached []attachment
	things   map[string]ThingConfig
	patterns []string // names of things with wildcards, in order

	mu   sync.Mutex
	sets map[string]*policy.Set // by which attachments fit
}

// attachment is an Attachment, compiled.
type attachment struct {
	policies  []*policy.Policy
	everybody bool
	fits      []fit
}

// fit is one key of an attachment: what it asks of a principal.
type fit struct {
	key string
	of  func(p *Principal, f *policy.Facts) bool
}

func newRuleset(c PolicyConfig, o AuthorityOptions) *ruleset {
	r := &ruleset{
		open: o.Open && len(c.Attach) == 0, onDenied: c.OnDenied, metrics: c.Metrics,
		policies: make(map[string]*policy.Policy, len(c.Policies)), things: c.Things, sets: map[string]*policy.Set{},
	}
	for name, d := range c.Policies {
		r.policies[name] = policy.Compile(name, &d.Document)
	}
	for i := range c.Attach {
		r.attached = append(r.attached, r.attachment(&c.Attach[i]))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Things)) {
		if strings.ContainsAny(name, "*?") {
			r.patterns = append(r.patterns, name)
		}
	}
	return r
}

func (r *ruleset) attachment(a *Attachment) attachment {
	out := attachment{everybody: a.Everybody && !a.someone()}
	for _, name := range a.Policies {
		if p := r.policies[name]; p != nil {
			out.policies = append(out.policies, p)
		}
	}
	add := func(key string, of func(p *Principal, f *policy.Facts) bool) {
		out.fits = append(out.fits, fit{key, of})
	}
	text := func(key string, patterns []string, value func(p *Principal) string) {
		if len(patterns) > 0 {
			add(key, func(p *Principal, _ *policy.Facts) bool {
				v := value(p)
				return v != "" && oneMatches(patterns, v)
			})
		}
	}
	text("user", a.User, func(p *Principal) string { return p.Username })
	text("principal", a.Principal, func(p *Principal) string { return p.Name })
	text("method", a.Method, methodOf)
	if len(a.Certificate) > 0 {
		ids := make([]string, 0, len(a.Certificate))
		for _, s := range a.Certificate {
			if id, err := fingerprint(s); err == nil {
				ids = append(ids, id)
			}
		}
		add("certificate", func(p *Principal, _ *policy.Facts) bool {
			return p.Certificate != nil && oneMatches(ids, policy.CertificateID(p.Certificate))
		})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Subject)) {
		patterns := a.Subject[name]
		add("subject."+name, func(p *Principal, _ *policy.Facts) bool {
			return p.Certificate != nil &&
				slices.ContainsFunc(policy.SubjectAttribute(p.Certificate, name), func(v string) bool { return oneMatches(patterns, v) })
		})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Claims)) {
		patterns := a.Claims[name]
		add("claims."+name, func(_ *Principal, f *policy.Facts) bool {
			return slices.ContainsFunc(f.Claim(name), func(v string) bool { return oneMatches(patterns, v) })
		})
	}
	return out
}

// methodOf is how a principal was authenticated.
func methodOf(p *Principal) string {
	if _, free := p.Policy.(AllowAll); p.Method == "" && free {
		return "anonymous"
	}
	return p.Method
}

func oneMatches(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return policy.Match(p, s) })
}

// free reports whether the principal may do everything, because nobody is restricted.
func (r *ruleset) free(p *Principal) bool {
	_, all := p.Policy.(AllowAll)
	return r.open && all && p.Documents == nil
}

// maxSets bounds how many combinations of policies are kept for others with the same.
const maxSets = 1024

// set is the policies that are attached to a principal.
func (r *ruleset) set(p *Principal, f *policy.Facts) *policy.Set {
	key := make([]byte, (len(r.attached)+7)/8)
	for i := range r.attached {
		if r.attached[i].fitsTo(p, f) {
			key[i/8] |= 1 << (i % 8)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sets[string(key)]; s != nil {
		return s
	}
	var policies []*policy.Policy
	for i := range r.attached {
		if key[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		for _, one := range r.attached[i].policies {
			if !slices.Contains(policies, one) {
				policies = append(policies, one)
			}
		}
	}
	s := policy.NewSet(policies...)
	if len(r.sets) < maxSets {
		r.sets[string(key)] = s
	}
	return s
}

func (a *attachment) fitsTo(p *Principal, f *policy.Facts) bool {
	fits, _ := a.fit(p, f)
	return fits
}

// fit reports whether the attachment is about a principal; misfit is the key that says
// that it is not.
func (a *attachment) fit(p *Principal, f *policy.Facts) (fits bool, misfit string) {
	for i := range a.fits {
		if !a.fits[i].of(p, f) {
			return false, a.fits[i].key
		}
	}
	return a.everybody || len(a.fits) > 0, ""
}

// named is the policies of these names, as far as there are such.
func (r *ruleset) named(names []string) *policy.Set {
	var policies []*policy.Policy
	for _, name := range names {
		if p := r.policies[name]; p != nil {
			policies = append(policies, p)
		}
	}
	return policy.NewSet(policies...)
}

// facts are what is known of a connection.
func (r *ruleset) facts(p *Principal, peer Peer) *policy.Facts {
	return &policy.Facts{
		ClientID: peer.ClientID, Principal: p.Name, Method: methodOf(p), Username: p.Username, Source: peer.Addr,
		Certificate: p.Certificate, Claims: p.Claims, Thing: r.thing(p, peer.ClientID), Persistent: peer.Persistent, Will: peer.Will,
	}
}

// thing is the registered thing of a client identifier; nil if there is none.
func (r *ruleset) thing(p *Principal, clientID string) *policy.Thing {
	if clientID == "" || len(r.things) == 0 {
		return nil
	}
	c, ok := r.things[clientID]
	for i := 0; !ok && i < len(r.patterns); i++ {
		if policy.Match(r.patterns[i], clientID) {
			c, ok = r.things[r.patterns[i]], true
		}
	}
	if !ok {
		return nil
	}
	names := []string{p.Name}
	if p.Method != nameAuthorizer { // of whose clients only the function knows whether the user name is theirs
		names = append(names, p.Username)
	}
	if p.Certificate != nil {
		names = append(names, policy.CertificateID(p.Certificate))
	}
	attached := slices.ContainsFunc(names, func(name string) bool { return name != "" && oneMatches(c.Principals, name) })
	return &policy.Thing{
		Name: clientID, Type: c.Type, Attributes: c.Attributes,
		Attached: attached || slices.Contains(c.Principals, "*"), // the anonymous too, who has no name
	}
}
