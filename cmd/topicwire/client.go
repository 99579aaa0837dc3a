package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// clientFlags are what pub, sub and request share: mosquitto's flags with mosquitto's
// meaning.
type clientFlags struct {
	URL  string `short:"L" name:"url" placeholder:"URL" help:"Server as a URL: mqtt://, mqtts://USER:PASSWORD@HOST:PORT/TOPIC, or ws://, wss://HOST:PORT/PATH with the WebSocket path (default /mqtt)."`
	Host string `short:"h" default:"localhost" placeholder:"HOST" help:"Server to connect to (${default})."`
	Port int    `short:"p" placeholder:"PORT" help:"Port of the server (1883; with TLS 8883)."`

	Version     string        `short:"V" name:"protocol-version" placeholder:"VERSION" help:"MQTT version: mqttv311 or 311, mqttv5 or 5."`
	ClientID    string        `short:"i" name:"id" placeholder:"ID" help:"Client identifier; without it the server invents one."`
	IDPrefix    string        `short:"I" placeholder:"PREFIX" help:"Client identifier made of this and the process number."`
	Username    *string       `short:"u" placeholder:"USER" help:"User name."`
	Password    *string       `short:"P" name:"pw" placeholder:"PASSWORD" help:"Password."`
	KeepSession bool          `short:"c" name:"disable-clean-session" help:"Keep the session after the connection, and resume an earlier one; needs -i."`
	Expiry      string        `short:"x" name:"session-expiry-interval" placeholder:"SECONDS" help:"Keep the session that long after the connection; -1 forever. MQTT 5."`
	KeepAlive   int           `short:"k" name:"keepalive" default:"60" placeholder:"SECONDS" help:"Keep alive (${default})."`
	QoS         byte          `short:"q" name:"qos" default:"0" placeholder:"QOS" help:"Quality of service, 0, 1 or 2 (${default})."`
	Inflight    int           `short:"M" name:"max-inflight" placeholder:"N" help:"Unacknowledged messages at most (100)."`
	Properties  propertyFlags `short:"D" name:"property" placeholder:"COMMAND NAME VALUE" help:"MQTT 5 property, such as: -D publish content-type application/json. Makes -V mqttv5 the default."`
	WillTopic   string        `placeholder:"TOPIC" help:"Topic of the will."`
	WillPayload string        `placeholder:"PAYLOAD" help:"Payload of the will."`
	WillQoS     byte          `name:"will-qos" placeholder:"QOS" help:"QoS of the will."`
	WillRetain  bool          `help:"Retain the will."`
	CAFile      string        `name:"cafile" placeholder:"FILE" help:"Trust the certificate authorities in this PEM file; turns TLS on."`
	CAPath      string        `name:"capath" placeholder:"DIR" help:"Trust the certificate authorities in this folder; turns TLS on."`
	OSCerts     bool          `name:"tls-use-os-certs" help:"Trust the system's certificate authorities; turns TLS on."`
	Cert        string        `placeholder:"FILE" help:"Client certificate, PEM."`
	Key         string        `placeholder:"FILE" help:"Key of the client certificate, PEM."`
	Insecure    bool          `help:"Do not check that the certificate is for this host."`
	ALPN        string        `name:"tls-alpn" placeholder:"PROTOCOL" help:"Ask for this protocol in the TLS handshake."`
	Debug       bool          `short:"d" help:"Show every packet, on standard error."`
	Quiet       bool          `help:"Print no error messages."`
	NoDelay     bool          `name:"nodelay" hidden:"" help:"For mosquitto's sake: TCP_NODELAY is always on."`
}

// connectWithin is how long CONNACK may take.
const connectWithin = 30 * time.Second

// version is the MQTT version to speak; def unless -V or -D says otherwise.
func (f *clientFlags) version(def mqttclient.Version) (mqttclient.Version, error) {
	var v mqttclient.Version
	switch f.Version {
	case "":
		if v = def; len(f.Properties) > 0 {
			v = mqttclient.V5
		}
	case "mqttv5", "5":
		v = mqttclient.V5
	case "mqttv311", "311":
		v = mqttclient.V311
	case "mqttv31", "31":
		return 0, usageError("MQTT 3.1 (-V %s) is not supported: use mqttv311 or mqttv5", f.Version)
	default:
		return 0, usageError("-V %s is no MQTT version: use mqttv311 or mqttv5", f.Version)
	}
	if v != mqttclient.V5 && len(f.Properties) > 0 {
		return 0, usageError("-D needs MQTT 5: leave -V away or use -V mqttv5")
	}
	return v, nil
}

// target is the server that the flags name.
func (f *clientFlags) target() (mqttclient.Target, error) {
	if f.URL != "" {
		t, err := mqttclient.ParseURL(f.URL)
		if err != nil {
			return t, usageError("-L: %v", err)
		}
		return t, nil
	}
	t := mqttclient.Target{Scheme: "mqtt", Host: f.Host, Port: "1883"}
	if f.CAFile != "" || f.CAPath != "" || f.OSCerts || f.Port == 8883 {
		t.Scheme, t.Port = "mqtts", "8883"
	}
	if f.Port < 0 || f.Port > 65535 {
		return t, usageError("-p %d is no port", f.Port)
	}
	if f.Port != 0 {
		t.Port = strconv.Itoa(f.Port)
	}
	return t, nil
}

// options turn the flags into what the client takes.
func (f *clientFlags) options(def mqttclient.Version, s *Streams) (o mqttclient.Options, err error) {
	if o.Version, err = f.version(def); err != nil {
		return o, err
	}
	if o.Target, err = f.target(); err != nil {
		return o, err
	}
	if o.Dial.TLS, err = f.tlsConfig(&o.Target); err != nil {
		return o, err
	}
	if f.QoS > 2 || f.WillQoS > 2 {
		return o, usageError("QoS is 0, 1 or 2")
	}
	if f.KeepAlive < 0 || f.KeepAlive > 65535 {
		return o, usageError("-k %d: the keep alive is 0 to 65535 seconds", f.KeepAlive)
	}
	o.KeepAlive = time.Duration(f.KeepAlive) * time.Second
	if f.KeepAlive == 0 {
		o.KeepAlive = -1
	}
	o.ClientID, o.Username, o.Resume, o.Inflight = f.ClientID, f.Username, f.KeepSession, f.Inflight
	if f.IDPrefix != "" {
		if f.ClientID != "" {
			return o, usageError("give -i or -I, not both")
		}
		o.ClientID = f.IDPrefix + strconv.Itoa(os.Getpid())
	}
	if f.KeepSession && o.ClientID == "" {
		return o, usageError("-c needs a client identifier: give -i ID")
	}
	if f.Password != nil {
		o.Password = []byte(*f.Password)
	}
	if err := f.Properties.apply("connect", &o.Props); err != nil {
		return o, err
	}
	if err := f.expiry(&o); err != nil {
		return o, err
	}
	if err := f.will(&o); err != nil {
		return o, err
	}
	if f.Debug {
		o.Trace = tracer(s.Err)
	}
	return o, nil
}

// expiry sets the Session Expiry Interval: forever with -c alone, as mosquitto does.
func (f *clientFlags) expiry(o *mqttclient.Options) error {
	const never = 0xffffffff
	switch f.Expiry {
	case "":
		if f.KeepSession && o.Props.SessionExpiry == nil {
			o.Props.SessionExpiry = new(uint32(never))
		}
	case "-1", "∞":
		o.Props.SessionExpiry = new(uint32(never))
	default:
		n, err := strconv.ParseUint(f.Expiry, 10, 32)
		if err != nil {
			return usageError("-x %s: give seconds from 0 to 4294967294, or -1", f.Expiry)
		}
		o.Props.SessionExpiry = new(uint32(n))
	}
	return nil
}

func (f *clientFlags) will(o *mqttclient.Options) error {
	if f.WillTopic == "" {
		if f.WillPayload != "" || f.WillRetain || f.WillQoS > 0 {
			return usageError("a will needs --will-topic")
		}
		return nil
	}
	o.Will = &mqttclient.Will{Topic: f.WillTopic, Payload: []byte(f.WillPayload), QoS: f.WillQoS, Retain: f.WillRetain}
	return f.Properties.apply("will", &o.Will.Props)
}

// tracer prints a line for each packet, as mosquitto's -d does.
func tracer(w io.Writer) func(bool, mqttclient.Packet) {
	return func(sent bool, p mqttclient.Packet) {
		verb := "received"
		if sent {
			verb = "sending"
		}
		var about string
		switch p := p.(type) {
		case *mqttclient.Connack:
			about = fmt.Sprintf(" (%d, session present %t)", p.Reason, p.SessionPresent)
		case *mqttclient.Publish:
			about = fmt.Sprintf(" (d%d, q%d, r%d, m%d, '%s', ... (%d bytes))",
				digit(p.Dup), p.QoS, digit(p.Retain), p.PacketID, p.Topic, len(p.Payload))
		case *mqttclient.Ack:
			about = fmt.Sprintf(" (m%d, %s)", p.PacketID, p.Reason)
		case *mqttclient.Subscribe:
			for _, s := range p.Subscriptions {
				about += fmt.Sprintf(" (m%d, topic filter %s, QoS %d)", p.PacketID, s.Filter, s.QoS)
			}
		case *mqttclient.Suback:
			about = fmt.Sprintf(" (m%d, %v)", p.PacketID, p.Reasons)
		case *mqttclient.Disconnect:
			about = fmt.Sprintf(" (%s)", p.Reason)
		}
		_, _ = fmt.Fprintf(w, "%s %s%s\n", verb, p.Type(), about)
	}
}

func digit(b bool) int {
	if b {
		return 1
	}
	return 0
}
