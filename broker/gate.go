package broker

import (
	"errors"
	"strconv"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
)

// gate is the one mochi hook. mochi decodes and validates CONNECT and encodes CONNACK;
// what becomes of the client is decided here. Everything after the CONNACK does not
// come to mochi any more: see stream.go.
//
// Hooks return mochi's own codes as errors and never wrap one: mochi asserts the type.
type gate struct {
	mqtt.HookBase
	b *Broker
}

// ID names the hook in mochi's log.
func (*gate) ID() string { return "topicwire" }

// Provides tells mochi which events to bring here.
func (*gate) Provides(event byte) bool {
	switch event {
	case mqtt.OnPacketRead, mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnPacketEncode, mqtt.OnSessionEstablished:
		return true
	}
	return false
}

// connectionOf is our side of a mochi client.
func connectionOf(cl *mqtt.Client) *connection {
	c, _ := cl.Net.Conn.(*connection)
	return c
}

// OnPacketRead comes with the CONNECT, the only packet that mochi reads.
func (g *gate) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if !connectionOf(cl).onConnect(&pk) {
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// OnConnect comes when mochi has validated the CONNECT: the client gets its session.
func (g *gate) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	c := connectionOf(cl)
	present, due := g.b.takeOver(c)
	c.connect.present = present
	g.b.publishWills(due)
	if c.connect.stored && !g.b.sessionStored(c) {
		return packets.ErrServerUnavailable
	}
	return nil
}

var errStoreSlow = errors.New("broker: the store did not answer in time")

// storeTimeout bounds how long a client waits for its CONNACK.
const storeTimeout = 10 * time.Second

// sessionStored waits until the session and the will of a client that connects are
// durable, and that an older session is gone: the CONNACK says so. If they are not, the
// client is refused, and comes again.
func (b *Broker) sessionStored(c *connection) bool {
	done := make(chan error, 1)
	b.store.Sync(func(err error) { done <- err })
	limit := time.NewTimer(storeTimeout)
	defer limit.Stop()
	var err error
	select {
	case err = <-done:
	case <-limit.C:
		err = errStoreSlow
	case <-b.life().Done():
		err = ErrNotServing
	}
	if err == nil {
		return true
	}
	b.log.Warn().Err(err).Str("client", c.origin.ClientID).Msg("a session could not be kept")
	c.saidBye = true // no will of a client that was refused
	return c.refuseConnect(reasonServerUnavailable)
}

// OnConnectAuthenticate lets everybody in who has come this far: see onConnect.
func (*gate) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnPacketEncode completes what mochi is about to send.
func (g *gate) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack {
		g.b.completeConnack(connectionOf(cl), &pk)
	}
	return pk
}

// completeConnack says what the session is and all that the server supports.
// [MQTT-3.2.2-2] [MQTT-3.2.2-9] [MQTT-3.2.2-16] [MQTT-3.2.2-21]
func (b *Broker) completeConnack(c *connection, pk *packets.Packet) {
	info, l := c.connect, &b.limits
	if info == nil || reason(pk.ReasonCode).failed() {
		return
	}
	pk.SessionPresent = info.present && c.version > 3 // MQTT 3.1 has no such flag
	if c.version < 5 {
		return
	}
	p := &pk.Properties
	p.AssignedClientID = ""
	if info.assigned {
		p.AssignedClientID = info.clientID
	}
	if info.expiry != info.expiryAsked {
		p.SessionExpiryInterval, p.SessionExpiryIntervalFlag = info.expiry, true
	}
	if info.keepAlive != info.keepAsked {
		p.ServerKeepAlive, p.ServerKeepAliveFlag = info.keepAlive, true
	}
	p.ReceiveMaximum = uint16(l.MaxInflight)
	if *l.MaxQoS < 2 {
		p.MaximumQos, p.MaximumQosFlag = byte(*l.MaxQoS), true
	}
	p.MaximumPacketSize = uint32(l.MaxPacketSize)
	p.TopicAliasMaximum = uint16(l.MaxTopicAliases)
	p.RetainAvailable, p.RetainAvailableFlag = 1, true
	p.WildcardSubAvailable, p.WildcardSubAvailableFlag = 1, true
	p.SubIDAvailable, p.SubIDAvailableFlag = 1, true
	p.SharedSubAvailable, p.SharedSubAvailableFlag = 1, true
}

// OnSessionEstablished comes when the CONNACK is on its way: delivery may begin.
func (g *gate) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	c, b := connectionOf(cl), g.b
	info := c.connect
	c.connect, c.willProps = nil, nil
	c.Info().Request = nil // the handshake's headers are not needed any more
	c.SetMaxPacketSize(b.limits.MaxPacketSize)
	c.SetKeepAlive(keepAliveTimeout(info.keepAlive))
	c.Established()
	if c.quota != nil {
		c.SetPace(c.pace)
	}
	c.established.Store(true)
	c.packets++ // the CONNECT
	b.metrics.connects.Add(1)
	b.log.Debug().Str("client", c.origin.ClientID).Stringer("remote", c.origin.Addr).Stringer("via", c.origin.Via).
		Uint8("version", c.version).Bool("session_present", info.present).Msg("client connected")
	c.watchPrincipal()
	if c.attach(info) && info.present {
		b.collectShared(c.sub, c.sub.sharedFilters())
	}
	c.connected()
	if !c.principal.May(auth.Connect, c.origin.ClientID) { // policies have changed meanwhile
		c.disconnectSaying(reasonNotAuthorized, c.denied(c.principal.Decide(auth.Connect, c.origin.ClientID)))
	}
}

// attach lets the session deliver to the connection, unless another has taken over
// meanwhile.
func (c *connection) attach(info *connectInfo) bool {
	owner := c.sub.client
	owner.mu.Lock()
	defer owner.mu.Unlock()
	if owner.conn != c { // somebody has taken over meanwhile
		return false
	}
	c.since, c.keepAlive = time.Now().UnixMilli(), info.keepAlive
	c.sub.session.Attach(c, info.params)
	return true
}

// keepAliveTimeout is one and a half times the keep alive. [MQTT-3.1.2-22]
func keepAliveTimeout(seconds uint16) time.Duration {
	return time.Duration(seconds) * time.Second * 3 / 2
}

func serialName(n uint64) string { return strconv.FormatUint(n, 36) }

// onDisconnect takes a DISCONNECT of the client's. [MQTT-3.14.4-3]
func (c *connection) onDisconnect(pk *packets.Packet) error {
	if p := &pk.Properties; p.SessionExpiryIntervalFlag && !c.changeExpiry(p.SessionExpiryInterval) {
		return fault(reasonProtocolError, "a session that was to end with its connection cannot be kept after all")
	}
	c.saidBye = true
	c.why.Store(saidGoodbye)
	c.keepsWill = c.version >= 5 && reason(pk.ReasonCode) != reasonSuccess
	c.ended.Store(true)
	return errGoodbye
}

// changeExpiry sets another Session Expiry Interval. [MQTT-3.14.2-2]
func (c *connection) changeExpiry(seconds uint32) bool {
	cl := c.sub.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return true
	}
	if cl.expiry == 0 && seconds > 0 {
		return false
	}
	cl.expiry = min(seconds, uint32(min(c.b.limits.MaxSessionExpiry/time.Second, forever)))
	return true
}

// serveConn runs one connection to its end.
func (b *Broker) serveConn(lc *listen.Conn) {
	if !b.awaitServe() { // HTTP listeners may take a WebSocket before
		return
	}
	c := newConnection(b, lc)
	lc.OnProblem(c.problem)
	lc.OnDrain(c.drained)
	b.connections.add(c)
	defer func() {
		if p := recover(); p != nil {
			c.disconnect(reasonImplementation)
			b.end(c)
			panic(p) // listen logs and counts it
		}
		b.end(c)
	}()
	b.handshake(c)
	if c.established.Load() {
		err := c.run()
		_ = c.stop(err)
		b.log.Debug().Err(err).Str("client", c.origin.ClientID).Msg("connection ended")
	}
}

// handshake lets mochi take the CONNECT and answer it. It does so on a goroutine that
// ends with it: the stack that mochi needs is not kept for the life of the connection.
func (b *Broker) handshake(c *connection) {
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		_ = b.mochi.EstablishConnection(c.Info().Listener, c) // what went wrong, the client has been told
	}()
	p := <-done
	b.mochi.Clients.Delete(serialName(c.serial)) // mochi keeps a client whose CONNACK could not be written
	if p != nil {
		panic(p)
	}
}

// end undoes what a connection has set up.
func (b *Broker) end(c *connection) {
	b.connections.remove(c)
	c.forgetPrincipal()
	c.countPackets()
	if c.buf.large != nil {
		c.buf.release(&b.buffers)
	}
	b.leave(c)
}
