package broker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
)

// A connection ends with what it was authenticated with, and its will is published.
func TestConnectionEndsWithItsPrincipal(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{opts: broker.Options{Auth: []auth.Method{methodFunc(func(c *auth.Credentials) (*auth.Principal, error) {
			p := &auth.Principal{Name: c.ClientID, Policy: auth.AllowAll{}}
			if c.ClientID == "brief" {
				p.Expires = time.Now().Add(200 * time.Millisecond)
			}
			return p, nil
		})}}})
		watcher := s.connect(v, "watcher")
		watcher.subscribe("will", 0)
		p := s.connect(v, "brief", func(pk *packets.Packet) {
			pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "will", []byte("gone")
		})
		want := -1
		if v == 5 {
			want = 0xA0
		}
		if code := p.wantClosed(); v == 5 && code != want {
			t.Errorf("DISCONNECT %#x, want %#x", code, want)
		}
		watcher.wantMessage("will", "gone")
	})
}

// A custom authorizer is asked again after refreshAfterInSeconds: while it fails its
// client stays, and goes when it says no.
func TestPrincipalIsRenewed(t *testing.T) {
	var asked atomic.Int64
	const answer = `{"isAuthenticated":true,"principalId":"ada","refreshAfterInSeconds":1,"policyDocuments":[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}]}`
	a := auth.New(auth.Options{Invoke: func(context.Context, string, []byte) ([]byte, error) {
		if asked.Add(1) <= 2 {
			return []byte(answer), nil
		}
		return []byte(strings.Replace(answer, "true", "false", 1)), nil
	}})
	set, err := a.Prepare(auth.Config{Methods: []auth.MethodConfig{{Authorizer: &auth.AuthorizerConfig{
		Default: "main", Authorizers: map[string]auth.Authorizer{"main": {Function: "f", SigningDisabled: true}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	a.Load(set)
	s := serve(t, setup{opts: broker.Options{Auth: []auth.Method{a}}})
	p := s.connect(5, "c")
	p.subscribe("a", 0)
	p.send(publishPacket("a", "x", 0, 0))
	p.wantMessage("a", "x")
	if code := p.wantClosed(); code != 0x87 {
		t.Errorf("DISCONNECT %#x, want 0x87", code)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("the authorizer was asked %d times, want 3", n)
	}
}

// Recheck ends the connections of those who may not stay, and of nobody else.
func TestRecheck(t *testing.T) {
	s := serve(t, setup{opts: broker.Options{Auth: []auth.Method{methodFunc(func(c *auth.Credentials) (*auth.Principal, error) {
		return &auth.Principal{Name: c.ClientID, Policy: auth.AllowAll{}}, nil
	})}}})
	ada, grace := s.connect(5, "ada"), s.connect(5, "grace")
	s.Recheck(func(p *auth.Principal) error {
		if p.Name == "ada" {
			return errors.New("the user was deleted")
		}
		return nil
	})
	if code := ada.wantClosed(); code != 0x87 {
		t.Errorf("DISCONNECT %#x, want 0x87", code)
	}
	grace.subscribe("a", 0)
	grace.send(publishPacket("a", "x", 0, 0))
	grace.wantMessage("a", "x")
}
