package broker_test

import (
	"errors"
	"testing"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/message"
)

func TestLocalSubscribers(t *testing.T) {
	b, err := broker.New(broker.Config{Listen: listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}}}, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	var plain, signals []string
	encoded := 0
	receive := func(into *[]string) func(*message.Message, *any) {
		return func(m *message.Message, shared *any) {
			if *shared == nil {
				encoded++
				*shared = true
			}
			*into = append(*into, m.Topic)
		}
	}
	one := b.NewLocal(broker.LocalOptions{Receive: receive(&plain), May: func(topic string) bool { return topic != "a/secret" }})
	two := b.NewLocal(broker.LocalOptions{Receive: receive(&signals), Signals: true})
	for _, f := range []string{"a/#", "a/+", "a/b"} { // all match: the message comes once
		if err := errors.Join(one.Subscribe(f, false), two.Subscribe(f, false)); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Subscribers("a/b"); n != 2 {
		t.Errorf("%d subscribers", n)
	}
	for _, f := range []string{"", "a/#/b", "$share/g/a"} {
		if err := one.Subscribe(f, false); !errors.Is(err, broker.ErrFilter) {
			t.Errorf("%q: %v", f, err)
		}
	}
	if err := b.PublishLocal(&message.Message{Topic: "a/b"}); err != nil {
		t.Fatal(err)
	}
	if len(plain) != 0 || len(signals) != 1 || encoded != 1 {
		t.Errorf("%v %v %d", plain, signals, encoded)
	}
	if err := b.PublishLocal(&message.Message{Topic: "a/#"}); err == nil {
		t.Error("a wildcard was published to")
	}
	if !two.Unsubscribe("a/b") || two.Unsubscribe("a/b") {
		t.Error("unsubscribing does not say whether there was a subscription")
	}
	two.Close()
	one.Close()
	if n := b.Subscribers("a/b"); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
	if err := one.Subscribe("a", false); !errors.Is(err, broker.ErrNotServing) {
		t.Error(err)
	}
}
