package bridge

import (
	"github.com/topicwire/topicwire/bridge/outbox"
)

// Letters gives the dead letters that match, in the order of their messages.
func (b *Bridge) Letters(match func(*outbox.Letter) bool) []outbox.Letter {
	return b.durable.Letters(match)
}
