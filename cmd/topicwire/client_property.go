package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// propertyFlag is one -D: the packet it is for, the property's name and its value;
// a user property has a name of its own besides.
type propertyFlag struct{ command, name, key, value string }

// propertyFlags are all of them, in order.
type propertyFlags []propertyFlag

// Decode takes the three or four words that follow a -D.
func (p *propertyFlags) Decode(ctx *kong.DecodeContext) error {
	var f propertyFlag
	for _, word := range []*string{&f.command, &f.name} {
		if err := ctx.Scan.PopValueInto("COMMAND NAME VALUE", word); err != nil {
			return err
		}
	}
	if f.name == "user-property" {
		if err := ctx.Scan.PopValueInto("name of the user property", &f.key); err != nil {
			return err
		}
	}
	if err := ctx.Scan.PopValueInto("value of "+f.name, &f.value); err != nil {
		return err
	}
	if !strings.Contains(" connect publish will subscribe unsubscribe disconnect ", " "+f.command+" ") {
		return fmt.Errorf("%q is no command: use connect, publish, will, subscribe, unsubscribe or disconnect", f.command)
	}
	var probe mqttclient.Properties
	if err := f.set(&probe); err != nil {
		return err
	}
	*p = append(*p, f)
	return nil
}

// apply sets the properties that are for command.
func (p propertyFlags) apply(command string, to *mqttclient.Properties) error {
	for _, f := range p {
		if f.command != command {
			continue
		}
		if err := f.set(to); err != nil {
			return err
		}
	}
	return nil
}

// errProperty says that a -D cannot be used.
var errProperty = errors.New("property")

// set sets one property under mosquitto's name for it.
func (f propertyFlag) set(p *mqttclient.Properties) (err error) {
	switch f.name {
	case "payload-format-indicator":
		p.PayloadFormat, err = number[byte](f, 1)
	case "message-expiry-interval":
		p.MessageExpiry, err = number[uint32](f, math.MaxUint32)
	case "content-type":
		p.ContentType = f.value
	case "response-topic":
		p.ResponseTopic = f.value
	case "correlation-data":
		p.CorrelationData = []byte(f.value)
	case "subscription-identifier":
		var id *uint32
		if id, err = number[uint32](f, mqttclient.MaxRemaining); err == nil {
			p.SubscriptionIDs = append(p.SubscriptionIDs, *id)
		}
	case "session-expiry-interval":
		p.SessionExpiry, err = number[uint32](f, math.MaxUint32)
	case "authentication-method":
		p.AuthMethod = f.value
	case "authentication-data":
		p.AuthData = []byte(f.value)
	case "request-problem-information":
		p.RequestProblem, err = number[byte](f, 1)
	case "request-response-information":
		p.RequestResponse, err = number[byte](f, 1)
	case "will-delay-interval":
		p.WillDelay, err = number[uint32](f, math.MaxUint32)
	case "receive-maximum":
		err = set(f, math.MaxUint16, &p.ReceiveMaximum)
	case "maximum-packet-size":
		err = set(f, math.MaxUint32, &p.MaximumPacketSize)
	case "topic-alias-maximum":
		p.TopicAliasMaximum, err = number[uint16](f, math.MaxUint16)
	case "topic-alias":
		err = set(f, math.MaxUint16, &p.TopicAlias)
	case "user-property":
		p.User = append(p.User, mqttclient.UserProperty{Key: f.key, Value: f.value})
	default:
		err = fmt.Errorf("%w %q is not one that a client sends", errProperty, f.name)
	}
	return err
}

// set reads a number where 0 means that the property is absent.
func set[T byte | uint16 | uint32](f propertyFlag, limit uint64, to *T) error {
	n, err := number[T](f, limit)
	if err == nil {
		*to = *n
	}
	return err
}

func number[T byte | uint16 | uint32](f propertyFlag, limit uint64) (*T, error) {
	n, err := strconv.ParseUint(f.value, 10, 64)
	if err != nil || n > limit {
		return nil, fmt.Errorf("%w %s takes a number from 0 to %d, not %q", errProperty, f.name, limit, f.value)
	}
	return new(T(n)), nil
}
