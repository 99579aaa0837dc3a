package broker

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// onPublish takes a PUBLISH of the client's: the first half of the way of one
// message. An error ends the connection.
func (c *connection) onPublish(p *publish) error {
	b := c.b
	if int(p.qos) > *b.limits.MaxQoS { // [MQTT-3.2.2-11]
		return fault(reasonQoSNotSupported, "PUBLISH with a QoS that the server does not support")
	}
	topic, err := c.resolveTopic(p)
	if err != nil {
		return err
	}
	if p.qos > 0 && !c.acks.begin(p) {
		return fault(reasonReceiveMaximum, "more unacknowledged messages than Receive Maximum allows")
	}
	b.metrics.received.Add(1)
	b.metrics.receivedBytes.Add(int64(len(p.payload)))
	if p.qos == 2 && !c.arrives(p) {
		return nil
	}
	if c.tooManyPublishes() {
		return c.discard(p)
	}
	if r, why := c.objection(p, topic); r != reasonSuccess {
		b.metrics.refusedPublishes.Inc()
		return c.refuse(p, r, why, r == reasonNotAuthorized)
	}
	m := &message.Message{
		Topic: topic, Payload: append(make([]byte, 0, len(p.payload)), p.payload...), QoS: p.qos, Retain: p.retain,
		Props: p.props, From: c.origin, Received: c.now,
	}
	b.capExpiry(m)
	w, err := c.handOn(m, p.id)
	if err != nil {
		b.metrics.refusedPublishes.Inc()
		b.log.Debug().Err(err).Str("client", c.origin.ClientID).Str("topic", topic).Msg("publish refused")
		return c.refuse(p, refusalReason(err), "", false)
	}
	if p.qos > 0 {
		c.acknowledge(p, w)
	}
	return nil
}

// handOn routes a message.
func (c *connection) handOn(m *message.Message, id uint16) (waits, error) {
	if m.QoS == 2 {
		return c.handOnOnce(m, id)
	}
	return c.b.route(c.b.life(), m, c.sub)
}

// handOnOnce routes a QoS 2 message. What it leads to and its packet identifier become
// durable together: one without the other would lose or repeat it.
func (c *connection) handOnOnce(m *message.Message, id uint16) (w waits, err error) {
	handOn := func() {
		if w, err = c.b.route(c.b.life(), m, c.sub); err == nil {
			c.sub.session.Taken(id)
		}
	}
	if g, ok := c.b.store.(store.Grouper); ok {
		g.Group(handOn)
	} else {
		handOn()
	}
	return w, err
}

// resolveTopic is the topic of a PUBLISH, by its alias if need be.
func (c *connection) resolveTopic(p *publish) (string, error) {
	if p.alias == 0 {
		if topic, known := c.recent.find(p.topic); known && topic != "" {
			return topic, nil
		}
	} else if int(p.alias) > c.b.limits.MaxTopicAliases { // [MQTT-3.3.2-9]
		return "", fault(reasonTopicAlias, "topic alias above Topic Alias Maximum")
	}
	if len(p.topic) == 0 {
		if p.alias == 0 {
			return "", fault(reasonProtocolError, "PUBLISH without topic and alias")
		}
		if int(p.alias) > len(c.aliases) || c.aliases[p.alias-1] == "" {
			return "", fault(reasonTopicAlias, "topic alias that was never set")
		}
		return c.aliases[p.alias-1], nil
	}
	topic := string(p.topic)
	if err := message.ValidateTopic(topic); err != nil { // [MQTT-3.3.2-2]
		if errors.Is(err, message.ErrTopicText) {
			return "", fault(reasonMalformed, err.Error())
		}
		return "", fault(reasonTopicInvalid, err.Error())
	}
	if p.alias == 0 {
		c.recent.add(topic)
		return topic, nil
	}
	for len(c.aliases) < int(p.alias) {
		c.aliases = append(c.aliases, "")
	}
	c.aliases[p.alias-1] = topic
	return topic, nil
}

// objection is why a message is not taken, before anybody is asked.
func (c *connection) objection(p *publish, topic string) (r reason, why string) {
	l := &c.b.limits
	switch {
	case !fits(topic, l):
		return reasonTopicInvalid, ""
	case l.MaxPayloadSize > 0 && len(p.payload) > l.MaxPayloadSize:
		return reasonPacketTooLarge, ""
	case !propertiesFit(&p.props, l):
		return reasonQuotaExceeded, ""
	case p.props.Format == message.FormatUTF8 && !utf8.Valid(p.payload): // MQTT 5, 3.3.2.3.2
		return reasonPayloadFormat, ""
	}
	return c.mayNotPublish(topic, p.retain)
}

// propertiesFit reports whether a message's properties are within the limits.
func propertiesFit(p *message.Properties, l *Limits) bool {
	user := 0
	for i := range p.User {
		user += len(p.User[i].Key) + len(p.User[i].Value)
	}
	return within(len(p.ContentType), l.MaxContentType) && within(len(p.Correlation), l.MaxCorrelationData) &&
		within(user, l.MaxUserProperties)
}

// within reports whether n is at most most, of which 0 is no limit.
func within(n, most int) bool { return most <= 0 || n <= most }

// ownTopic reports whether a topic is the server's own: nobody else, no client and no
// rule, publishes there.
func ownTopic(topic string) bool {
	return strings.HasPrefix(topic, "$SYS/") || topic == "$SYS" || strings.HasPrefix(topic, "$share/") ||
		strings.HasPrefix(topic, eventPrefix)
}

// reservedTopic reports whether clients may not publish there, whatever policies say. Of
// $aws/... they may use Basic Ingest and ask for shadows and jobs, as on AWS IoT.
func reservedTopic(topic string) bool {
	if topic == "" || topic[0] != '$' {
		return false
	}
	rest, aws := strings.CutPrefix(topic, "$aws/")
	if _, state := bridgeState(topic); state {
		return false
	}
	return ownTopic(topic) || aws && !strings.HasPrefix(rest, "rules/") && !shadowRequest(rest)
}

// bridgeState reports the topic of $SYS at which a bridge of mosquitto's says whether it is
// connected, $SYS/broker/connection/CLIENT/state. Each client may use its own.
func bridgeState(topic string) (clientID string, is bool) {
	rest, below := strings.CutPrefix(topic, "$SYS/broker/connection/")
	clientID, is = strings.CutSuffix(rest, "/state")
	return clientID, is && below && !strings.Contains(clientID, "/")
}

// shadowRequest reports whether a topic, without $aws/, asks for a thing's shadow:
// things/THING/shadow[/name/SHADOW]/get, update or delete.
func shadowRequest(topic string) bool {
	rest, ok := strings.CutPrefix(topic, "things/")
	_, rest, more := strings.Cut(rest, "/")
	rest, shadow := strings.CutPrefix(rest, "shadow/")
	if named, ok := strings.CutPrefix(rest, "name/"); ok {
		_, rest, _ = strings.Cut(named, "/")
	}
	return ok && more && shadow && (rest == "get" || rest == "update" || rest == "delete")
}

// basicIngest is the prefix of topics that go to one rule and to no subscriber, as
// AWS IoT has it: $aws/rules/NAME/topic.
const basicIngest = "$aws/rules/"

// fits reports whether a topic name or filter is within the limits. A Basic Ingest
// prefix does not count.
func fits(topic string, l *Limits) bool {
	if rest, ok := strings.CutPrefix(topic, basicIngest); ok {
		if _, after, more := strings.Cut(rest, "/"); more {
			topic = after
		}
	}
	return len(topic) <= l.MaxTopicLength && message.Levels(topic) <= l.MaxTopicLevels
}

// arrives takes note of a QoS 2 message and reports whether it is new. One that is
// not is acknowledged and nothing else. [MQTT-4.3.3-10]
func (c *connection) arrives(p *publish) bool {
	id := p.id
	arrival := c.sub.session.Arrive(id, func(r byte) { c.acks.now(session.Pubrec, id, reason(r)) })
	if arrival == session.Known {
		c.acks.now(session.Pubrec, id, reasonSuccess)
	}
	return arrival == session.First
}

// refuse answers a message that is not taken. Before MQTT 5 there is no negative
// acknowledgement: what the client may not do is acknowledged and dropped, anything
// else ends the connection, so that the client sends it again. [MQTT-3.3.5-2]
func (c *connection) refuse(p *publish, r reason, why string, quietly bool) error {
	if p.qos == 2 {
		c.sub.session.Arrived(p.id, byte(reasonUnspecified))
	}
	switch {
	case r == reasonNotAuthorized && c.b.closesDenied():
		return &packetError{reason: r, text: "a PUBLISH that is not allowed", tell: why}
	case p.qos == 0:
		return nil
	case c.version >= 5:
		c.acks.refuse(ackOf(p.qos), p.id, ackReason(r), c.reasonString(why))
		return nil
	case quietly:
		c.acks.now(ackOf(p.qos), p.id, reasonSuccess)
		return nil
	default:
		return fault(r, "a message was refused and the client's version of MQTT has no way to say so")
	}
}

// ackReason makes a reason code one that PUBACK and PUBREC may carry (MQTT 5, 3.4.2.1).
func ackReason(r reason) reason {
	switch r {
	case reasonSuccess, reasonUnspecified, reasonImplementation, reasonNotAuthorized, reasonTopicInvalid,
		reasonQuotaExceeded, reasonPayloadFormat:
		return r
	case reasonPacketTooLarge:
		return reasonQuotaExceeded
	default:
		return reasonImplementation
	}
}

func ackOf(qos byte) session.Ack {
	if qos == 2 {
		return session.Pubrec
	}
	return session.Puback
}

// acknowledge sends the acknowledgement when everything it stands for is durable.
func (c *connection) acknowledge(p *publish, w waits) {
	n := w.count()
	if n == 0 {
		if p.qos == 2 {
			c.sub.session.Arrived(p.id, 0)
		}
		c.acks.now(ackOf(p.qos), p.id, reasonSuccess)
		return
	}
	r := c.acks.later(ackOf(p.qos), p.id, n)
	if w.pending != nil {
		w.pending.Then(r.done)
	}
	if w.store {
		c.b.store.Sync(r.done)
	}
}
