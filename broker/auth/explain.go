package auth

import "github.com/topicwire/topicwire/broker/auth/policy"

// Explanation is how a decision about a principal came to be.
type Explanation struct {
	policy.Explanation
	// Open: nobody is restricted, because nobody need say who he is and no policy is
	// attached to anybody.
	Open bool
	// Own: the policies came with the principal, and the attached ones do not count.
	Own bool
	// Attachments are those of the configuration, in order.
	Attachments []Attached
}

// Attached is what an attachment has to do with a principal.
type Attached struct {
	Policies []string
	// Fits: the principal has the policies. If not, Misfit is the key that does not fit.
	Fits   bool
	Misfit string
}

// Explain says of a principal which policies it has and how each statement came to the
// decision. It is slow, and meant for people.
func (a *Authority) Explain(p *Principal, peer Peer, action Action, name string) (Explanation, error) {
	bound, err := a.Bind(p, peer)
	if err != nil {
		return Explanation{}, err
	}
	g, ok := bound.Policy.(*grant)
	if !ok {
		return Explanation{Explanation: policy.Explanation{Decision: bound.Decide(action, name)}}, nil
	}
	rules := a.rules.Load()
	facts := rules.facts(g.principal, g.peer)
	set := g.set(rules, facts)
	if set == nil {
		return Explanation{Open: true, Explanation: policy.Explanation{Decision: Decision{Action: action, Name: name, Allowed: true}}}, nil
	}
	e := Explanation{Explanation: set.Explain(facts, action, name), Own: g.own != nil || g.byName}
	for i := range rules.attached {
		at := &rules.attached[i]
		one := Attached{}
		one.Fits, one.Misfit = at.fit(g.principal, facts)
		for _, p := range at.policies {
			one.Policies = append(one.Policies, p.Name())
		}
		e.Attachments = append(e.Attachments, one)
	}
	return e, nil
}
