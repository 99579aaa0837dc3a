package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Control is a control message: the JSON object after "c:" in a TEXT event.
type Control struct {
	// Type is one of the Control constants.
	Type    string
	Channel string
	Filters []string
	// Retained asks for the retained messages of the channel. It is ours, not GRIP's.
	Retained bool
	// Name and Value are those of set-meta.
	Name, Value string
	// ID is the session's.
	ID string
	// Kind is the type of the event to send: TEXT, BINARY, PING or PONG.
	Kind string
	// Content is what to send; nil = nothing.
	Content  []byte
	Timeout  time.Duration
	Interval bool
}

// The types of control messages.
const (
	ControlSubscribe    = "subscribe"
	ControlUnsubscribe  = "unsubscribe"
	ControlDetach       = "detach"
	ControlSetMeta      = "set-meta"
	ControlKeepAlive    = "keep-alive"
	ControlSendDelayed  = "send-delayed"
	ControlFlushDelayed = "flush-delayed"
	ControlSession      = "session"
)

// ParseControl reads a control message. Unknown types are an error.
func ParseControl(b []byte) (*Control, error) {
	var doc struct {
		Type       string   `json:"type"`
		Channel    string   `json:"channel"`
		Filters    []string `json:"filters"`
		Retained   bool     `json:"retained"`
		Name       string   `json:"name"`
		Value      string   `json:"value"`
		ID         string   `json:"id"`
		Kind       string   `json:"message-type"`
		Content    *string  `json:"content"`
		ContentBin *string  `json:"content-bin"`
		Timeout    float64  `json:"timeout"`
		Mode       string   `json:"mode"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("a control message is no JSON object of the right form: %w", err)
	}
	c := &Control{
		Type: doc.Type, Channel: doc.Channel, Filters: doc.Filters, Retained: doc.Retained,
		Name: doc.Name, Value: doc.Value, ID: doc.ID,
	}
	switch c.Type {
	case ControlSubscribe, ControlUnsubscribe:
		if c.Channel == "" {
			return nil, fmt.Errorf("the control message %s names no channel", c.Type)
		}
	case ControlSetMeta:
		if c.Name == "" {
			return nil, fmt.Errorf("the control message %s has no name", c.Type)
		}
	case ControlDetach, ControlFlushDelayed, ControlSession:
	case ControlKeepAlive, ControlSendDelayed:
		kinds := map[string]string{"": EventText, "text": EventText, "binary": EventBinary, "ping": EventPing, "pong": EventPong}
		kind, ok := kinds[doc.Kind]
		if !ok {
			return nil, fmt.Errorf("the control message %s has the message-type %.50q: use text, binary, ping or pong", c.Type, doc.Kind)
		}
		c.Kind, c.Timeout, c.Interval = kind, seconds(doc.Timeout), doc.Mode == "interval"
		switch {
		case doc.Mode != "" && doc.Mode != "idle" && doc.Mode != "interval":
			return nil, fmt.Errorf("the control message %s has the mode %.50q: use idle or interval", c.Type, doc.Mode)
		case doc.ContentBin != nil:
			b, err := base64.StdEncoding.DecodeString(*doc.ContentBin)
			if err != nil {
				return nil, fmt.Errorf("the content-bin of the control message %s is no base64: %w", c.Type, err)
			}
			c.Content = append([]byte{}, b...)
		case doc.Content != nil:
			c.Content = append([]byte{}, *doc.Content...)
		}
	default:
		return nil, fmt.Errorf("there is no control message %.50q", c.Type)
	}
	return c, nil
}

// mostSeconds keeps a duration from overflowing.
const mostSeconds = 10 * 365 * 24 * 3600

func seconds(s float64) time.Duration {
	if s != s || s < 0 {
		return 0
	}
	return time.Duration(min(s, mostSeconds) * float64(time.Second))
}
