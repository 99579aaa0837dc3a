package session_test

import (
	"testing"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// What waited for a client that was connected when the server went may have been sent:
// at QoS 1 it comes with DUP. At QoS 2 the store would know it. [MQTT-3.3.1-1]
func TestWhatMayHaveBeenSentHasDup(t *testing.T) {
	for _, connected := range []bool{true, false} {
		env, _ := newEnv(session.Config{})
		s := session.New("c", env, true)
		if connected {
			s.Interrupted()
		}
		for seq := range uint64(2) {
			s.Restore(&store.Change{Kind: store.Enqueue, Seq: seq + 1, Delivery: store.Delivery{
				Message: &message.Message{Topic: "a", QoS: 2}, QoS: byte(seq + 1),
			}})
		}
		l := &link{}
		s.Attach(l, session.Params{Version: 4, ReceiveMaximum: 10})
		if len(l.sent) != 2 || l.sent[0].dup != connected || l.sent[1].dup {
			t.Errorf("connected %v: %+v", connected, l.sent)
		}
	}
}
