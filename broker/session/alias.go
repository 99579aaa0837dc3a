package session

import "github.com/topicwire/topicwire/message"

// shortestAliased is the shortest topic worth an alias: it costs three bytes itself.
const shortestAliased = 4

// alias gives the topic an alias if the client takes any, or uses the one it has.
// Aliases are given to the first topics that come and stay. [MQTT-3.1.2-26] [MQTT-3.1.2-27]
func (a *attached) alias(topic string, h *Header) {
	if a.params.TopicAliasMaximum == 0 || len(topic) < shortestAliased {
		return
	}
	if n, known := a.aliases[topic]; known {
		h.Alias, h.OmitTopic = n, true
		return
	}
	if len(a.aliases) >= int(a.params.TopicAliasMaximum) {
		return
	}
	if a.aliases == nil {
		a.aliases = map[string]uint16{}
	}
	h.Alias = uint16(len(a.aliases) + 1)
	a.aliases[topic] = h.Alias
}

// encode appends the packet of a message that is sent for the first time, with a topic
// alias if the client takes one, and reports whether the client takes a packet of that
// size.
func (a *attached) encode(dst []byte, m *message.Message, h *Header) (packet []byte, fits bool) {
	a.alias(m.Topic, h)
	packet, _ = AppendPublish(dst, m, h)
	if a.tooLarge(packet) && h.Alias != 0 && !h.OmitTopic { // it is longer for the alias that it sets
		delete(a.aliases, m.Topic)
		h.Alias = 0
		packet, _ = AppendPublish(dst, m, h)
	}
	return packet, !a.tooLarge(packet)
}
