package broker

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/topicwire/topicwire/message"
)

// eventPrefix begins the topics of lifecycle events, which the server alone publishes.
const eventPrefix = "$aws/events/"

// The topics of the events, up to the client identifier.
const (
	eventConnected     = eventPrefix + "presence/connected/"
	eventDisconnected  = eventPrefix + "presence/disconnected/"
	eventConnectFailed = eventPrefix + "presence/connect_failed/"
	eventSubscribed    = eventPrefix + "subscriptions/subscribed/"
	eventUnsubscribed  = eventPrefix + "subscriptions/unsubscribed/"
)

// event is the document of a lifecycle event, with AWS IoT's keys in their order.
// (https://docs.aws.amazon.com/iot/latest/developerguide/life-cycle-events.html)
type event struct {
	ClientID  string `json:"clientId"`
	ThingName string `json:"thingName,omitempty"`
	Timestamp int64  `json:"timestamp"` // Unix milliseconds
	EventType string `json:"eventType"`
	Initiated *bool  `json:"clientInitiatedDisconnect,omitempty"`
	Failure   string `json:"connectFailureReason,omitempty"`
	Session   string `json:"sessionIdentifier"`
	Principal string `json:"principalIdentifier"`
	Reason    string `json:"disconnectReason,omitempty"`
	IPAddress string `json:"ipAddress,omitempty"`
	// Version rises with every connection and is the same when it begins and when it
	// ends, so that whoever gets the two in the wrong order can tell.
	Version *uint64  `json:"versionNumber,omitempty"`
	Topics  []string `json:"topics,omitempty"`
}

// connected tells that the client has been let in.
func (c *connection) connected() {
	c.announced = true
	c.tell(eventConnected, func(e *event) {
		e.ThingName, e.IPAddress, e.Version = c.b.thingOf(c), c.origin.Addr.Addr().String(), &c.serial
	})
}

// disconnected tells that the connection has ended, once it has been told that it began.
func (c *connection) disconnected() {
	if !c.announced {
		return
	}
	c.tell(eventDisconnected, func(e *event) {
		goodbye := c.saidBye
		e.ThingName, e.Initiated, e.Reason, e.Version = c.b.thingOf(c), &goodbye, c.departureReason(), &c.serial
	})
}

// connectFailed tells of a client that is known and may not connect the way it wants to.
func (c *connection) connectFailed() {
	c.serial = c.b.serial.Add(1)
	c.tell(eventConnectFailed, func(e *event) {
		e.Failure, e.IPAddress = "AUTHORIZATION_FAILED", c.origin.Addr.Addr().String()
	})
}

// subscribed and unsubscribed tell of topic filters; of none they do not.
func (c *connection) subscribed(filters []string) {
	if len(filters) > 0 {
		c.tell(eventSubscribed, func(e *event) { e.Topics = filters })
	}
}

func (c *connection) unsubscribed(filters []string) {
	if len(filters) > 0 {
		c.tell(eventUnsubscribed, func(e *event) { e.Topics = filters })
	}
}

// tell publishes an event about the client, if anybody wants it: a subscriber or a rule.
// Client identifiers with wildcards in them make no topic, so there are no events, as on
// AWS IoT.
func (c *connection) tell(topic string, fill func(*event)) {
	if strings.ContainsAny(c.origin.ClientID, "+#") {
		return
	}
	kind := topic[strings.LastIndexByte(topic[:len(topic)-1], '/')+1 : len(topic)-1]
	topic += c.origin.ClientID
	b := c.b
	if !b.wanted(topic) || message.ValidateTopic(topic) != nil {
		return
	}
	now := time.Now()
	e := event{
		ClientID: c.origin.ClientID, Timestamp: now.UnixMilli(), EventType: kind,
		Session: b.sessionIdentifier(c.serial), Principal: c.origin.Principal,
	}
	if e.Principal == "" {
		e.Principal = "anonymous"
	}
	fill(&e)
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&e); err != nil { // plain structs always marshal
		return
	}
	m := &message.Message{Topic: topic, Payload: bytes.TrimSuffix(doc.Bytes(), []byte("\n")), QoS: 1, Received: now}
	if _, err := b.route(b.life(), m, nil); err != nil {
		b.log.Debug().Err(err).Str("client", c.origin.ClientID).Str("event", kind).Msg("a lifecycle event was refused")
		return
	}
	b.metrics.events.Inc()
}

// wanted reports whether a subscriber or a rule takes messages of a topic.
func (b *Broker) wanted(topic string) bool {
	found := b.index.Match(topic)
	return found.Subscribers.Len() > 0 || len(found.Groups) > 0 || b.listens != nil && b.listens(topic)
}

// sessionIdentifier names one connection of this run of the server.
func (b *Broker) sessionIdentifier(serial uint64) string {
	var low [8]byte
	binary.BigEndian.PutUint64(low[:], serial)
	return fmt.Sprintf("%s-%x-%x", b.runID, low[:2], low[2:])
}

// thingOf is the name of the thing that the client is; empty if none is known.
func (b *Broker) thingOf(c *connection) string {
	if b.grants == nil {
		return ""
	}
	return b.grants.ThingOf(c.principal)
}
