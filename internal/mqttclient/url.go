package mqttclient

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ErrURL says that a server's URL cannot be used.
var ErrURL = errors.New("not the URL of an MQTT server")

// Target is where a server listens and how it is reached.
type Target struct {
	Scheme string // mqtt, mqtts, ws or wss
	Host   string // name or address, without brackets
	Port   string
	Path   string // WebSocket path with its query, such as /mqtt; unused otherwise

	// What an mqtt:// URL may say besides.
	User, Password string
	HasUser        bool
	HasPassword    bool
	Topic          string // the path of an mqtt:// or mqtts:// URL, without its first slash
}

// TLS reports whether the connection is encrypted.
func (t *Target) TLS() bool { return t.Scheme == "mqtts" || t.Scheme == "wss" }

// WebSocket reports whether the transport is WebSocket.
func (t *Target) WebSocket() bool { return t.Scheme == "ws" || t.Scheme == "wss" }

// Address is host and port.
func (t *Target) Address() string { return net.JoinHostPort(t.Host, t.Port) }

// String gives the target as a URL without user and password, and without a query, in
// which there may be a token.
func (t *Target) String() string {
	s, _, _ := strings.Cut(t.url(), "?")
	return s
}

// url is all that a dialer needs.
func (t *Target) url() string {
	if t.WebSocket() {
		return t.Scheme + "://" + t.Address() + t.Path
	}
	return t.Scheme + "://" + t.Address()
}

// ParseURL reads mqtt://, mqtts://, ws:// and wss:// URLs: user:password@host:port and a
// path, which is the topic with mqtt and mqtts (as mosquitto's clients have it) and the
// WebSocket path with ws and wss (/mqtt if it is missing). The port defaults to 1883,
// 8883, 80 and 443. An error wraps ErrURL.
func ParseURL(s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok { // it would repeat the URL, and a password in it
			err = inner.Err
		}
		return Target{}, fmt.Errorf("%w: %w", ErrURL, err)
	}
	t := Target{Scheme: strings.ToLower(u.Scheme), Host: u.Hostname(), Port: u.Port()}
	port := map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}[t.Scheme]
	switch {
	case port == "":
		return Target{}, fmt.Errorf("%w: scheme %q; use mqtt://, mqtts://, ws:// or wss://", ErrURL, u.Scheme)
	case t.Host == "":
		return Target{}, fmt.Errorf("%w: it names no host; write %s://HOST:PORT", ErrURL, t.Scheme)
	case t.Port == "":
		t.Port = port
	}
	if u.User != nil {
		t.User, t.HasUser = u.User.Username(), true
		t.Password, t.HasPassword = u.User.Password()
	}
	if !t.WebSocket() {
		t.Topic = strings.TrimPrefix(u.Path, "/")
		return t, nil
	}
	t.Path = u.EscapedPath()
	if t.Path == "" {
		t.Path = "/mqtt"
	}
	if u.RawQuery != "" {
		t.Path += "?" + u.RawQuery
	}
	return t, nil
}
