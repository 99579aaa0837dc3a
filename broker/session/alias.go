package session

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

// forget takes an alias back whose packet was not sent.
func (a *attached) forget(topic string, h *Header) {
	if h.Alias != 0 && !h.OmitTopic {
		delete(a.aliases, topic)
	}
}
