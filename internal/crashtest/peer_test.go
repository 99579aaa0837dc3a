package crashtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// session is the client's side of an MQTT session that outlives its connections, as the
// specification wants it: what is not acknowledged is sent again in its order, with its
// packet identifier and DUP, and a QoS 2 message is taken once.
type session struct {
	id      string
	version mqttclient.Version
	will    *mqttclient.Will
	rejoin  bool // the server has acknowledged the session before

	filters []mqttclient.Subscription // to subscribe to the first time

	mu       sync.Mutex
	flights  []*flight       // in the order of first sending
	unlanded map[uint16]bool // QoS 2 messages received and not released
	got      []delivery      // in the order of receipt
	joined   bool            // SUBACK has come
	lost     []string        // what went wrong for good
	refused  int
	changed  chan struct{}
	nextID   uint16
}

// flight is a message that was published and is not acknowledged.
type flight struct {
	id       uint16
	topic    string
	payload  string
	qos      byte
	retain   bool
	sent     int
	released bool // PUBREC has come
	acked    func()
}

// delivery is a message as it came.
type delivery struct {
	topic, payload string
	dup            bool
	qos            byte
}

func newSession(id string, filters ...mqttclient.Subscription) *session {
	return &session{id: id, version: mqttclient.V5, filters: filters, unlanded: map[uint16]bool{}, changed: make(chan struct{})}
}

// change tells those who wait; s.mu is held.
func (s *session) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait waits until cond holds.
func (s *session) wait(ctx context.Context, cond func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// link is one connection of a session.
type link struct {
	s    *session
	conn net.Conn
	wmu  sync.Mutex
	done chan struct{}
}

var errRefused = errors.New("refused")

// connect connects, and takes up what the last connection has left.
func (s *session) connect(ctx context.Context, address string) (*link, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l := &link{s: s, conn: conn, done: make(chan struct{})}
	r := mqttclient.NewReader(conn, 4096, 0)
	hello := &mqttclient.Connect{ClientID: s.id, KeepAlive: 0, Will: s.will, CleanStart: false}
	if s.version == mqttclient.V5 {
		hello.Props.SessionExpiry = new(uint32(3600))
	}
	if err := errors.Join(conn.SetDeadline(time.Now().Add(20*time.Second)), l.write(hello)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	p, err := read(r, s.version)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	ack, ok := p.(*mqttclient.Connack)
	if !ok || ack.Reason != 0 {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %v", errRefused, p)
	}
	_ = conn.SetDeadline(time.Time{})
	s.mu.Lock()
	if s.rejoin && !ack.SessionPresent {
		s.lost = append(s.lost, "the session is gone: "+s.id)
	}
	s.rejoin = true
	joined := s.joined
	again := slices.Clone(s.flights)
	s.mu.Unlock()
	go l.run(r)
	if !joined && len(s.filters) > 0 {
		_ = l.write(&mqttclient.Subscribe{PacketID: 65000, Subscriptions: s.filters})
	}
	for _, f := range again {
		l.send(f)
	}
	return l, nil
}

func read(r *mqttclient.Reader, v mqttclient.Version) (mqttclient.Packet, error) {
	first, body, err := r.Next()
	if err != nil {
		return nil, err
	}
	return mqttclient.Decode(v, first, body)
}

func (l *link) write(p mqttclient.Packet) error {
	b, err := p.Append(nil, l.s.version)
	if err != nil {
		return err
	}
	l.wmu.Lock()
	defer l.wmu.Unlock()
	_, err = l.conn.Write(b)
	return err
}

// close cuts the connection off, as a network does.
func (l *link) close() {
	_ = l.conn.Close()
	<-l.done
}

// send sends a flight as it stands.
func (l *link) send(f *flight) {
	l.s.mu.Lock()
	var p mqttclient.Packet = &mqttclient.Publish{Topic: f.topic, Payload: []byte(f.payload), QoS: f.qos, Retain: f.retain, PacketID: f.id, Dup: f.sent > 0}
	if f.released {
		p = &mqttclient.Ack{Kind: mqttclient.PUBREL, PacketID: f.id}
	}
	f.sent++
	l.s.mu.Unlock()
	_ = l.write(p)
}

// publish begins a flight. acked is called when the server has taken the message.
func (l *link) publish(f *flight) {
	s := l.s
	s.mu.Lock()
	for used := true; used; {
		s.nextID = s.nextID%60000 + 1
		used = slices.ContainsFunc(s.flights, func(f *flight) bool { return f.id == s.nextID })
	}
	f.id = s.nextID
	s.flights = append(s.flights, f)
	s.mu.Unlock()
	l.send(f)
}

// run takes what the server sends until the connection ends.
func (l *link) run(r *mqttclient.Reader) {
	defer close(l.done)
	defer func() { _ = l.conn.Close() }()
	for {
		p, err := read(r, l.s.version)
		if err != nil {
			return
		}
		if answer := l.s.take(p); answer != nil {
			if l.write(answer) != nil {
				return
			}
		}
	}
}

// take takes a packet and gives the answer to it.
func (s *session) take(p mqttclient.Packet) mqttclient.Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.change()
	switch p := p.(type) {
	case *mqttclient.Suback:
		s.joined = true
	case *mqttclient.Publish:
		d := delivery{topic: p.Topic, payload: string(p.Payload), dup: p.Dup, qos: p.QoS}
		switch p.QoS {
		case 1:
			s.got = append(s.got, d)
			return &mqttclient.Ack{Kind: mqttclient.PUBACK, PacketID: p.PacketID}
		case 2:
			if !s.unlanded[p.PacketID] {
				s.unlanded[p.PacketID] = true
				s.got = append(s.got, d)
			}
			return &mqttclient.Ack{Kind: mqttclient.PUBREC, PacketID: p.PacketID}
		default:
			s.got = append(s.got, d)
		}
	case *mqttclient.Ack:
		return s.takeAck(p)
	}
	return nil
}

func (s *session) takeAck(p *mqttclient.Ack) mqttclient.Packet {
	if p.Kind == mqttclient.PUBREL {
		delete(s.unlanded, p.PacketID)
		return &mqttclient.Ack{Kind: mqttclient.PUBCOMP, PacketID: p.PacketID}
	}
	i := slices.IndexFunc(s.flights, func(f *flight) bool { return f.id == p.PacketID })
	if i < 0 {
		return nil
	}
	f := s.flights[i]
	switch {
	case p.Kind == mqttclient.PUBREC && p.Reason < 0x80 && f.qos == 2:
		f.released = true
		return &mqttclient.Ack{Kind: mqttclient.PUBREL, PacketID: p.PacketID}
	case p.Kind == mqttclient.PUBACK && f.qos == 1 && p.Reason < 0x80, p.Kind == mqttclient.PUBCOMP && f.released:
		if f.acked != nil {
			f.acked()
		}
	default:
		s.refused++
	}
	s.flights = slices.Delete(s.flights, i, i+1)
	return nil
}
