package rulesimport

import (
	"fmt"
	"strings"

	"github.com/topicwire/topicwire/bridge/action"
)

// action makes an action of ours; false if it is left out or wrong.
func (f *finishing) action(path string, n *node) (action.Config, bool) {
	var c action.Config
	if n.kind == unknownKind {
		f.failed = true
		f.missing(f.rule.name, path, n.wants)
		return c, false
	}
	if n.kind != mapKind || len(n.entries) != 1 {
		f.wrong(path, n, "an action is an object with one key, its kind", "write one action an object")
		return c, false
	}
	kind, v := n.entries[0].key, n.entries[0].value
	before := f.failed
	f.failed = false
	inside := path + "." + kind.text
	switch kind.text {
	case "lambda":
		c.Lambda = f.lambda(inside, v)
	case "republish":
		c.Republish = f.republish(inside, v)
	case "http":
		c.HTTP = f.http(inside, v)
	default:
		f.failed = before
		f.unsupported(path, kind, "topicwire has no action "+kind.text)
		return c, false
	}
	good := !f.failed
	f.failed = f.failed || before
	if !good {
		return c, false
	}
	c.Check(func(where, problem, remedy string) {
		if good {
			good = false
			f.unsupported(path, kind, joined(where, problem)+": "+remedy)
		}
	})
	return c, good
}

// unsupported refuses what cannot be done here, or leaves it out and says so.
func (f *finishing) unsupported(path string, at *node, problem string) {
	if !f.options.SkipUnsupported {
		f.wrong(path, at, problem, "take it out, or leave it out with --skip-unsupported")
		return
	}
	f.out.notes = append(f.out.notes, path+" is left out: "+problem)
	f.warn(at, "rule "+f.rule.name+": "+path+" is left out: "+problem, "")
}

// lambda names the function by its name if it is one of those that were read.
func (f *finishing) lambda(path string, n *node) *action.LambdaConfig {
	f.only(path, n, "functionArn")
	arn := n.get("functionArn")
	name := arn.text
	if _, after, ok := strings.Cut(name, arnName); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, ":") // a version or alias: here there is one version
	if l, ok := f.locals[name]; ok && arn.kind == scalarKind {
		return &action.LambdaConfig{Function: f.called(l)}
	}
	return &action.LambdaConfig{FunctionArn: f.text(path+".functionArn", arn)}
}

// republish leaves roleArn out: a rule publishes in its own right here.
func (f *finishing) republish(path string, n *node) *action.RepublishConfig {
	f.only(path, n, "topic", "qos", "roleArn", "headers")
	c := &action.RepublishConfig{
		Topic: f.text(path+".topic", n.get("topic")),
		QoS:   action.Value(f.text(path+".qos", n.get("qos"))),
	}
	h := n.get("headers")
	if h.kind == unknownKind {
		f.failed = true
		f.missing(f.rule.name, path+".headers", h.wants)
	}
	if h.kind != mapKind {
		return c
	}
	path += ".headers"
	f.only(path, h, "payloadFormatIndicator", "contentType", "responseTopic", "correlationData", "messageExpiry", "userProperties")
	c.Headers = &action.RepublishHeaders{
		PayloadFormatIndicator: f.text(path+".payloadFormatIndicator", h.get("payloadFormatIndicator")),
		ContentType:            f.text(path+".contentType", h.get("contentType")),
		ResponseTopic:          f.text(path+".responseTopic", h.get("responseTopic")),
		CorrelationData:        f.text(path+".correlationData", h.get("correlationData")),
		MessageExpiry:          action.Value(f.text(path+".messageExpiry", h.get("messageExpiry"))),
	}
	f.pairs(path+".userProperties", h.get("userProperties"), func(k, v string) {
		c.Headers.UserProperties = append(c.Headers.UserProperties, action.UserProperty{Key: k, Value: v})
	})
	return c
}

func (f *finishing) http(path string, n *node) *action.HTTPConfig {
	f.only(path, n, "url", "confirmationUrl", "headers", "auth", "enableBatching", "batchConfig")
	c := &action.HTTPConfig{
		URL:             f.text(path+".url", n.get("url")),
		ConfirmationURL: f.text(path+".confirmationUrl", n.get("confirmationUrl")),
		EnableBatching:  f.truth(path+".enableBatching", n.get("enableBatching")),
	}
	if n.has("auth") { // signing with a role: the action's own check refuses it
		c.Auth = map[string]any{"sigv4": true}
	}
	f.pairs(path+".headers", n.get("headers"), func(k, v string) {
		c.Headers = append(c.Headers, action.HTTPHeader{Key: k, Value: v})
	})
	return c
}

// pairs reads a list of {key, value}.
func (f *finishing) pairs(path string, n *node, add func(key, value string)) {
	switch n.kind {
	case unknownKind:
		f.failed = true
		f.missing(f.rule.name, path, n.wants)
	case scalarKind, mapKind:
		f.wrong(path, n, "is "+n.describe()+", and a list is wanted", "write a list of key and value")
	case listKind, nullKind, absentKind:
	}
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		f.only(at, item, "key", "value")
		add(f.text(at+".key", item.get("key")), f.text(at+".value", item.get("value")))
	}
}
