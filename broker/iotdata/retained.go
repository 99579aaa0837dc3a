package iotdata

import (
	"encoding/base64"
	"net/http"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

// retainedMessage is the answer of GetRetainedMessage.
type retainedMessage struct {
	Topic          string `json:"topic"`
	Payload        []byte `json:"payload"`
	QoS            byte   `json:"qos"`
	LastModified   int64  `json:"lastModifiedTime"` // Unix milliseconds
	UserProperties []byte `json:"userProperties,omitempty"`
}

func (c *call) getRetained() (any, error) {
	if err := message.ValidateTopic(c.name); err != nil {
		return nil, invalid("%v", err)
	}
	if err := c.may(auth.GetRetainedMessage, c.name); err != nil {
		return nil, err
	}
	m := c.o.Broker.Retained(c.name)
	if m == nil {
		return nil, &Error{http.StatusNotFound, typeNotFound, "there is no retained message on " + c.name}
	}
	return retainedMessage{
		Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, LastModified: m.Received.UnixMilli(),
		UserProperties: encodeUserProperties(m.Props.User),
	}, nil
}

// retainedSummary is one row of ListRetainedMessages.
type retainedSummary struct {
	Topic        string `json:"topic"`
	PayloadSize  int    `json:"payloadSize"`
	QoS          byte   `json:"qos"`
	LastModified int64  `json:"lastModifiedTime"`
}

type retainedList struct {
	Topics []retainedSummary `json:"retainedTopics"`
	Next   *string           `json:"nextToken"`
}

// The sizes of a page.
const (
	retainedPage     = 200 // AWS's
	subscriptionPage = 20  // AWS's
	maxPage          = 1000
)

func (c *call) listRetained() (any, error) {
	n, after, err := c.page(retainedPage)
	if err != nil {
		return nil, err
	}
	if err := c.may(auth.ListRetainedMessages, ""); err != nil {
		return nil, err
	}
	found := c.o.Broker.RetainedPage(after, n+1)
	list := retainedList{Topics: make([]retainedSummary, 0, min(n, len(found)))}
	for i, m := range found {
		if i == n {
			list.Next = token(found[n-1].Topic)
			break
		}
		list.Topics = append(list.Topics, retainedSummary{m.Topic, len(m.Payload), m.QoS, m.Received.UnixMilli()})
	}
	return list, nil
}

// page is how many results are wanted and behind which name they begin.
func (c *call) page(size int64) (n int, after string, err error) {
	most, err := c.number("maxResults", size, 1, maxPage)
	if err != nil {
		return 0, "", err
	}
	name, err := base64.RawURLEncoding.DecodeString(c.query.Get("nextToken"))
	if err != nil {
		return 0, "", invalid("nextToken is none that this operation gave")
	}
	return int(most), string(name), nil
}

// token names the place behind a name.
func token(name string) *string {
	t := base64.RawURLEncoding.EncodeToString([]byte(name))
	return &t
}
