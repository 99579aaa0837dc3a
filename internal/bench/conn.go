package bench

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// readBuffer is the read buffer of a connection that carries load, writeBatch the
// most that one write sends. Both are bytes.
const (
	readBuffer = 64 << 10
	writeBatch = 64 << 10
)

// link is a connection that has seen its CONNACK.
type link struct {
	net.Conn
	in      *mqttclient.Reader
	version mqttclient.Version
	resumed bool // the server had a session
}

// linkOptions vary what connect does.
type linkOptions struct {
	clientID string // empty: the server invents one
	persist  bool   // keep the session after the connection
	idle     bool   // small buffers: there will be thousands
	from     string // local address
}

// connect opens a connection, waits for CONNACK and takes all deadlines off.
func connect(ctx context.Context, c *Config, o linkOptions) (*link, error) {
	size := readBuffer
	if o.idle {
		size = 512
	}
	conn, err := mqttclient.Dial(ctx, c.Target, mqttclient.DialOptions{TLS: c.TLS, BufferSize: size, LocalAddr: o.from})
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, in: mqttclient.NewReader(conn, size, 0), version: c.Version}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = l.handshake(c, o)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return l, nil
}

func (l *link) handshake(c *Config, o linkOptions) error {
	hello := &mqttclient.Connect{
		ClientID: o.clientID, CleanStart: !o.persist, KeepAlive: 3600,
		Username: c.Username, Password: c.Password,
	}
	if o.persist {
		hello.Props.SessionExpiry = new(uint32(300))
	}
	p, err := l.ask(hello)
	if err != nil {
		return err
	}
	ack, ok := p.(*mqttclient.Connack)
	if !ok {
		return fmt.Errorf("%w: %s instead of CONNACK", mqttclient.ErrProtocol, p.Type())
	}
	if ack.Reason != 0 {
		return &mqttclient.ReasonError{Packet: mqttclient.CONNACK, Version: c.Version, Code: ack.Reason, Text: ack.Props.ReasonString}
	}
	l.resumed = ack.SessionPresent
	return nil
}

// ask sends one packet and reads one.
func (l *link) ask(p mqttclient.Packet) (mqttclient.Packet, error) {
	b, err := p.Append(nil, l.version)
	if err != nil {
		return nil, err
	}
	if _, err := l.Write(b); err != nil {
		return nil, err
	}
	first, body, err := l.in.Next()
	if err != nil {
		return nil, err
	}
	return mqttclient.Decode(l.version, first, body)
}

// subscribe sends one SUBSCRIBE and awaits its SUBACK. Nothing else may be on its way
// to this connection.
func (l *link) subscribe(qos byte, filters ...string) error {
	s := &mqttclient.Subscribe{PacketID: 1}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, mqttclient.Subscription{Filter: f, QoS: qos})
	}
	p, err := l.ask(s)
	if err != nil {
		return err
	}
	ack, ok := p.(*mqttclient.Suback)
	if !ok {
		return fmt.Errorf("%w: %s instead of SUBACK", mqttclient.ErrProtocol, p.Type())
	}
	for i, r := range ack.Reasons {
		if i < len(filters) && r.Failed() {
			return &mqttclient.ReasonError{Packet: mqttclient.SUBACK, Version: l.version, Code: r, Filter: filters[i]}
		}
	}
	return nil
}

// goodbye sends DISCONNECT and closes.
func (l *link) goodbye() {
	if b, err := (&mqttclient.Disconnect{}).Append(nil, l.version); err == nil {
		stuck := time.AfterFunc(time.Second, func() { _ = l.Close() })
		_, _ = l.Write(b)
		stuck.Stop()
	}
	_ = l.Close()
}
