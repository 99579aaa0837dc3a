package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/topicwire/topicwire/message"
)

// The words by which clients choose an authorizer.
const (
	customName      = "x-amz-customauthorizer-name"
	customSignature = "x-amz-customauthorizer-signature"
	customPrefix    = "x-amz-customauthorizer-"
)

// namesAuthorizer reports a user name whose query part is for a custom authorizer.
func namesAuthorizer(username string) bool {
	_, query, ok := strings.Cut(username, "?")
	return ok && strings.Contains(strings.ToLower(query), customPrefix)
}

// choice is which authorizer a client asks for, and how to find the values that come
// with it.
type choice struct {
	name string
	find func(key string) string
}

// chosen looks where AWS does: behind the user name of CONNECT, in the headers of the
// handshake or request, in its URL. The first place that names an authorizer, or has the
// default one's token, is the one that counts.
func chosen(c *Credentials) choice {
	var places []func(string) string
	if _, query, ok := strings.Cut(c.Username, "?"); ok && c.HasUsername {
		places = append(places, insensitive(parameters(query)))
	}
	if r := c.Request; r != nil {
		places = append(places, r.Header.Get)
		if r.URL != nil {
			places = append(places, insensitive(parameters(r.URL.RawQuery)))
		}
	}
	for _, find := range places {
		if name := find(customName); name != "" {
			return choice{name, find}
		}
	}
	return choice{"", func(key string) string {
		for _, find := range places {
			if v := find(key); v != "" {
				return v
			}
		}
		return ""
	}}
}

// parameters takes a query apart. url.ParseQuery would refuse all of it for a semicolon,
// and AWS's device SDKs put semicolons into what they say about themselves.
func parameters(query string) url.Values {
	values := make(url.Values)
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 == nil && err2 == nil {
			values.Add(n, v)
		}
	}
	return values
}

func insensitive(values url.Values) func(string) string {
	return func(key string) string {
		if v := values.Get(key); v != "" {
			return v
		}
		for k, v := range values {
			if strings.EqualFold(k, key) && len(v) > 0 {
				return v[0]
			}
		}
		return ""
	}
}

// authorizerEvent is what AWS IoT sends to an authorizer's function.
// (https://docs.aws.amazon.com/iot/latest/developerguide/custom-auth-lambda.html)
type authorizerEvent struct {
	Token             string       `json:"token,omitempty"`
	SignatureVerified bool         `json:"signatureVerified"`
	Protocols         []string     `json:"protocols"`
	ProtocolData      protocolData `json:"protocolData"`
	Metadata          *metadata    `json:"connectionMetadata,omitempty"`
}

type protocolData struct {
	TLS  *tlsData  `json:"tls,omitempty"`
	HTTP *httpData `json:"http,omitempty"`
	MQTT *mqttData `json:"mqtt,omitempty"`
}

type tlsData struct {
	ServerName string `json:"serverName"`
}

type httpData struct {
	Headers map[string]string `json:"headers"`
	Query   string            `json:"queryString"`
}

type mqttData struct {
	Username *string `json:"username,omitempty"`
	Password *string `json:"password,omitempty"` // in base64
	ClientID string  `json:"clientId"`
}

type metadata struct {
	ID string `json:"id"`
}

// event describes a client in AWS's words.
func event(c *Credentials, token string, verified bool) *authorizerEvent {
	e := &authorizerEvent{Token: token, SignatureVerified: verified}
	if c.TLS != nil {
		e.Protocols = append(e.Protocols, "tls")
		e.ProtocolData.TLS = &tlsData{c.TLS.ServerName}
	}
	if r := c.Request; r != nil {
		e.Protocols = append(e.Protocols, "http")
		e.ProtocolData.HTTP = &httpData{headers(r), queryString(r)}
	}
	if c.Via != message.ViaHTTP {
		e.Protocols = append(e.Protocols, "mqtt")
		m := &mqttData{ClientID: c.ClientID}
		if c.HasUsername {
			m.Username = &c.Username
		}
		if c.Password != nil {
			password := base64.StdEncoding.EncodeToString(c.Password)
			m.Password = &password
		}
		e.ProtocolData.MQTT = m
	}
	return e
}

// headers are a request's, as AWS hands them on: names in small letters, several values
// in one.
func headers(r *http.Request) map[string]string {
	all := make(map[string]string, len(r.Header)+1)
	for name, values := range r.Header {
		all[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if r.Host != "" {
		all["host"] = r.Host
	}
	return all
}

func queryString(r *http.Request) string {
	if r.URL == nil || r.URL.RawQuery == "" {
		return ""
	}
	return "?" + r.URL.RawQuery
}

// digest stands for everything in the event that a client chooses to show: not for the
// connection's id, nor the nonce of a WebSocket handshake.
func (e *authorizerEvent) digest(key []byte, authorizer string) (d [sha256.Size]byte, err error) {
	same := *e
	same.Metadata = nil
	if h := e.ProtocolData.HTTP; h != nil {
		kept := maps.Clone(h.Headers)
		delete(kept, "sec-websocket-key")
		same.ProtocolData.HTTP = &httpData{kept, h.Query}
	}
	text, err := json.Marshal(same)
	if err != nil {
		return d, err
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(authorizer + "\x00"))
	h.Write(text)
	h.Sum(d[:0])
	return d, nil
}
