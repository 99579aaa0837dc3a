package message_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/topicwire/topicwire/message"
)

func TestExpiry(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := message.Message{Received: at}
	if m.Expired(at.Add(time.Hour)) {
		t.Error("a message without an expiry interval expired")
	}
	m.Props.Expiry, m.Props.HasExpiry = 10, true
	if m.Expired(at.Add(10*time.Second - 1)) {
		t.Error("expired before its interval had passed")
	}
	if !m.Expired(at.Add(10 * time.Second)) {
		t.Error("did not expire when its interval had passed")
	}
}

func TestEnsureID(t *testing.T) {
	var m message.Message
	id := m.EnsureID()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("%q is not a version 4 UUID", id)
	}
	if m.EnsureID() != id {
		t.Error("a second call changed the identifier")
	}
}
