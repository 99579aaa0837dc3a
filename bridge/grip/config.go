package grip

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/internal/weborigin"
	"github.com/topicwire/topicwire/message"
)

// Mode says what stands behind a route and how it is spoken to.
type Mode string

// The modes of a route.
const (
	// ModeGrip: a function that takes Lambda proxy events and answers in GRIP, with
	// WebSocket-over-HTTP inside: what the faas-grip libraries expect.
	ModeGrip Mode = "grip"
	// ModeAPIGateway: a function written for an Amazon API Gateway WebSocket API.
	ModeAPIGateway Mode = "apigateway"
	// ModeProxy: an HTTP origin that speaks GRIP itself.
	ModeProxy Mode = "proxy"
)

// RouteConfig is one entry of the section `routes`: which requests of the HTTP
// listener go to which function.
type RouteConfig struct {
	Path     string `yaml:"path" jsonschema:"required,example=/chat,example=/app/*" jsonschema_description:"The requests that this route takes: a path, or a prefix that ends with /*. The longest that fits counts."`
	Mode     Mode   `yaml:"mode" jsonschema:"enum=grip,enum=apigateway,enum=proxy" jsonschema_description:"grip (default): the function takes Lambda proxy events and answers in GRIP. apigateway: it is written for an API Gateway WebSocket API. proxy: url is an HTTP origin that speaks GRIP itself."`
	Function string `yaml:"function" jsonschema:"example=chat" jsonschema_description:"The function's name under functions, or the ARN of a real one."`
	URL      string `yaml:"url" jsonschema:"example=http://127.0.0.1:9000" jsonschema_description:"With mode proxy: the origin. The request's path is added to it."`

	Auth           bool           `yaml:"auth" jsonschema_description:"Let in only whom a method of the section auth knows, and give it only the channels that its policies allow. Without it the function decides alone."`
	ChannelPrefix  string         `yaml:"channel_prefix" jsonschema:"example=chat/" jsonschema_description:"What is put before the names of the function's channels to make topics of them; nothing by default."`
	AllowedOrigins []string       `yaml:"allowed_origins" jsonschema:"example=https://app.example.com" jsonschema_description:"Web pages that may open a WebSocket here, as under listen.websocket; pages of the same host always may."`
	Compression    bool           `yaml:"compression" jsonschema_description:"Let WebSocket clients that offer it compress messages, and compress those of 512 bytes and more for them (permessage-deflate, without context takeover). Off by default: it saves bandwidth and costs processor time."`
	Subprotocols   []string       `yaml:"subprotocols" jsonschema:"example=chat.v1" jsonschema_description:"WebSocket subprotocols that are answered to a client that offers one of them, unless the function answers one itself."`
	Retained       bool           `yaml:"retained" jsonschema_description:"Send the retained messages of a channel to whoever subscribes to it."`
	Stream         StreamFraming  `yaml:"stream" jsonschema:"enum=auto,enum=raw,enum=line,enum=sse" jsonschema_description:"How a message that is not published as http-stream is written to an HTTP stream: raw as it is, line with a newline after it, sse as a server-sent event; auto (default) is sse for text/event-stream and raw for others."`
	Publish        string         `yaml:"publish" jsonschema:"example=chat/in" jsonschema_description:"A topic to which every message of a WebSocket client is published too, so that rules and MQTT subscribers see it; none by default."`
	ForwardPings   bool           `yaml:"forward_pings" jsonschema_description:"Send a WebSocket client's pings to the function too. They are answered here in any case."`
	NoDisconnect   bool           `yaml:"no_disconnect" jsonschema_description:"Do not tell the function of clients that vanish. Handlers made with faas-grip fail on the event."`
	OneEvent       bool           `yaml:"one_event" jsonschema_description:"Send at most one WebSocket event in a request."`
	Headers        ForwardHeaders `yaml:"forwarded_headers" jsonschema:"enum=none,enum=set" jsonschema_description:"set: send X-Forwarded-For and X-Forwarded-Proto to the function; none (default) takes away what the client has sent of them."`
	PingInterval   time.Duration  `yaml:"ping_interval" jsonschema:"example=30s" jsonschema_description:"How often a WebSocket client is pinged; one that does not answer until the next ping is disconnected. 30s by default, -1s = never."`
	MaxMessage     int            `yaml:"max_message" unit:"bytes" jsonschema:"minimum=0,example=1MB" jsonschema_description:"Largest message of a WebSocket client; limits.max_packet_size by default."`
	Queue          QueueConfig    `yaml:"queue" jsonschema_description:"What may wait for one client that reads slowly."`

	APIGateway APIGatewayConfig `yaml:"apigateway" jsonschema_description:"With mode apigateway: its settings."`
}

// Uses reports whether the route calls that function, of this server, in GRIP.
func (c RouteConfig) Uses(function string) bool {
	return (c.Mode == ModeGrip || c.Mode == "") && (c.Function == function || strings.HasSuffix(c.Function, ":function:"+function))
}

// StreamFraming says how a plain message is written to an HTTP stream.
type StreamFraming string

// The framings.
const (
	StreamAuto StreamFraming = "auto"
	StreamRaw  StreamFraming = "raw"
	StreamLine StreamFraming = "line"
	StreamSSE  StreamFraming = "sse"
)

// ForwardHeaders says what becomes of X-Forwarded-For and X-Forwarded-Proto.
type ForwardHeaders string

// The two ways with forwarded headers.
const (
	ForwardNone ForwardHeaders = "none"
	ForwardSet  ForwardHeaders = "set"
)

// QueueConfig bounds what waits for one client.
type QueueConfig struct {
	MaxMessages int           `yaml:"max_messages" jsonschema:"minimum=0,example=10000" jsonschema_description:"Most messages that wait for one client; 10000 by default."`
	MaxBytes    int           `yaml:"max_bytes" unit:"bytes" jsonschema:"minimum=0,example=4MB" jsonschema_description:"Most bytes that wait for one client; limits.write_buffer by default."`
	Policy      socket.Policy `yaml:"policy" jsonschema:"enum=disconnect,enum=drop_newest" jsonschema_description:"What happens beyond: disconnect (default) ends the connection with code 1013, so that the client knows; drop_newest drops what does not fit. Both are counted."`
}

// Check reports what is wrong with a route.
func (c RouteConfig) Check(report func(path, problem, remedy string)) {
	c.checkPath(report)
	switch c.Mode {
	case ModeAPIGateway:
		c.checkAPIGateway(report)
	case "", ModeGrip:
		if c.Function == "" {
			report("function", "is missing", "name a function of the section functions")
		}
		if c.URL != "" {
			report("url", "is for mode proxy", "write mode: proxy, or remove url")
		}
	case ModeProxy:
		if c.Function != "" {
			report("function", "has no meaning in mode proxy", "remove it, or write mode: grip")
		}
		if problem := originProblem(c.URL); problem != "" {
			report("url", problem, "write http://HOST:PORT or https://HOST")
		}
	}
	if c.ChannelPrefix != "" {
		if err := message.ValidateTopic(c.ChannelPrefix); err != nil {
			report("channel_prefix", err.Error(), "write the beginning of a topic, for example chat/")
		}
	}
	if c.Publish != "" {
		if err := message.ValidateTopic(c.Publish); err != nil {
			report("publish", err.Error(), "write a topic without wildcards")
		}
	}
	if c.PingInterval > 0 && c.PingInterval < time.Second {
		report("ping_interval", "is below one second", "write 30s, or leave it out")
	}
	weborigin.Check("allowed_origins", c.AllowedOrigins, report)
	for i, s := range c.Subprotocols {
		if !function.IsToken(s) {
			report(fmt.Sprintf("subprotocols[%d]", i), fmt.Sprintf("%q is no subprotocol", s), "use letters, digits and -._")
		}
	}
	if !c.APIGateway.IsZero() && c.Mode != ModeAPIGateway {
		report("apigateway", "has no meaning without mode apigateway", "write mode: apigateway, or remove it")
	}
}

func (c RouteConfig) checkPath(report func(path, problem, remedy string)) {
	p, prefix := splitPath(c.Path)
	switch {
	case c.Path == "":
		report("path", "is missing", "write the path that clients ask for, for example /chat")
	case !strings.HasPrefix(c.Path, "/"):
		report("path", fmt.Sprintf("%q does not begin with /", c.Path), "write /"+c.Path)
	case strings.ContainsAny(p, "*?#{} "):
		report("path", fmt.Sprintf("%q is neither a path nor a prefix", c.Path), "write a path such as /chat, or a prefix such as /app/*")
	case path.Clean(p+"/") != strings.TrimSuffix(p, "/") && p != "/" && (!prefix || p != ""):
		report("path", fmt.Sprintf("%q is not in its simplest form", c.Path), "write "+path.Clean(p))
	}
}

// splitPath takes /app/* apart: what the path begins with, without the slash at its
// end, and whether it is a prefix.
func splitPath(p string) (base string, prefix bool) {
	if rest, ok := strings.CutSuffix(p, "/*"); ok {
		return rest, true
	}
	return p, false
}

// originProblem says why s is no origin to put a request's path behind, or nothing.
func originProblem(s string) string {
	if s == "" {
		return "is missing"
	}
	if problem := function.URLProblem(s); problem != "" {
		return problem
	}
	if strings.ContainsAny(s, "?#") {
		return fmt.Sprintf("%q has a query", s)
	}
	return ""
}
