package bridge

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
)

// TestMessage is the message of a rule's test. The error names the field that makes
// no message.
func TestMessage(t rules.TestCase) (*message.Message, error) {
	m := &message.Message{
		Topic:    t.Topic,
		From:     message.Origin{Principal: t.Principal, Via: message.ViaHTTP},
		Props:    message.Properties{ContentType: t.ContentType, ResponseTopic: t.ResponseTopic},
		Received: t.Now,
	}
	if t.Now.IsZero() {
		m.Received = time.Now()
	}
	if t.ClientID != "" {
		m.From.ClientID, m.From.Via = t.ClientID, message.ViaMQTT
	}
	switch t.PayloadFormat {
	case "utf8":
		m.Props.Format = message.FormatUTF8
	case "bytes":
		m.Props.Format = message.FormatBytes
	}
	if t.CorrelationData != "" {
		m.Props.Correlation = []byte(t.CorrelationData)
	}
	for _, key := range slices.Sorted(maps.Keys(t.UserProperties)) {
		m.Props.User = append(m.Props.User, message.UserProperty{Key: key, Value: t.UserProperties[key]})
	}
	var err error
	if m.From.Addr, err = testSource(t); err != nil {
		return nil, fmt.Errorf("source_ip: %w", err)
	}
	m.Payload, err = t.Bytes()
	return m, err
}

func testSource(t rules.TestCase) (netip.AddrPort, error) {
	if t.SourceIP == "" {
		return netip.AddrPort{}, nil
	}
	addr, err := netip.ParseAddr(t.SourceIP)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addr, 0), nil
}
