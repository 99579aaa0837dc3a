package listen

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/internal/weborigin"
)

// Addresses is one "host:port" or a list of them.
type Addresses []string

var errNotAddresses = errors.New("is no address: write host:port, for example 127.0.0.1:1883, or a list of them")

// UnmarshalConfig takes a string or a list of strings.
func (a *Addresses) UnmarshalConfig(value any) error {
	switch v := value.(type) {
	case nil:
		*a = nil
	case string:
		*a = Addresses{v}
	case []any:
		list := make(Addresses, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return errNotAddresses
			}
			list = append(list, s)
		}
		*a = list
	default:
		return errNotAddresses
	}
	return nil
}

// Check reports what is no "host:port".
func (a Addresses) Check(report func(path, problem, remedy string)) {
	for i, s := range a {
		if problem := addressProblem(s); problem != "" {
			path := ""
			if len(a) > 1 {
				path = fmt.Sprintf("[%d]", i)
			}
			report(path, fmt.Sprintf("%q %s", s, problem), "write host:port, for example 127.0.0.1:1883, or :1883 for every address of this machine")
		}
	}
}

func addressProblem(s string) string {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		if strings.Contains(err.Error(), "missing port") {
			return "has no port"
		}
		return "is no address"
	}
	if strings.Contains(s, "$") {
		return "is no address; an environment variable is written ${NAME}"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "has no port from 0 to 65535"
	}
	return ""
}

// Config is the section `listen` of the configuration.
type Config struct {
	MQTT      Addresses       `yaml:"mqtt" jsonschema:"example=127.0.0.1:1883" jsonschema_description:"Where MQTT clients connect over TCP: host:port or a list of them."`
	HTTP      Addresses       `yaml:"http" jsonschema:"example=127.0.0.1:8080" jsonschema_description:"Where the HTTP server listens: MQTT over WebSocket, health, metrics."`
	MQTTS     Addresses       `yaml:"mqtts" jsonschema:"example=127.0.0.1:8883" jsonschema_description:"Where MQTT clients connect over TLS; needs tls."`
	HTTPS     Addresses       `yaml:"https" jsonschema:"example=127.0.0.1:8443" jsonschema_description:"Where the HTTP server listens over TLS; needs tls."`
	TLS       TLSConfig       `yaml:"tls" jsonschema_description:"Certificate and key of mqtts and https."`
	WebSocket WebSocketConfig `yaml:"websocket" jsonschema_description:"MQTT over WebSocket on the HTTP listeners."`
}

// DefaultConfig listens for MQTT and HTTP on loopback: what holds when the section
// is absent.
func DefaultConfig() Config {
	return Config{MQTT: Addresses{"127.0.0.1:1883"}, HTTP: Addresses{"127.0.0.1:8080"}}
}

// Check reports a section that listens nowhere, and TLS listeners without a
// certificate. The parts check themselves.
func (c Config) Check(report func(path, problem, remedy string)) {
	if len(c.MQTT)+len(c.HTTP)+len(c.MQTTS)+len(c.HTTPS) == 0 {
		report("", "has no address to listen on", "add mqtt: 127.0.0.1:1883 or http: 127.0.0.1:8080, or leave the section out for both")
	}
	for _, l := range []struct {
		name  string
		addrs Addresses
	}{{"mqtts", c.MQTTS}, {"https", c.HTTPS}} {
		if len(l.addrs) > 0 && c.TLS.Cert == "" && c.TLS.Key == "" {
			report(l.name, "needs a certificate", "add tls: {cert: server.pem, key: server.key}, or use "+strings.TrimSuffix(l.name, "s"))
		}
	}
}

// TLSConfig names the files of a certificate, and those that decide which clients'
// certificates are good.
type TLSConfig struct {
	Cert string `yaml:"cert" jsonschema:"example=server.pem" jsonschema_description:"PEM file with the server's certificate and its intermediates; reloaded when it changes."`
	Key  string `yaml:"key" jsonschema:"example=server.key" jsonschema_description:"PEM file with the certificate's private key; reloaded when it changes."`

	ClientCA           string   `yaml:"client_ca" jsonschema:"example=ca.pem" jsonschema_description:"PEM file with the authorities whose client certificates are good. With it clients are asked for a certificate; reloaded when it changes, as are the next two."`
	ClientCertificates []string `yaml:"client_certificates" jsonschema:"example=devices" jsonschema_description:"Client certificates that are good whoever signed them, as AWS IoT registers them: PEM files, or folders with .pem, .crt and .cer files."`
	ClientCRL          string   `yaml:"client_crl" jsonschema:"example=ca.crl" jsonschema_description:"File with revocation lists of the authorities, PEM or DER. One that is out of date still holds, and the log says so."`
	ClientAuth         string   `yaml:"client_auth" jsonschema:"enum=request,enum=require" jsonschema_description:"request (default): a client may connect without a certificate, and authenticate otherwise. require: it may not. Clients that ask for x-amzn-mqtt-ca or x-amzn-http-ca (ALPN) need one in any case."`
}

// What ClientAuth may be.
const (
	ClientAuthRequest = "request"
	ClientAuthRequire = "require"
)

// AsksClients reports whether clients are asked for a certificate.
func (c *TLSConfig) AsksClients() bool { return c.ClientCA != "" || len(c.ClientCertificates) > 0 }

// Paths are the fields that name files.
func (c *TLSConfig) Paths() []*string {
	paths := []*string{&c.Cert, &c.Key, &c.ClientCA, &c.ClientCRL}
	for i := range c.ClientCertificates {
		paths = append(paths, &c.ClientCertificates[i])
	}
	return paths
}

// Check reports half a pair; that the files can be read is found when they are
// loaded: see NewCertificates.
func (c TLSConfig) Check(report func(path, problem, remedy string)) {
	switch {
	case c.Cert != "" && c.Key == "":
		report("key", "is missing", "name the file with the certificate's private key")
	case c.Cert == "" && c.Key != "":
		report("cert", "is missing", "name the file with the certificate")
	}
	if c.ClientCRL != "" && c.ClientCA == "" {
		report("client_crl", "needs the authorities that have signed it", "add client_ca: ca.pem")
	}
	if c.ClientAuth != "" && !c.AsksClients() {
		report("client_auth", "there is nothing to check client certificates with", "add client_ca: ca.pem, or client_certificates: [devices]")
	}
	if c.ClientAuth != "" && c.ClientAuth != ClientAuthRequest && c.ClientAuth != ClientAuthRequire {
		report("client_auth", fmt.Sprintf("%q is not known here", c.ClientAuth), "write request or require")
	}
	for i, p := range c.ClientCertificates {
		if p == "" {
			report(fmt.Sprintf("client_certificates[%d]", i), "is empty", "name a PEM file or a folder")
		}
	}
}

// WebSocketConfig is the section `listen.websocket`.
type WebSocketConfig struct {
	Path               string        `yaml:"path" jsonschema:"example=/mqtt" jsonschema_description:"Path of the HTTP listeners at which MQTT over WebSocket is served; /mqtt by default."`
	AllowedOrigins     []string      `yaml:"allowed_origins" jsonschema:"example=https://app.example.com" jsonschema_description:"Web pages that may connect, as scheme://host[:port] with * as wildcard; pages of the same host always may, and on loopback those of localhost. \"*\" allows every page, \"null\" pages without an origin."`
	PingInterval       time.Duration `yaml:"ping_interval" jsonschema:"example=30s" jsonschema_description:"How often the server pings a WebSocket client, which keeps proxies from cutting a quiet connection; a client that does not answer until the next ping is disconnected. 30s by default, -1s = never."`
	AllowNoSubprotocol bool          `yaml:"allow_no_subprotocol" jsonschema_description:"Accept clients that offer no WebSocket subprotocol although MQTT demands it."`
}

// The defaults of WebSocketConfig.
const (
	// DefaultWebSocketPath is where MQTT clients look for it.
	DefaultWebSocketPath = "/mqtt"
	// DefaultPingInterval is below the usual idle limit of proxies, 60 s.
	DefaultPingInterval = 30 * time.Second
)

func (c WebSocketConfig) withDefaults() WebSocketConfig {
	if c.Path == "" {
		c.Path = DefaultWebSocketPath
	}
	if c.PingInterval == 0 {
		c.PingInterval = DefaultPingInterval
	}
	return c
}

// Check reports a path that is none and origins that are none.
func (c WebSocketConfig) Check(report func(path, problem, remedy string)) {
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		report("path", fmt.Sprintf("%q does not begin with /", c.Path), "write /"+c.Path)
	}
	if c.PingInterval > 0 && c.PingInterval < time.Second {
		report("ping_interval", "is below one second", "write 30s, or leave it out")
	}
	weborigin.Check("allowed_origins", c.AllowedOrigins, report)
}

// AllowsOrigin reports whether an HTTP request may come from where it says: no web page,
// or one that may also connect over WebSocket. It is for HTTP doors beside /mqtt.
func (c WebSocketConfig) AllowsOrigin(r *http.Request) bool {
	return weborigin.Parse(c.AllowedOrigins).Allow(r)
}
