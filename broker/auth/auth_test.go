package auth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/topicwire/topicwire/broker/auth"
)

type method struct {
	principal *auth.Principal
	err       error
	asked     int
}

func (m *method) Authenticate(context.Context, *auth.Credentials) (*auth.Principal, error) {
	m.asked++
	return m.principal, m.err
}

func TestChainAsksUntilOneKnows(t *testing.T) {
	other := &method{err: fmt.Errorf("no token: %w", auth.ErrNotMine)}
	mine := &method{principal: &auth.Principal{Name: "ada"}}
	never := &method{principal: &auth.Principal{Name: "eve"}}
	p, err := auth.Chain{other, mine, never}.Authenticate(t.Context(), &auth.Credentials{})
	if err != nil || p.Name != "ada" {
		t.Fatalf("got %v, %v", p, err)
	}
	if other.asked != 1 || never.asked != 0 {
		t.Errorf("asked %d and %d times, want 1 and 0", other.asked, never.asked)
	}
}

func TestChainStopsAtRefusal(t *testing.T) {
	wrong := &method{err: auth.ErrRefused}
	never := &method{principal: &auth.Principal{Name: "eve"}}
	if _, err := (auth.Chain{wrong, never}).Authenticate(t.Context(), &auth.Credentials{}); !errors.Is(err, auth.ErrRefused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if never.asked != 0 {
		t.Error("a method behind a refusal was asked")
	}
}

func TestNobodyKnowsMeansRefused(t *testing.T) {
	for _, c := range []auth.Chain{nil, {&method{err: auth.ErrNotMine}}} {
		if p, err := c.Authenticate(t.Context(), &auth.Credentials{}); !errors.Is(err, auth.ErrNotMine) || p != nil {
			t.Errorf("got %v, %v, want ErrNotMine", p, err)
		}
	}
}

func TestDefaultIsDeny(t *testing.T) {
	var nobody *auth.Principal
	for _, p := range []*auth.Principal{nobody, {Name: "ada"}} {
		for _, a := range []auth.Action{auth.Publish, auth.Subscribe, auth.Receive} {
			if p.May(a, "a") {
				t.Errorf("%v may do %v without a policy", p, a)
			}
		}
	}
	p, err := auth.Anonymous{}.Authenticate(t.Context(), &auth.Credentials{})
	if err != nil || !p.May(auth.Publish, "a") || p.Name != "" {
		t.Errorf("anonymous: %v, %v", p, err)
	}
}
