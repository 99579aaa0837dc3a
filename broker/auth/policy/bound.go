package policy

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// Set is the policies that somebody has. It is immutable, and safe for concurrent use.
type Set struct {
	policies []*Policy
	shared   *Bound // if all statements are the same for everybody
}

// NewSet puts policies together: what one denies no other allows.
func NewSet(policies ...*Policy) *Set {
	s := &Set{policies: policies}
	for _, p := range policies {
		for i := range p.statements {
			if !p.statements[i].constant() {
				return s
			}
		}
	}
	s.shared = s.bind(&Facts{})
	return s
}

// Names are the names of the policies.
func (s *Set) Names() []string {
	names := make([]string, len(s.policies))
	for i, p := range s.policies {
		names[i] = p.name
	}
	return names
}

// Bound is a Set with what is known of one connection filled in.
type Bound struct {
	set     *Set
	index   [actions]uint8 // into rulings, from 1; 0 = nothing is said
	rulings []ruling
}

// ruling is what the policies say of one action.
type ruling struct {
	deny, allow []entry
	all         bool // everything is allowed
	cache       *cache
}

// entry is a resource of a statement.
type entry struct {
	glob      glob
	many      bool // the pattern is one of kind and name together
	resource  *resource
	statement *statement
}

// Bind fills in the values of one connection. Sets without variables and conditions give
// everybody the same Bound.
func (s *Set) Bind(f *Facts) *Bound {
	if s.shared != nil {
		return s.shared
	}
	return s.bind(f)
}

func (s *Set) bind(f *Facts) *Bound {
	b := &Bound{set: s}
	for _, p := range s.policies {
		for i := range p.statements {
			b.add(&p.statements[i], f)
		}
	}
	for i := range b.rulings {
		r := &b.rulings[i]
		for j := range r.allow {
			r.all = r.all || r.allow[j].glob.everything() && !r.allow[j].resource.many
		}
		r.all = r.all && len(r.deny) == 0
		if !r.all && len(r.deny)+len(r.allow) > cacheFrom {
			r.cache = &cache{seed: maphash.MakeSeed()}
		}
	}
	return b
}

// add takes a statement over, as far as it applies to this connection.
func (b *Bound) add(s *statement, f *Facts) {
	connecting, _ := s.applies(f, true)
	otherwise, _ := s.applies(f, false)
	if !connecting && !otherwise {
		return
	}
	for i := range s.resources {
		r := &s.resources[i]
		g, missing := r.fill(f)
		if missing != "" {
			continue
		}
		for a := range actions {
			if !s.actions.has(a) || r.kinds&table[a].kind == 0 || a == Connect && !connecting || a != Connect && !otherwise {
				continue
			}
			if b.index[a] == 0 {
				b.rulings = append(b.rulings, ruling{})
				b.index[a] = uint8(len(b.rulings))
			}
			to := &b.rulings[b.index[a]-1]
			if s.deny {
				to.deny = append(to.deny, entry{g, r.many, r, s})
			} else {
				to.allow = append(to.allow, entry{g, r.many, r, s})
			}
		}
	}
}

// ruling is what is said of an action; nil = nothing.
func (b *Bound) ruling(a Action) *ruling {
	if a >= actions || b.index[a] == 0 {
		return nil
	}
	return &b.rulings[b.index[a]-1]
}

// Allows reports whether a may be done to name: the name alone, without kind.
func (b *Bound) Allows(a Action, name string) bool {
	r := b.ruling(a)
	switch {
	case r == nil:
		return false
	case r.all:
		return true
	case r.cache != nil:
		return r.cache.allows(r, a, name)
	}
	return r.allows(a, name)
}

// All reports whether a may be done to everything, so that nobody need ask.
func (b *Bound) All(a Action) bool {
	r := b.ruling(a)
	return r != nil && r.all
}

func (r *ruling) allows(a Action, name string) bool {
	return find(r.deny, a, name) == nil && find(r.allow, a, name) != nil
}

// find is the first entry that is about name.
func find(entries []entry, a Action, name string) *entry {
	for i := range entries {
		e := &entries[i]
		if e.many && e.resource.matches(&e.glob, table[a].kind, name) || !e.many && e.glob.match(name) {
			return e
		}
	}
	return nil
}

// Decide is Allows with the statement that decides.
func (b *Bound) Decide(a Action, name string) Decision {
	d := Decision{Action: a, Name: name, Policies: b.set.Names()}
	r := b.ruling(a)
	if r == nil {
		return d
	}
	e := find(r.deny, a, name)
	if e == nil {
		e = find(r.allow, a, name)
		d.Allowed = e != nil
	}
	if e != nil {
		d.Policy, d.Statement, d.Sid = e.statement.policy, e.statement.index+1, e.statement.sid
	}
	return d
}

// cacheFrom is how many patterns an action has at most that are matched one by one: a
// look into the cache costs about as much as eight of them.
const cacheFrom = 8

// cacheSize is how many names a cache remembers; a power of two.
const cacheSize = 64

// cache remembers decisions about names, for policies with many patterns. A name takes
// the place of the one that was there; nothing waits for anything. It lives as long as
// its Bound, so other policies mean another cache.
type cache struct {
	seed  maphash.Seed
	slots [cacheSize]atomic.Pointer[cached]
}

type cached struct {
	name    string
	allowed bool
}

// cachedName is the longest name that is remembered: AWS's longest topic. A connection with
// variables in its policies has caches of its own, so this bounds what it may cost.
const cachedName = 256

func (c *cache) allows(r *ruling, a Action, name string) bool {
	slot := &c.slots[maphash.String(c.seed, name)%cacheSize]
	if e := slot.Load(); e != nil && e.name == name {
		return e.allowed
	}
	allowed := r.allows(a, name)
	if len(name) <= cachedName {
		slot.Store(&cached{strings.Clone(name), allowed})
	}
	return allowed
}
