package bench

import (
	"fmt"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// answer sends every request that comes on l back to its Response Topic, until the
// connection is closed: it stands for a function where the broker has none.
func answer(l *link) error {
	var out []byte
	var sent uint64
	for {
		first, body, err := l.in.Next()
		if err != nil {
			return ended(err)
		}
		p, err := mqttclient.Decode(mqttclient.V5, first, body)
		if err != nil {
			return err
		}
		switch p := p.(type) {
		case *mqttclient.Publish:
			switch p.QoS {
			case 1:
				out = appendAck(out, mqttclient.PUBACK, p.PacketID)
			case 2:
				out = appendAck(out, mqttclient.PUBREC, p.PacketID)
			}
			reply := &mqttclient.Publish{
				Topic: p.Props.ResponseTopic, Payload: p.Payload, QoS: p.QoS, PacketID: packetID(sent),
				Props: mqttclient.Properties{CorrelationData: p.Props.CorrelationData},
			}
			sent++
			if out, err = reply.Append(out, mqttclient.V5); err != nil {
				return err
			}
		case *mqttclient.Ack:
			switch p.Kind {
			case mqttclient.PUBREC:
				out = appendAck(out, mqttclient.PUBREL, p.PacketID)
			case mqttclient.PUBREL:
				out = appendAck(out, mqttclient.PUBCOMP, p.PacketID)
			default: // PUBACK, PUBCOMP: the answer has been taken
			}
		default:
			return fmt.Errorf("an unexpected packet: %w", unexpected(mqttclient.V5, first, body))
		}
		if len(out) == 0 || l.in.Ready() {
			continue
		}
		if _, err := l.Write(out); err != nil {
			return ended(err)
		}
		out = out[:0]
	}
}
