package mqttclient

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a client that has connected to the server side it returns.
func pipe(o Options) (*Client, net.Conn) {
	o.defaults()
	ours, theirs := net.Pipe()
	c := &Client{
		opts: o, conn: ours, in: NewReader(ours, 64, 0), out: newWriter(ours), connack: &Connack{},
		messages: make(chan *Publish, o.Queue), pending: map[uint16]*Token{}, seen: map[uint16]bool{}, done: make(chan struct{}),
	}
	c.start()
	return c, theirs
}

func TestServerThatAnswersNoPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(Options{KeepAlive: 20 * time.Second})
		defer server.Close()
		begin := time.Now()
		in := NewReader(server, 64, 0)
		first, _, err := in.Next()
		if err != nil || Type(first>>4) != PINGREQ {
			t.Fatalf("got packet type %d, %v", first>>4, err)
		}
		if passed := time.Since(begin); passed >= 20*time.Second {
			t.Errorf("pinged after %v, later than the keep alive", passed)
		}
		<-c.Done()
		if !errors.Is(c.Err(), ErrNoPong) {
			t.Errorf("ended with %v", c.Err())
		}
		_ = c.Close()
	})
}

func TestServerThatAnswersPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(Options{KeepAlive: 20 * time.Second})
		in := NewReader(server, 64, 0)
		for range 10 {
			if first, _, err := in.Next(); err != nil || Type(first>>4) != PINGREQ {
				t.Fatalf("got packet type %d, %v", first>>4, err)
			}
			if _, err := server.Write([]byte{byte(PINGRESP) << 4, 0}); err != nil {
				t.Fatal(err)
			}
		}
		if c.Err() != nil {
			t.Errorf("ended: %v", c.Err())
		}
		_ = server.Close()
		<-c.Done()
		if !errors.Is(c.Err(), ErrLost) {
			t.Errorf("ended with %v", c.Err())
		}
		_ = c.Close()
	})
}

func TestFullQueueIsNoDeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(Options{KeepAlive: 20 * time.Second, Queue: 1})
		b, _ := (&Publish{Topic: "a"}).Append(nil, V5)
		for range 2 {
			if _, err := server.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		time.AfterFunc(10*time.Minute, func() { // nobody calls Receive for long
			for range 2 {
				if _, err := c.Receive(t.Context()); err != nil {
					t.Errorf("the client gave up: %v", err)
				}
			}
			_ = c.Close()
		})
		<-c.Done()
		_ = server.Close()
		if !errors.Is(c.Err(), ErrClosed) {
			t.Errorf("ended with %v", c.Err())
		}
	})
}

func TestServersDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(Options{})
		defer server.Close()
		b, _ := (&Disconnect{Reason: 0x8e, Props: Properties{ReasonString: "elsewhere"}}).Append(nil, V5)
		if _, err := server.Write(b); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		refused, ok := errors.AsType[*ReasonError](c.Err())
		if !ok || refused.Packet != DISCONNECT || refused.Code != 0x8e || refused.Text != "elsewhere" {
			t.Errorf("ended with %v", c.Err())
		}
		if err := c.Publish(t.Context(), &Publish{Topic: "a", QoS: 1}); !errors.Is(err, c.Err()) {
			t.Errorf("publish on a dead connection: %v", err)
		}
		if _, err := c.Subscribe(t.Context(), &Subscribe{Subscriptions: []Subscription{{Filter: "a"}}}); !errors.Is(err, c.Err()) {
			t.Errorf("subscribe on a dead connection: %v", err)
		}
		_ = c.Close()
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(Options{KeepAlive: -1})
		go func() { // refuses everything
			in := NewReader(server, 64, 0)
			for {
				first, body, err := in.Next()
				if err != nil {
					return
				}
				var answer Packet
				p, _ := Decode(V5, first, body)
				switch p := p.(type) {
				case *Publish:
					answer = &Ack{Kind: map[byte]Type{1: PUBACK, 2: PUBREC}[p.QoS], PacketID: p.PacketID, Reason: 0x87}
				case *Subscribe:
					answer = &Suback{Kind: SUBACK, PacketID: p.PacketID, Reasons: []Reason{1, 0x8f}}
				default:
					continue
				}
				b, _ := answer.Append(nil, V5)
				_, _ = server.Write(b)
			}
		}()
		for qos := byte(1); qos <= 2; qos++ {
			err := c.Publish(t.Context(), &Publish{Topic: "a", QoS: qos})
			if refused, ok := errors.AsType[*ReasonError](err); !ok || refused.Code != 0x87 {
				t.Errorf("QoS %d: %v", qos, err)
			}
		}
		s := &Subscribe{Subscriptions: []Subscription{{Filter: "a", QoS: 1}, {Filter: "b"}}}
		reasons, err := c.Subscribe(t.Context(), s)
		if refused, ok := errors.AsType[*ReasonError](err); !ok || refused.Filter != "b" || len(reasons) != 2 || reasons[0] != 1 {
			t.Errorf("subscription: %v, %v", reasons, err)
		}
		if len(c.quota) != 0 || len(c.pending) != 0 {
			t.Errorf("refused messages still take %d slots and %d identifiers", len(c.quota), len(c.pending))
		}
		_ = c.Close()
		_ = server.Close()
	})
}
