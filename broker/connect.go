package broker

import (
	"context"
	"errors"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/message"
)

// connectInfo is what a CONNECT said, kept until the CONNACK.
type connectInfo struct {
	clientID    string
	assigned    bool // by us
	clean       bool
	expiry      uint32 // Session Expiry Interval granted
	expiryAsked uint32
	keepAlive   uint16 // granted
	keepAsked   uint16
	params      session.Params
	present     bool // Session Present
	stored      bool // the store has changes that the client relies on
	credentials auth.Credentials
	persistent  bool   // the client wants its session kept, or one that was
	refused     reason // why mochi must not go on; a CONNACK has been sent
}

// onConnect takes a CONNECT before mochi has looked at it. What mochi then sees is a
// client that wants nothing kept and leaves no will: sessions, take-over and wills
// are ours. It returns false if the client was refused.
func (c *connection) onConnect(pk *packets.Packet) bool {
	info := &connectInfo{clean: pk.Connect.Clean, keepAsked: pk.Connect.Keepalive, clientID: pk.Connect.ClientIdentifier}
	c.connect = info
	c.origin = message.Origin{Addr: c.Info().Remote, Via: c.Info().Via}
	if r := c.checkConnectPacket(pk); r != reasonSuccess {
		return c.refuseConnect(r)
	}
	if info.clientID == "" { // [MQTT-3.1.3-6] [MQTT-3.1.3-7]
		info.clientID, info.assigned = message.NewID(), true
	}
	c.origin.ClientID = info.clientID
	info.credentials = auth.Credentials{
		ClientID: info.clientID, Username: string(pk.Connect.Username), HasUsername: pk.Connect.UsernameFlag,
		Listener: c.Info().Listener, Via: c.Info().Via, Remote: c.Info().Remote, TLS: c.Info().TLS, Request: c.Info().Request,
	}
	if pk.Connect.PasswordFlag {
		info.credentials.Password = append([]byte{}, pk.Connect.Password...)
	}
	c.negotiate(pk)
	if !c.b.rates.connects.take(time.Now()) {
		return c.refuseConnect(reasonConnectRate)
	}
	if r, why := c.authenticate(); r != reasonSuccess {
		return c.refuseConnectSaying(r, why)
	}
	if !c.b.rates.clients.take(info.clientID, time.Now()) {
		return c.refuseConnect(reasonConnectRate)
	}
	if r, why := c.authorize(pk.Connect.WillFlag); r != reasonSuccess {
		return c.refuseConnectSaying(r, why)
	}
	if r, why := c.takeWill(pk); r != reasonSuccess {
		return c.refuseConnectSaying(r, why)
	}
	if (info.expiry > 0 || c.will != nil) && !c.resumes() { // one that resumes may free room
		if err := c.b.store.Err(); err != nil {
			return c.refuseConnect(reasonServerUnavailable)
		}
	}
	if most := c.b.limits.MaxSessions; c.b.clients.find(info.clientID) == nil && c.b.clients.len() >= most {
		return c.refuseConnect(reasonQuotaExceeded)
	}
	c.serial = c.b.serial.Add(1)
	hideFromMochi(pk, c.serial)
	return true
}

// resumes reports whether the client takes up a session that is there.
func (c *connection) resumes() bool {
	cl := c.b.clients.find(c.connect.clientID)
	if cl == nil || c.connect.clean {
		return false
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.sub != nil
}

// checkConnectPacket finds what makes a CONNECT unacceptable.
func (c *connection) checkConnectPacket(pk *packets.Packet) reason {
	p := &pk.Connect
	switch {
	case pk.ReservedBit != 0, // [MQTT-3.1.2-3]
		!p.WillFlag && (p.WillQos != 0 || p.WillRetain), // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
		p.WillQos > 2: // [MQTT-3.1.2-12]
		return reasonMalformed
	case c.version < 5 && p.PasswordFlag && !p.UsernameFlag: // [MQTT-3.1.2-22] of 3.1.1
		return reasonMalformed
	case c.version == 5 && pk.Properties.AuthenticationMethod != "":
		return reasonBadAuthMethod // [MQTT-4.12.0-1]
	case c.version == 5 && len(pk.Properties.AuthenticationData) > 0:
		return reasonProtocolError
	case c.version < 5 && p.ClientIdentifier == "" && (!p.Clean || c.version == 3): // [MQTT-3.1.3-8] of 3.1.1
		return reasonClientID
	case len(p.ClientIdentifier) > c.b.limits.MaxClientID:
		return reasonClientID
	}
	return reasonSuccess
}

// negotiate settles what both sides keep to.
func (c *connection) negotiate(pk *packets.Packet) {
	l, info := &c.b.limits, c.connect
	most := uint32(min(l.MaxSessionExpiry/time.Second, forever))
	switch {
	case c.version < 5 && !info.clean:
		info.expiry = most
		info.expiryAsked = most
	case c.version == 5:
		info.expiryAsked = pk.Properties.SessionExpiryInterval
		info.expiry = min(info.expiryAsked, most)
	}
	info.persistent = !info.clean || info.expiryAsked > 0
	info.keepAlive = grantKeepAlive(pk.Connect.Keepalive, l) // before MQTT 5 the client is not told, as on AWS
	info.params = session.Params{Version: c.version, ReceiveMaximum: uint16(l.MaxInflight)}
	if c.version == 5 {
		if r := pk.Properties.ReceiveMaximum; r > 0 {
			info.params.ReceiveMaximum = min(r, info.params.ReceiveMaximum)
		}
		info.params.MaximumPacketSize = pk.Properties.MaximumPacketSize
		c.tells = reasonLength(&pk.Properties)
		info.params.TopicAliasMaximum = uint16(min(int(pk.Properties.TopicAliasMaximum), l.MaxTopicAliases))
	}
}

// grantKeepAlive is the keep alive that holds for a client that asked for one, in
// seconds; 0 = none. [MQTT-3.2.2-21]
func grantKeepAlive(asked uint16, l *Limits) uint16 {
	if most := uint16(min(l.MaxKeepAlive/time.Second, 65535)); most > 0 && (asked == 0 || asked > most) {
		return most
	}
	if least := uint16(min(l.MinKeepAlive/time.Second, 65535)); asked > 0 && asked < least {
		return least
	}
	return asked
}

// authenticateTimeout bounds how long methods may take.
const authenticateTimeout = 10 * time.Second

func (c *connection) authenticate() (r reason, why string) {
	ctx, cancel := context.WithTimeout(c.b.life(), authenticateTimeout)
	defer cancel()
	c.checked = c.b.rechecks.Load()
	p, err := c.b.auth.Authenticate(ctx, &c.connect.credentials)
	switch {
	case err == nil && p != nil:
		c.principal, c.origin.Principal = p, p.Name
		c.who.Store(p)
		return reasonSuccess, ""
	case errors.Is(err, auth.ErrTooMany):
		return reasonConnectRate, ""
	case errors.Is(err, auth.ErrRefused):
		return reasonBadCredentials, auth.Told(err)
	case err == nil, errors.Is(err, auth.ErrNotMine):
		return reasonNotAuthorized, ""
	default:
		c.b.log.Error().Err(err).Str("client", c.origin.ClientID).Msg("a client could not be authenticated")
		return reasonServerUnavailable, ""
	}
}

// takeWill takes the will out of a CONNECT.
func (c *connection) takeWill(pk *packets.Packet) (r reason, why string) {
	p := &pk.Connect
	if !p.WillFlag {
		return reasonSuccess, ""
	}
	if int(p.WillQos) > *c.b.limits.MaxQoS {
		return reasonQoSNotSupported, "" // [MQTT-3.2.2-12]
	}
	if err := message.ValidateTopic(p.WillTopic); err != nil || !fits(p.WillTopic, &c.b.limits) {
		return reasonTopicInvalid, ""
	}
	if !within(len(p.WillPayload), c.b.limits.MaxPayloadSize) {
		return reasonPacketTooLarge, ""
	}
	if r, why := c.mayNotPublish(p.WillTopic, p.WillRetain); r != reasonSuccess {
		return r, why
	}
	from := c.origin
	from.Via = message.ViaWill
	m := &message.Message{
		Topic: p.WillTopic, Payload: append([]byte{}, p.WillPayload...), QoS: p.WillQos, Retain: p.WillRetain, From: from,
	}
	props := c.willProps
	if m.Props = props.Properties; !propertiesFit(&m.Props, &c.b.limits) {
		return reasonQuotaExceeded, ""
	}
	c.will = &will{message: m, delay: time.Duration(props.delay) * time.Second, of: c.principal}
	return reasonSuccess, ""
}

// hideFromMochi leaves of a CONNECT what mochi may see. A name that is used once
// keeps it from ever finding two clients with the same one.
func hideFromMochi(pk *packets.Packet, serial uint64) {
	p := &pk.Connect
	p.ClientIdentifier = serialName(serial)
	p.Clean = true
	p.WillFlag, p.WillRetain, p.WillQos, p.WillTopic, p.WillPayload = false, false, 0, "", nil
	p.WillProperties = packets.Properties{}
	p.UsernameFlag, p.PasswordFlag, p.Username, p.Password = false, false, nil, nil
	pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 0, true
	pk.Properties.TopicAliasMaximum = 0
	pk.Properties.User = nil
}

// refuseConnect answers with an error and ends the connection; always false.
// [MQTT-3.2.2-4] [MQTT-3.2.2-5] of 3.1.1, [MQTT-3.2.2-7]
func (c *connection) refuseConnect(r reason) bool { return c.refuseConnectSaying(r, "") }

// refuseConnectSaying is refuseConnect with a reason string, for clients that want one.
func (c *connection) refuseConnectSaying(r reason, why string) bool {
	c.connect.refused = r
	if r == reasonNotAuthorized && c.principal != nil {
		c.connectFailed()
	}
	c.b.metrics.refusedConnects.Inc()
	level := zerolog.InfoLevel
	switch r {
	case reasonBadCredentials, reasonNotAuthorized, reasonConnectRate:
		level = zerolog.DebugLevel // who refuses says why, and not ten thousand times
	default:
	}
	c.b.log.WithLevel(level).Str("client", c.origin.ClientID).Stringer("remote", c.Info().Remote).
		Uint8("reason_code", byte(r)).Msg("client refused")
	b := []byte{0x20, 2, 0, connack3(r)}
	if c.version >= 5 {
		props := c.reasonString(why)
		b = append(append(appendLength([]byte{0x20}, 2+len(props)), 0, byte(r)), props...)
	} else if b[3] == 0 {
		b = nil // malformed: 3.1.1 has no code for it, the connection is just closed [MQTT-3.1.4-1]
	}
	if b != nil {
		_, _ = c.Conn.Write(b)
	}
	c.SetCloseCode(r.closeCode(), "")
	_ = c.Conn.Close()
	return false
}

// The return codes of CONNACK before MQTT 5.
const (
	connack3Version     = 1
	connack3ClientID    = 2
	connack3Unavailable = 3
	connack3Credentials = 4
	connack3NotAllowed  = 5
)

// connack3 is the return code of MQTT 3.1 and 3.1.1 for a reason; 0 = there is none.
func connack3(r reason) byte {
	switch r {
	case reasonClientID:
		return connack3ClientID
	case reasonBadCredentials:
		return connack3Credentials
	case reasonNotAuthorized:
		return connack3NotAllowed
	case reasonServerUnavailable, reasonQuotaExceeded, reasonShuttingDown, reasonConnectRate:
		return connack3Unavailable
	case reasonUnsupportedVersion:
		return connack3Version
	default:
		return 0
	}
}
