package broker_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/auth/policy"
	"github.com/topicwire/topicwire/message"
)

// statement is a short way to write one.
func statement(effect, action string, resources ...string) policy.Statement {
	return policy.Statement{Effect: effect, Action: strings.Fields(action), Resource: resources}
}

func allow(action string, resources ...string) policy.Statement {
	return statement("Allow", action, resources...)
}

func deny(action string, resources ...string) policy.Statement {
	return statement("Deny", action, resources...)
}

// policies is a configuration with one policy, p, for everybody.
func policies(statements ...policy.Statement) auth.PolicyConfig {
	return auth.PolicyConfig{
		Policies: map[string]auth.PolicyDocument{"p": {Document: policy.Document{Statement: statements}}},
		Attach:   []auth.Attachment{{Everybody: true, Policies: []string{"p"}}},
	}
}

// byUserName lets everybody in by the name that they give.
func byUserName() []auth.Method {
	return []auth.Method{methodFunc(func(c *auth.Credentials) (*auth.Principal, error) {
		return &auth.Principal{Name: c.Username, Username: c.Username, Method: "password"}, nil
	})}
}

// guarded serves with policies.
func guarded(t *testing.T, c auth.PolicyConfig, change ...func(*setup)) (*server, *auth.Authority) {
	t.Helper()
	for name, d := range c.Policies {
		d.Check(func(path, problem, remedy string) { t.Fatalf("%s: %s %s; %s", name, path, problem, remedy) })
	}
	a := auth.NewAuthority(c, auth.AuthorityOptions{})
	s := setup{opts: broker.Options{Auth: byUserName(), Policies: a}}
	for _, f := range change {
		f(&s)
	}
	return serve(t, s), a
}

func user(name string) func(*packets.Packet) {
	return func(pk *packets.Packet) { pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte(name) }
}

// willTo leaves a will.
func willTo(topic string, retain bool) func(*packets.Packet) {
	return func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload, pk.Connect.WillRetain = true, topic, []byte("gone"), retain
	}
}

func noProblemInfo(pk *packets.Packet) {
	pk.Properties.RequestProblemInfo, pk.Properties.RequestProblemInfoFlag = 0, true
}

// A CONNECT is refused by its client identifier, its will and the session it asks for;
// MQTT 5 says why.
func TestPoliciesAtConnect(t *testing.T) {
	connect := allow("iot:Connect", "client/lamp-*")
	connect.Condition = map[string]map[string]policy.Strings{"ForAllValues:StringEquals": {"iot:ConnectAttributes": {"LastWill"}}}
	s, _ := guarded(t, policies(connect,
		allow("iot:Connect", "client/keeper"),
		allow("iot:Publish", "topic/will/${iot:ClientId}", "topic/shared-will"),
		allow("iot:RetainPublish", "topic/shared-will"),
	))
	for _, c := range []struct {
		what   string
		id     string
		change func(*packets.Packet)
		reason string // "" = let in
	}{
		{"a client that may", "lamp-1", nil, ""},
		{"another", "other", nil, "iot:Connect on client/other is denied: no statement of policy p allows it"},
		{"one that is named like a wildcard", "*", nil, "iot:Connect on client/* is denied"},
		{"+", "+", nil, "iot:Connect on client/+ is denied"},
		{"#", "#", nil, "iot:Connect on client/# is denied"},
		{"a session to keep", "lamp-1", persistent, "iot:Connect on client/lamp-1 is denied"},
		{"a session to keep where no condition says otherwise", "keeper", persistent, ""},
		{"a will to its own topic", "lamp-1", willTo("will/lamp-1", false), ""},
		{"a will to another's", "lamp-1", willTo("will/lamp-2", false), "iot:Publish on topic/will/lamp-2 is denied"},
		{"a retained will without the right to retain", "lamp-1", willTo("will/lamp-1", true), "iot:RetainPublish on topic/will/lamp-1 is denied"},
		{"a retained will", "lamp-1", willTo("shared-will", true), ""},
		{"a will as an event", "lamp-1", willTo("$aws/events/presence/connected/lamp-2", false), "the topic is the server's own"},
	} {
		if c.change == nil {
			c.change = func(*packets.Packet) {}
		}
		p := s.tryConnect(5, c.id, c.change)
		if got := p.ack.Properties.ReasonString; (c.reason == "") != (p.ack.ReasonCode == 0) || !strings.HasPrefix(got, c.reason) {
			t.Errorf("%s: CONNACK %#x, %q; want %q", c.what, p.ack.ReasonCode, got, c.reason)
		}
		if c.reason != "" && p.ack.ReasonCode != 0x87 {
			t.Errorf("%s: CONNACK %#x, want 0x87", c.what, p.ack.ReasonCode)
		}
		p = s.tryConnect(5, c.id, c.change, noProblemInfo)
		if p.ack.Properties.ReasonString != "" {
			t.Errorf("%s: a reason string that was not asked for: %q", c.what, p.ack.Properties.ReasonString)
		}
		if p = s.tryConnect(4, c.id, c.change); (p.ack.ReasonCode == 0) != (c.reason == "") || p.ack.ReasonCode != 0 && p.ack.ReasonCode != 5 {
			t.Errorf("%s: 3.1.1: CONNACK %#x", c.what, p.ack.ReasonCode)
		}
	}
}

// Publishing: the resolved topic counts, never the alias; RETAIN asks for more.
func TestPoliciesAtPublish(t *testing.T) {
	s, _ := guarded(t, policies(
		allow("iot:Connect", "*"), allow("iot:Publish", "topic/own/${iot:ClientId}/*"), allow("iot:RetainPublish", "topic/own/${iot:ClientId}/state"),
		deny("iot:Publish", "topic/own/*/secret"), allow("iot:Subscribe iot:Receive", "*"),
	))
	all := s.connect(5, "all")
	all.subscribe("#", 0)
	p := s.connect(5, "lamp")
	for i, c := range []struct {
		topic  string
		change func(*packets.Packet)
		reason string
	}{
		{"own/lamp/x", nil, ""},
		{"own/other/x", nil, "iot:Publish on topic/own/other/x is denied: no statement of policy p allows it"},
		{"own/lamp/secret", nil, "iot:Publish on topic/own/lamp/secret is denied by statement 4 of policy p"},
		{"own/lamp/state", retain, ""},
		{"own/lamp/x", retain, "iot:RetainPublish on topic/own/lamp/x is denied"},
		{"own/other/x", alias(1), "iot:Publish on topic/own/other/x is denied"},
		{"", alias(1), "iot:Publish on topic/own/other/x is denied"}, // the alias is set, and the topic is checked again
		{"own/lamp/y", alias(1), ""},
		{"", alias(1), ""},
		{"$aws/events/presence/connected/x", nil, "the topic is the server's own"},
		{"$aws/things/lamp/shadow/update/accepted", nil, "the topic is the server's own"},
		{"$SYS/x", nil, "the topic is the server's own"},
	} {
		if c.change == nil {
			c.change = func(*packets.Packet) {}
		}
		for _, qos := range []byte{1, 2} {
			id := uint16(i + 1)
			p.send(publishPacket(c.topic, "x", qos, id, c.change))
			want, ack := byte(0), packets.Puback
			if c.reason != "" {
				want = 0x87
			}
			if qos == 2 {
				ack = packets.Pubrec
			}
			got := p.want(ack)
			if got.ReasonCode != want || !strings.HasPrefix(got.Properties.ReasonString, c.reason) {
				t.Errorf("%s at QoS %d: %#x %q, want %#x %q", c.topic, qos, got.ReasonCode, got.Properties.ReasonString, want, c.reason)
			}
			if c.reason == "" {
				all.want(packets.Publish)
				if qos == 2 {
					p.ackPublish(packets.Pubrel, id)
					p.wantCode(packets.Pubcomp, 0)
				}
			}
		}
	}
	all.quiet()
}

func alias(n uint16) func(*packets.Packet) {
	return func(pk *packets.Packet) { pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = n, true }
}

// Each filter of a SUBSCRIBE is decided on its own, a shared one by either of its forms,
// and what was retained passes the same check as what is published later.
func TestPoliciesAtSubscribeAndDelivery(t *testing.T) {
	s, _ := guarded(t, policies(
		allow("iot:Connect", "*"), allow("iot:Publish iot:RetainPublish", "*"),
		allow("iot:Subscribe", "topicfilter/site/*", "topicfilter/$share/workers/jobs", "topicfilter/own/${iot:ClientId}/*"),
		allow("iot:Receive", "topic/site/*", "topic/jobs"), deny("iot:Receive", "topic/site/secret"),
	))
	pub := s.connect(5, "pub")
	pub.publish("site/kept", "old", retain)
	pub.publish("site/secret", "old", retain)
	c := s.connect(5, "c")
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1, Filters: packets.Subscriptions{
		{Filter: "site/#"}, {Filter: "#"}, {Filter: "$share/workers/jobs"}, {Filter: "$share/others/jobs"}, {Filter: "own/c/+"}, {Filter: "own/+/x"}, {Filter: "$aws/rules/r/x"},
	}})
	ack := c.want(packets.Suback)
	if want := []byte{0, 0x87, 0, 0x87, 0, 0x87, 0x87}; !bytes.Equal(ack.ReasonCodes, want) {
		t.Errorf("SUBACK %#x, want %#x", ack.ReasonCodes, want)
	}
	for _, part := range []string{"iot:Subscribe on topicfilter/# is denied", "topicfilter/own/+/x", "$aws/rules/"} {
		if !strings.Contains(ack.Properties.ReasonString, part) {
			t.Errorf("the reason string %q has nothing of %q", ack.Properties.ReasonString, part)
		}
	}
	c.wantMessage("site/kept", "old")
	c.quiet() // not the secret
	pub.publish("site/secret", "new")
	pub.publish("own/c/x", "new") // may be subscribed to and not be received
	pub.publish("jobs", "new")
	c.wantMessage("jobs", "new")
	c.quiet()
	// A client named like a wildcard subscribes to everybody's topics where the policy
	// lets it in, and receives no more than it may.
	plus := s.connect(5, "+")
	if got := plus.subscribe("own/+/x", 0).ReasonCodes[0]; got != 0 {
		t.Errorf("SUBACK %#x", got)
	}
	pub.publish("own/c/x", "new")
	plus.quiet()
}

// on_denied: close disconnects as AWS IoT does.
func TestDeniedIsClosed(t *testing.T) {
	c := policies(allow("iot:Connect", "*"), allow("iot:Publish", "topic/ok"))
	c.OnDenied = auth.CloseDenied
	s, _ := guarded(t, c)
	for _, qos := range []byte{0, 1} {
		five := s.connect(5, "five")
		five.send(publishPacket("no", "x", qos, 1))
		pk := five.want(packets.Disconnect)
		if pk.ReasonCode != 0x87 || !strings.Contains(pk.Properties.ReasonString, "iot:Publish on topic/no is denied") {
			t.Errorf("DISCONNECT %#x %q", pk.ReasonCode, pk.Properties.ReasonString)
		}
		three := s.connect(4, "three")
		three.send(publishPacket("no", "x", qos, 1))
		three.wantClosed()
	}
	five := s.connect(5, "five", noProblemInfo)
	if got := five.subscribe("no", 0); got.ReasonCodes[0] != 0x87 || got.Properties.ReasonString != "" {
		t.Errorf("SUBACK %#x %q", got.ReasonCodes, got.Properties.ReasonString)
	}
	five.send(publishPacket("no", "x", 0, 0))
	if pk := five.want(packets.Disconnect); pk.ReasonCode != 0x87 || pk.Properties.ReasonString != "" {
		t.Errorf("DISCONNECT %#x %q", pk.ReasonCode, pk.Properties.ReasonString)
	}
	three := s.connect(4, "three")
	three.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1, Filters: packets.Subscriptions{{Filter: "no"}}})
	three.wantClosed()
}

// Other policies hold at once for who is connected: subscriptions end, messages that wait
// are withheld, and who may not connect any more is disconnected.
func TestPoliciesChange(t *testing.T) {
	connect := allow("iot:Connect", "*")
	before := policies(connect, allow("iot:Publish iot:Subscribe iot:Receive", "*"))
	s, a := guarded(t, before)
	a1 := s.connect(5, "a1")
	a1.subscribe("x/#", 1)
	a1.subscribe("y", 1)
	away := s.connect(5, "away", persistent)
	away.subscribe("x/#", 1)
	away.subscribe("y", 1)
	away.lose()
	pub := s.connect(5, "pub")
	pub.publish("x/1", "before")
	pub.publish("y", "before")
	a1.wantMessage("x/1", "before")
	a1.ackPublish(packets.Puback, 1)
	a1.wantMessage("y", "before")
	a1.ackPublish(packets.Puback, 2)

	a.Load(policies(allow("iot:Connect", "client/a1", "client/away"), allow("iot:Subscribe", "topicfilter/y"), allow("iot:Receive", "topic/y"), allow("iot:Publish", "*")), auth.AuthorityOptions{})
	s.Reauthorize()
	pk := pub.want(packets.Disconnect)
	if pk.ReasonCode != 0x87 || !strings.Contains(pk.Properties.ReasonString, "iot:Connect on client/pub is denied") {
		t.Errorf("DISCONNECT %#x %q", pk.ReasonCode, pk.Properties.ReasonString)
	}
	a1.send(publishPacket("x/2", "after", 1, 7))
	a1.wantCode(packets.Puback, 0)
	a1.quiet() // it has no subscription to x/# any more
	a1.send(publishPacket("y", "after", 1, 8))
	a1.wantMessage("y", "after")
	a1.wantCode(packets.Puback, 0)
	away = s.connect(5, "away", persistent)
	away.wantMessage("y", "before")
	away.ackPublish(packets.Puback, 1)
	away.wantMessage("y", "after")
	away.quiet()

	a.Load(before, auth.AuthorityOptions{})
	s.Reauthorize()
	a1.subscribe("x/#", 0)
	a1.send(publishPacket("x/3", "again", 0, 0))
	a1.wantMessage("x/3", "again")
}

// A will that waits is published by the policies of its time.
func TestPoliciesAtWillTime(t *testing.T) {
	open := []policy.Statement{allow("iot:Connect iot:Subscribe iot:Receive", "*")}
	s, a := guarded(t, policies(append(open, allow("iot:Publish", "topic/will"))...))
	sub := s.connect(5, "sub")
	sub.subscribe("will", 0)
	s.connect(5, "c", willTo("will", false)).lose()
	sub.wantMessage("will", "gone")
	late := s.connect(5, "c", willTo("will", false))
	a.Load(policies(open...), auth.AuthorityOptions{})
	s.Reauthorize()
	late.lose()
	sub.quiet()
}

// An answer goes to a Response Topic only if the sender could receive from it, also when
// it has gone, and when somebody else has taken its name.
func TestPoliciesOfAnswers(t *testing.T) {
	c := policies(allow("iot:Connect iot:Publish", "*"), allow("iot:Receive", "topic/answers/${topicwire:Username}"))
	s, a := guarded(t, c)
	ada := message.Origin{ClientID: "c", Principal: "ada"}
	may := func(o message.Origin, topic string, want bool) {
		t.Helper()
		if got := s.MayReceive(o, topic); got != want {
			t.Errorf("%s of %s may receive from %s: %v, want %v", o.ClientID, o.Principal, topic, got, want)
		}
	}
	may(ada, "answers/ada", false) // nobody knows it
	p := s.connect(5, "c", user("ada"))
	may(ada, "answers/ada", true)
	may(ada, "answers/bob", false)
	may(message.Origin{ClientID: "c", Principal: "bob"}, "answers/bob", false)
	p.bye()
	p.wantClosed()
	s.connect(5, "other", user("eve")).bye()
	may(ada, "answers/ada", true)
	may(ada, "answers/bob", false)
	bob := s.connect(5, "c", user("bob"))
	may(ada, "answers/ada", true)
	may(ada, "answers/bob", false)
	may(message.Origin{ClientID: "c", Principal: "bob"}, "answers/bob", true)
	bob.bye()
	a.Load(policies(allow("iot:Connect", "*")), auth.AuthorityOptions{})
	may(ada, "answers/ada", false) // by the policies of now
	may(message.Origin{}, "answers/ada", false)
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A refusal is one line in the log that names the statement; many are few lines.
func TestDenialsInTheLog(t *testing.T) {
	var log syncBuffer
	forbid := deny("iot:Publish", "topic/secret/*")
	forbid.Sid = "NoSecrets"
	s, _ := guarded(t, policies(allow("iot:Connect iot:Publish", "*"), forbid), func(s *setup) { s.opts.Log = zerolog.New(&log) })
	p := s.connect(5, "lamp", user("ada"))
	for i := range uint16(200) {
		p.send(publishPacket("secret/x", "x", 1, i+1))
		p.wantCode(packets.Puback, 0x87)
	}
	text := log.String()
	for _, part := range []string{"iot:Publish on topic/secret/x is denied by statement 2 (NoSecrets) of policy p", `"client":"lamp"`, `"principal":"ada"`} {
		if !strings.Contains(text, part) {
			t.Errorf("the log has nothing of %q:\n%s", part, text)
		}
	}
	if n := strings.Count(text, "is denied by"); n > 20 {
		t.Errorf("%d lines about 200 refusals", n)
	}
}

// A reason string fits into what the client takes.
func TestReasonStringsFit(t *testing.T) {
	s, _ := guarded(t, policies(allow("iot:Connect", "*")))
	for _, most := range []uint32{30, 200, 1000} {
		p := s.connect(5, "c", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = most })
		p.send(publishPacket(strings.Repeat("über", 300), "x", 1, 1))
		pk := p.want(packets.Puback)
		if pk.ReasonCode != 0x87 || pk.FixedHeader.Remaining+2 > int(most) {
			t.Errorf("Maximum Packet Size %d: PUBACK %#x of %d bytes", most, pk.ReasonCode, pk.FixedHeader.Remaining)
		}
		if (most > 150) != (pk.Properties.ReasonString != "") {
			t.Errorf("Maximum Packet Size %d: reason %q", most, pk.Properties.ReasonString)
		}
	}
}
