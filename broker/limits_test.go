package broker_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/message"
)

func TestLimitsCheck(t *testing.T) {
	three := 3
	for _, c := range []struct {
		limits broker.Limits
		path   string // of the only report; empty = none
	}{
		{broker.Limits{}, ""},
		{broker.DefaultLimits(), ""},
		{broker.Limits{Profile: broker.ProfileAWSIoT}.Effective(), ""},
		{broker.Limits{Profile: "aws"}, "profile"},
		{broker.Limits{MaxInflight: 65536}, "max_inflight"},
		{broker.Limits{MaxPacketSize: -1}, "max_packet_size"},
		{broker.Limits{MaxQoS: &three}, "max_qos"},
		{broker.Limits{SlowTimeout: time.Millisecond}, "slow_timeout"},
		{broker.Limits{MaxKeepAlive: 24 * time.Hour}, "max_keep_alive"},
	} {
		var paths []string
		c.limits.Check(func(path, problem, remedy string) {
			if problem == "" || remedy == "" {
				t.Errorf("%s: nothing is said", path)
			}
			paths = append(paths, path)
		})
		if got := strings.Join(paths, ","); got != c.path {
			t.Errorf("%+v: reports %q, want %q", c.limits, got, c.path)
		}
	}
	broker.QueueLimits{Policy: session.Refuse}.Check(func(path, _, _ string) { t.Error(path) })
	reported := false
	broker.QueueLimits{Policy: "drop"}.Check(func(path, _, _ string) { reported = path == "policy" })
	if !reported {
		t.Error("an unknown policy is not reported")
	}
}

// A value that is set stays, one that is not comes from the profile.
func TestProfile(t *testing.T) {
	l := broker.Limits{Profile: broker.ProfileAWSIoT, MaxTopicLevels: 20, Limits: listen.Limits{MaxConnections: 5}}.Effective()
	if l.MaxTopicLevels != 20 || l.MaxConnections != 5 || l.MaxTopicLength != 256 || *l.MaxQoS != 1 || l.MaxSubscriptions != 50 {
		t.Errorf("%+v", l)
	}
	if l.MaxConnectionsPerAddress != 10_000 || l.ConnectRatePerAddress != 1000 {
		t.Errorf("one address may have %d connections, %v a second", l.MaxConnectionsPerAddress, l.ConnectRatePerAddress)
	}
}

func TestSessionsAndRetainedMessagesAreLimited(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{MaxSessions: 2, MaxRetained: 2, SysInterval: -1}})
	one := s.connect(5, "one", persistent)
	s.connect(5, "two", persistent).bye()
	for v, code := range map[byte]byte{4: 3, 5: 0x97} {
		if got := s.tryConnect(v, "three").ack.ReasonCode; got != code {
			t.Errorf("version %d: CONNACK %#x, want %#x", v, got, code)
		}
	}
	s.connect(5, "two").bye() // not a third one
	one.publish("a", "x", retain)
	one.publish("b", "x", retain)
	one.send(publishPacket("c", "x", 1, 1, retain))
	one.wantCode(packets.Puback, 0x97)
	one.publish("b", "y", retain)
	one.publish("a", "", retain)
	one.publish("c", "x", retain)
}

// A session belongs to the principal that began it: another one under the same client
// identifier does not get its messages.
func TestSessionBelongsToItsPrincipal(t *testing.T) {
	s := serve(t, setup{opts: restricted()})
	user := func(name string) func(*packets.Packet) {
		return func(pk *packets.Packet) { pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte(name) }
	}
	s.connect(5, "c", persistent, user("ada")).subscribeAndLeave("secret", 1)
	s.connect(5, "pub").publish("secret", "for ada")
	eve := s.connect(5, "c", persistent, user("eve"))
	if eve.ack.SessionPresent {
		t.Error("another principal's session was resumed")
	}
	eve.quiet()
	// Her session ends with that, also when she is there: her will does not wait.
	watch := s.connect(5, "watch")
	watch.subscribe("w", 0)
	s.connect(5, "d", persistent, user("ada"), withWill("w", "ada", willDelay(100)))
	if s.connect(5, "d", persistent, user("eve")).ack.SessionPresent {
		t.Error("another principal's session was taken over")
	}
	watch.wantMessage("w", "ada")
}

// What a method learns about a client reaches the messages it publishes.
func TestOrigin(t *testing.T) {
	got := make(chan message.Origin, 1)
	s := serve(t, setup{
		opts: broker.Options{Auth: []auth.Method{methodFunc(func(*auth.Credentials) (*auth.Principal, error) {
			return &auth.Principal{Name: "ada", Policy: auth.AllowAll{}}, nil
		})}},
		accept: func(_ context.Context, m *message.Message) (broker.Pending, error) {
			got <- m.From
			return nil, nil
		},
	})
	p := s.connect(5, "c")
	p.publish("a", "x")
	o := <-got
	if o.ClientID != "c" || o.Principal != "ada" || o.Via != message.ViaMQTT || o.Addr.String() != p.conn.LocalAddr().String() {
		t.Errorf("origin %+v", o)
	}
}

// All clients stop and come back at once, the persistent ones with what has waited.
func TestEverybodyReconnectsAtOnce(t *testing.T) {
	const clients, kept, waiting = 1000, 100, 20
	s := serve(t, setup{})
	id := func(i int) string { return "c" + strconv.Itoa(i) }
	all := make([]*peer, clients)
	connect := func(i int) *peer {
		if i < kept {
			return s.connect(4, id(i), persistent)
		}
		return s.connect(4, id(i))
	}
	for i := range all {
		all[i] = connect(i)
		if i < kept {
			all[i].subscribe("to/"+id(i), 1)
		}
	}
	for _, p := range all {
		_ = p.conn.Close()
	}
	pub := s.connect(4, "pub")
	for i := range kept {
		pub.publishMany("to/"+id(i), 1, waiting)
	}
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = connect(i) })
	}
	wg.Wait()
	for i := range kept {
		for j := range waiting {
			all[i].ackPublish(packets.Puback, all[i].wantMessage("to/"+id(i), strconv.Itoa(j)).PacketID)
		}
		all[i].quiet()
	}
	for _, p := range all[kept:] {
		p.quiet()
	}
}
