package apigateway

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/expression"
	"github.com/topicwire/topicwire/message"
)

// With these headers of its answers a function subscribes the connection to topics, and
// takes it off again. API Gateway ignores them.
const (
	headerSubscribe   = "Topicwire-Subscribe"
	headerUnsubscribe = "Topicwire-Unsubscribe"
)

// Errors of subscriptions and publishes.
var (
	errNotAllowed = errors.New("the client may not")
	errTooMany    = errors.New("the connection has as many topics as it may")
)

// firstTopics subscribes the connection to what the configuration and $connect say, before the
// handshake is answered, so that nothing is missed from then on.
func (c *connection) firstTopics(r *http.Request, route *apiRoute) error {
	get := c.valuesOf(r)
	templates := c.api.subscribe
	if route != nil {
		templates = append(slices.Clip(templates), route.subscribe...)
	}
	if err := c.subscribeAll(templates, get, nil); err != nil {
		return err
	}
	for _, filter := range c.asked {
		if err := c.subscribe(c.api.route.Topic(filter)); err != nil {
			return err
		}
	}
	c.asked = nil
	if route == nil || route.publish == nil {
		return nil
	}
	return c.publish(route.publish, get, nil)
}

// valuesOf is what names stand for. r is nil after the handshake.
func (c *connection) valuesOf(r *http.Request) func(name string) string {
	return func(name string) string {
		kind, key, _ := strings.Cut(name, ".")
		switch {
		case name == expression.ConnectionID:
			return c.id
		case kind == "authorizer":
			return c.authorizerValue(key)
		case r != nil && kind == "query":
			return r.URL.Query().Get(key)
		case r != nil && kind == "header":
			return r.Header.Get(key)
		default:
			return ""
		}
	}
}

// applyTopics does what a route says about topics.
func (c *connection) applyTopics(j job) error {
	get := c.valuesOf(nil)
	for _, t := range j.route.unsubscribe {
		filter, err := t.Render(get, j.body)
		if err != nil {
			return err
		}
		c.unsubscribe(c.api.route.Topic(filter))
	}
	if err := c.subscribeAll(j.route.subscribe, get, j.body); err != nil {
		return err
	}
	if j.route.publish == nil {
		return nil
	}
	return c.publish(j.route.publish, get, j.body)
}

// applyHeaders does what the function's answer says about topics.
func (c *connection) applyHeaders(a *answer) error {
	for _, filter := range a.list(headerUnsubscribe) {
		c.unsubscribe(c.api.route.Topic(filter))
	}
	for _, filter := range a.list(headerSubscribe) {
		if err := c.subscribe(c.api.route.Topic(filter)); err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) subscribeAll(templates []*expression.Topic, get func(string) string, body []byte) error {
	for _, t := range templates {
		filter, err := t.Render(get, body)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		if err := c.subscribe(c.api.route.Topic(filter)); err != nil {
			return err
		}
	}
	return nil
}

// subscribe adds a filter, if the client may.
func (c *connection) subscribe(filter string) error {
	if c.grant != nil && !c.grant.MaySubscribe(filter) {
		return fmt.Errorf("%w subscribe to %.200q", errNotAllowed, filter)
	}
	c.mu.Lock()
	if _, there := c.topics[filter]; there || c.closing {
		c.mu.Unlock()
		return nil
	}
	if len(c.topics) >= c.g.o.MaxSubscriptions {
		c.mu.Unlock()
		return fmt.Errorf("%w: %d", errTooMany, c.g.o.MaxSubscriptions)
	}
	if c.sub == nil {
		var may func(string) bool
		if c.grant != nil {
			may = c.grant.MayReceive
		}
		c.sub, c.topics = c.g.o.Space.Subscriber(may, c.receive), make(map[string]struct{}, 1)
	}
	c.topics[filter] = struct{}{}
	sub := c.sub
	c.mu.Unlock()
	if err := sub.Subscribe(filter, c.api.route.Retained); err != nil {
		c.mu.Lock()
		delete(c.topics, filter)
		c.mu.Unlock()
		return err
	}
	return nil
}

func (c *connection) unsubscribe(filter string) {
	c.mu.Lock()
	_, there := c.topics[filter]
	delete(c.topics, filter)
	sub := c.sub
	c.mu.Unlock()
	if there {
		sub.Unsubscribe(filter)
	}
}

// filters are what the connection is subscribed to.
func (c *connection) filters() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.topics))
}

func (c *connection) unsubscribeAll() {
	c.mu.Lock()
	sub := c.sub
	c.mu.Unlock()
	if sub != nil {
		sub.Close()
	}
}

// publish publishes a message of the client, if it may.
func (c *connection) publish(t *expression.Topic, get func(string) string, body []byte) error {
	topic, err := t.Render(get, body)
	if err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return c.publishTo(c.api.route.Topic(topic), body)
}

func (c *connection) publishTo(topic string, body []byte) error {
	if c.grant != nil && !c.grant.MayPublish(topic) {
		return fmt.Errorf("%w publish to %.200q", errNotAllowed, topic)
	}
	from := message.Origin{ClientID: c.id, Via: message.ViaHTTP}
	if c.grant != nil {
		from.Principal = c.grant.Name()
	}
	if a, err := netip.ParseAddr(c.identity.SourceIP); err == nil {
		from.Addr = netip.AddrPortFrom(a, 0)
	}
	return c.g.o.Space.Publish(c.g.life, &message.Message{
		Topic: topic, Payload: body, QoS: 1, From: from, Received: time.Now(),
		Props: message.Properties{Format: message.FormatUTF8}, // only text comes this far
	})
}
