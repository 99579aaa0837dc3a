package broker

import (
	"testing"
	"time"

	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/topics"
)

// A client that comes and goes again at the very moment its session expires keeps it: the
// time that has passed is not that of its new absence. [MQTT-3.1.2-23]
func TestAnExpiryThatComesLateEndsNothing(t *testing.T) {
	b, err := New(Config{Listen: listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cl := b.clients.acquire("c")
	cl.sub = &subscriber{client: cl, subs: map[string]topics.Option{}, session: session.New("c", b.sessions, true)}
	b.expireAt(cl, time.Now())
	late := cl.expires // has been taken out to run, and waits for the client
	b.schedule.cancel(late)
	b.expireAt(cl, time.Now().Add(time.Hour)) // it was there and is away again
	b.clients.release(cl)
	late.do()
	if b.clients.find("c") == nil {
		t.Fatal("the session has ended")
	}
	cl.expires.do()
	if b.clients.find("c") != nil {
		t.Error("the session has not ended in its time")
	}
}
