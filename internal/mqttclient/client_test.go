package mqttclient_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open connects and closes at the end of the test.
func open(t *testing.T, o mqttclient.Options) *mqttclient.Client {
	t.Helper()
	c, err := mqttclient.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// receive is the next message; it must come.
func receive(t *testing.T, c *mqttclient.Client) *mqttclient.Publish {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := c.Receive(ctx)
	if err != nil {
		t.Fatalf("no message: %v", err)
	}
	return m
}

func TestEveryQoS(t *testing.T) {
	b := testkit.Mosquitto(t)
	for name, target := range map[string]mqttclient.Target{"tcp": b.TCP, "websocket": b.WS} {
		for _, v := range []mqttclient.Version{mqttclient.V311, mqttclient.V5} {
			t.Run(name+" "+v.String(), func(t *testing.T) {
				c := open(t, mqttclient.Options{Target: target, Version: v})
				if err := c.SubscribeTo(t.Context(), 2, "qos/#"); err != nil {
					t.Fatal(err)
				}
				for qos := range byte(3) {
					for _, payload := range [][]byte{nil, []byte("text"), bytes.Repeat([]byte{0, 1, 2}, 5000)} {
						want := &mqttclient.Publish{Topic: "qos/x", Payload: payload, QoS: qos}
						if err := c.Publish(t.Context(), want); err != nil {
							t.Fatal(err)
						}
						got := receive(t, c)
						if got.Topic != want.Topic || got.QoS != qos || !bytes.Equal(got.Payload, payload) {
							t.Errorf("QoS %d: got %s, QoS %d, %d bytes", qos, got.Topic, got.QoS, len(got.Payload))
						}
					}
				}
				if err := c.Disconnect(t.Context(), nil); err != nil {
					t.Error(err)
				}
				if !errors.Is(c.Err(), mqttclient.ErrClosed) {
					t.Errorf("after Disconnect: %v", c.Err())
				}
			})
		}
	}
}

func TestManyInFlight(t *testing.T) {
	b := testkit.Mosquitto(t)
	c := open(t, mqttclient.Options{Target: b.TCP, Inflight: 50, Queue: 10})
	if err := c.SubscribeTo(t.Context(), 2, "many"); err != nil {
		t.Fatal(err)
	}
	const n = 2000 // more than the window, the queue and the write buffer take
	sent := make(chan error, 1)
	go func() {
		var tokens []*mqttclient.Token
		for i := range n {
			tok, err := c.PublishAsync(t.Context(), &mqttclient.Publish{Topic: "many", QoS: byte(i % 3), Payload: []byte{byte(i), byte(i >> 8)}})
			if err != nil {
				sent <- err
				return
			}
			tokens = append(tokens, tok)
		}
		for _, tok := range tokens {
			if _, err := tok.Wait(t.Context()); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	seen := map[int]int{}
	for range n {
		m := receive(t, c)
		seen[int(m.Payload[0])|int(m.Payload[1])<<8]++
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if seen[i] != 1 {
			t.Fatalf("message %d came %d times", i, seen[i])
		}
	}
}

func TestPropertiesTravel(t *testing.T) {
	b := testkit.Mosquitto(t)
	c := open(t, mqttclient.Options{Target: b.TCP})
	if _, err := c.Subscribe(t.Context(), &mqttclient.Subscribe{
		Props:         mqttclient.Properties{SubscriptionIDs: []uint32{9}},
		Subscriptions: []mqttclient.Subscription{{Filter: "p"}},
	}); err != nil {
		t.Fatal(err)
	}
	want := mqttclient.Properties{
		PayloadFormat: new(byte(1)), ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte{0, 1},
		User: []mqttclient.UserProperty{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}},
	}
	if err := c.Publish(t.Context(), &mqttclient.Publish{Topic: "p", Props: want}); err != nil {
		t.Fatal(err)
	}
	got := receive(t, c).Props
	if *got.PayloadFormat != 1 || got.ContentType != want.ContentType || got.ResponseTopic != "r" || !bytes.Equal(got.CorrelationData, want.CorrelationData) {
		t.Errorf("got %+v", got)
	}
	if len(got.User) != 3 || got.User[2] != want.User[2] || got.User[0] != want.User[0] {
		t.Errorf("user properties: %v", got.User)
	}
	if len(got.SubscriptionIDs) != 1 || got.SubscriptionIDs[0] != 9 {
		t.Errorf("subscription identifiers: %v", got.SubscriptionIDs)
	}
}

func TestSessionResumes(t *testing.T) {
	b := testkit.Mosquitto(t)
	for _, v := range []mqttclient.Version{mqttclient.V311, mqttclient.V5} {
		t.Run(v.String(), func(t *testing.T) {
			o := mqttclient.Options{Target: b.TCP, Version: v, ClientID: "keeper" + v.String(), Resume: true, ManualAck: true}
			o.Props.SessionExpiry = new(uint32(60))
			c := open(t, o)
			if c.Connack().SessionPresent {
				t.Error("a session before there was one")
			}
			if err := c.SubscribeTo(t.Context(), 1, "kept"); err != nil {
				t.Fatal(err)
			}
			if err := c.Publish(t.Context(), &mqttclient.Publish{Topic: "kept", QoS: 1, Payload: []byte("1")}); err != nil {
				t.Fatal(err)
			}
			receive(t, c) // and not acknowledged
			_ = c.Close()

			c = open(t, o)
			if !c.Connack().SessionPresent {
				t.Error("the session is gone")
			}
			m := receive(t, c)
			if !m.Dup || string(m.Payload) != "1" {
				t.Errorf("redelivered as %+v", m)
			}
			if err := c.Ack(m, 0); err != nil {
				t.Error(err)
			}
			if err := c.Disconnect(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWillOnClose(t *testing.T) {
	b := testkit.Mosquitto(t)
	watcher := open(t, mqttclient.Options{Target: b.TCP})
	if err := watcher.SubscribeTo(t.Context(), 1, "will/+"); err != nil {
		t.Fatal(err)
	}
	polite := open(t, mqttclient.Options{Target: b.TCP, Will: &mqttclient.Will{Topic: "will/polite"}})
	if err := polite.Disconnect(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	rude := open(t, mqttclient.Options{Target: b.TCP, Will: &mqttclient.Will{Topic: "will/rude", Payload: []byte("gone"), QoS: 1}})
	_ = rude.Close()
	if m := receive(t, watcher); m.Topic != "will/rude" || string(m.Payload) != "gone" {
		t.Errorf("got %s %q: only the lost connection has a will to publish", m.Topic, m.Payload)
	}
}

func TestUnsubscribe(t *testing.T) {
	b := testkit.Mosquitto(t)
	for _, v := range []mqttclient.Version{mqttclient.V311, mqttclient.V5} {
		c := open(t, mqttclient.Options{Target: b.TCP, Version: v})
		if err := c.SubscribeTo(t.Context(), 0, "u", "stay"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Unsubscribe(t.Context(), &mqttclient.Unsubscribe{Filters: []string{"u"}}); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"u", "stay"} {
			if err := c.Publish(t.Context(), &mqttclient.Publish{Topic: topic}); err != nil {
				t.Fatal(err)
			}
		}
		if m := receive(t, c); m.Topic != "stay" {
			t.Errorf("%v: got %s after unsubscribing from it", v, m.Topic)
		}
	}
}

func TestRequest(t *testing.T) {
	b := testkit.Mosquitto(t)
	service := open(t, mqttclient.Options{Target: b.TCP})
	if err := service.SubscribeTo(t.Context(), 1, "ask"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		m, err := service.Receive(t.Context())
		if err == nil {
			err = service.Publish(t.Context(), &mqttclient.Publish{
				Topic: m.Props.ResponseTopic, Payload: []byte("not yours"),
				Props: mqttclient.Properties{CorrelationData: []byte("other")},
			})
		}
		if err == nil {
			err = service.Publish(t.Context(), &mqttclient.Publish{
				Topic: m.Props.ResponseTopic, Payload: append([]byte("re: "), m.Payload...),
				Props: mqttclient.Properties{CorrelationData: m.Props.CorrelationData},
			})
		}
		done <- err
	}()
	c := open(t, mqttclient.Options{Target: b.WS})
	answer, err := c.Request(t.Context(), &mqttclient.Publish{Topic: "ask", Payload: []byte("hi"), QoS: 1})
	if err != nil || string(answer.Payload) != "re: hi" {
		t.Errorf("got %+v, %v", answer, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	old := open(t, mqttclient.Options{Target: b.TCP, Version: mqttclient.V311})
	if _, err := old.Request(t.Context(), &mqttclient.Publish{Topic: "ask"}); !errors.Is(err, mqttclient.ErrNoResponseTopic) {
		t.Errorf("3.1.1 without a response topic: %v", err)
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target, err := mqttclient.ParseURL("mqtt://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := mqttclient.Open(ctx, mqttclient.Options{Target: target}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a server that says nothing: %v", err)
	}
	go func() {
		for range 2 { // the connection of above is still in the queue
			if c, err := l.Accept(); err == nil {
				_ = c.Close()
			}
		}
	}()
	if _, err := mqttclient.Open(t.Context(), mqttclient.Options{Target: target}); err == nil {
		t.Error("connected to nothing")
	}
}
