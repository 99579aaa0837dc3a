// Package mqttclient is a small, fast MQTT client for versions 3.1.1 and 5: a codec
// for every packet, dialling over TCP, TLS and WebSocket, and a [Client] with all
// three qualities of service, properties, subscriptions and request/response.
//
// The command line, the load generator and the tests of the broker use it. It is our
// own because the usual Go library comes as one package for each protocol version,
// with two different interfaces, and neither can generate load: they spend a
// goroutine, a channel and several allocations on each message. The codec here
// appends to a caller's buffer and reads from one, so that the load generator can use
// the same code as the client and still cost a fraction of what a broker does. A second
// implementation of the protocol also keeps the broker honest: it does not share
// the server's codec, so the two cannot be wrong in the same way.
//
// The client keeps no state beyond one connection: whoever wants to reconnect calls
// [Open] again.
package mqttclient

// Version is an MQTT protocol level as CONNECT carries it (MQTT 5, section 3.1.2.2).
type Version byte

// The protocol versions that this package speaks. MQTT 3.1 (level 3) is not one.
const (
	V311 Version = 4
	V5   Version = 5
)

// String gives the name that mosquitto's clients use, such as "mqttv5".
func (v Version) String() string {
	switch v {
	case V311:
		return "mqttv311"
	case V5:
		return "mqttv5"
	default:
		return "unknown MQTT version"
	}
}

// Type is an MQTT control packet type (MQTT 5, section 2.1.2).
type Type byte

// The control packet types.
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

// String gives the specification's name, such as "PUBLISH".
func (t Type) String() string {
	names := [...]string{
		"reserved packet type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
		"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown packet type"
}
