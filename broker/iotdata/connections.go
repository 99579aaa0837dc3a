package iotdata

import (
	"net/http"
	"strings"

	"github.com/topicwire/topicwire/broker/auth"
)

// connectionInfo is the answer of GetConnection.
type connectionInfo struct {
	ClientID     string `json:"clientId"`
	Connected    bool   `json:"connected"`
	CleanSession bool   `json:"cleanSession"`
	Since        int64  `json:"connectedSince,omitempty"`    // Unix milliseconds
	Left         int64  `json:"disconnectedSince,omitempty"` // the same
	Why          string `json:"disconnectReason,omitempty"`
	KeepAlive    int64  `json:"keepAliveDuration,omitempty"` // seconds
	Expiry       int64  `json:"sessionExpiry"`               // the same
	SourceIP     string `json:"sourceIp,omitempty"`
	SourcePort   uint16 `json:"sourcePort,omitempty"`
	TargetIP     string `json:"targetIp,omitempty"`
	TargetPort   uint16 `json:"targetPort,omitempty"`
}

func (c *call) getConnection() (any, error) {
	sockets, err := c.flag("includeSocketInformation")
	if err != nil {
		return nil, err
	}
	if err := c.client(auth.GetConnection); err != nil {
		return nil, err
	}
	info, ok := c.o.Broker.Client(c.name)
	if !ok {
		return nil, c.noClient()
	}
	answer := connectionInfo{
		ClientID: info.ID, Connected: info.Connected, CleanSession: info.Clean, Why: info.Why,
		KeepAlive: int64(info.KeepAlive.Seconds()), Expiry: int64(info.Expiry.Seconds()),
	}
	if !info.Since.IsZero() {
		answer.Since = info.Since.UnixMilli()
	}
	if !info.Left.IsZero() {
		answer.Left = info.Left.UnixMilli()
	}
	if sockets && info.Remote.IsValid() {
		answer.SourceIP, answer.SourcePort = info.Remote.Addr().String(), info.Remote.Port()
		answer.TargetIP, answer.TargetPort = info.Local.Addr().String(), info.Local.Port()
	}
	return answer, nil
}

func (c *call) deleteConnection() (any, error) {
	clean, err := c.flag("cleanSession")
	if err != nil {
		return nil, err
	}
	noWill, err := c.flag("preventWillMessage")
	if err != nil {
		return nil, err
	}
	if err := c.client(auth.DeleteConnection); err != nil {
		return nil, err
	}
	return nil, c.o.Broker.Kick(c.name, clean, noWill)
}

type subscription struct {
	Filter string `json:"topicFilter"`
	QoS    byte   `json:"qos"`
}

type subscriptionList struct {
	Subscriptions []subscription `json:"subscriptions"`
	Next          *string        `json:"nextToken"`
}

func (c *call) listSubscriptions() (any, error) {
	n, after, err := c.page(subscriptionPage)
	if err != nil {
		return nil, err
	}
	if err := c.client(auth.ListSubscriptions); err != nil {
		return nil, err
	}
	all, ok := c.o.Broker.Subscriptions(c.name)
	if !ok {
		return nil, c.noClient()
	}
	list := subscriptionList{Subscriptions: []subscription{}}
	for _, s := range all {
		if s.Filter <= after {
			continue
		}
		if len(list.Subscriptions) == n {
			list.Next = token(list.Subscriptions[n-1].Filter)
			break
		}
		list.Subscriptions = append(list.Subscriptions, subscription{s.Filter, s.QoS})
	}
	return list, nil
}

// client checks what the path names and whether the caller may do action to it.
func (c *call) client(action auth.Action) error {
	if c.name == "" || strings.HasPrefix(c.name, "$") {
		return invalid("clientId is empty or begins with $")
	}
	return c.may(action, c.name)
}

func (c *call) noClient() error {
	return &Error{http.StatusNotFound, typeNotFound, "there is no client " + c.name}
}
