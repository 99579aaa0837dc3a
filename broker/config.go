package broker

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/broker/session"
)

// Config is what the broker takes from the configuration file.
type Config struct {
	Listen listen.Config `yaml:"listen" jsonschema_description:"Where clients connect. Without this section: MQTT at 127.0.0.1:1883, HTTP and MQTT over WebSocket at 127.0.0.1:8080."`
	Auth   auth.Config   `yaml:"auth" jsonschema_description:"Who may connect."`
	Limits Limits        `yaml:"limits" jsonschema_description:"What one client may ask of the broker."`
}

// DefaultConfig is what holds when nothing is configured.
func DefaultConfig() Config { return Config{Listen: listen.DefaultConfig(), Limits: DefaultLimits()} }

// Check reports addresses that other machines can reach while everybody may connect, and
// methods that no listener can serve.
func (c Config) Check(report func(path, problem, remedy string)) {
	for i := range c.Auth.Methods {
		if c.Auth.Methods[i].X509 != nil && !c.Listen.TLS.AsksClients() {
			report(fmt.Sprintf("auth.methods[%d].x509", i), "clients are asked for no certificate", "add listen.tls.client_ca: ca.pem, or client_certificates: [devices]")
		}
	}
	if addr, key, found := exposed(&c.Listen); found && c.Auth.Anonymous() {
		report("listen."+key, errExposed(addr).Error(), remedyExposed(&c.Auth))
	}
}

// CheckExposed reports addresses of c that other machines can reach while a, perhaps of
// a newer configuration, lets everybody connect.
func (c Config) CheckExposed(a *auth.Config) error {
	if addr, key, found := exposed(&c.Listen); found && a.Anonymous() {
		return fmt.Errorf("broker: listen.%s: %w: %s", key, errExposed(addr), remedyExposed(a))
	}
	return nil
}

// errExposed is why an address that other machines can reach is not opened.
func errExposed(addr string) error {
	return fmt.Errorf("%s can be reached from other machines, and without authentication anybody could connect", addr)
}

// remedyExposed is what to do about it.
func remedyExposed(a *auth.Config) string {
	if len(a.Methods) > 0 {
		return "remove anonymous from auth.methods, or listen on 127.0.0.1"
	}
	return "configure auth.methods, for example [{password: {file: passwords}}], or listen on 127.0.0.1"
}

// Limits bound what clients may ask of the broker. A field that is zero takes the
// value of the profile, see [Limits.Effective].
type Limits struct {
	Profile string `yaml:"profile" short:"true" jsonschema:"enum=default,enum=aws-iot" jsonschema_description:"Where the values come from that are not set here: default, or aws-iot for those of AWS IoT Core, so that its surprises show up on your desk. limits: aws-iot is short for it."`

	MaxPacketSize    int           `yaml:"max_packet_size" unit:"bytes" jsonschema:"minimum=0,example=1MB" jsonschema_description:"Largest MQTT packet a client may send; 1MB by default."`
	MaxPayloadSize   int           `yaml:"max_payload_size" unit:"bytes" jsonschema:"minimum=0,example=128KB" jsonschema_description:"Largest payload of a message; by default only the packet size limits it."`
	MaxConnectSize   int           `yaml:"max_connect_size" unit:"bytes" jsonschema:"minimum=0,example=64KB" jsonschema_description:"Largest first packet of a client that is not yet authenticated; 64KB by default."`
	MaxClientID      int           `yaml:"max_client_id" unit:"bytes" jsonschema:"minimum=0,example=128" jsonschema_description:"Longest client identifier; 1024 bytes by default."`
	MaxTopicLength   int           `yaml:"max_topic_length" unit:"bytes" jsonschema:"minimum=0,example=256" jsonschema_description:"Longest topic name or filter; 4096 bytes by default. A Basic Ingest prefix does not count."`
	MaxTopicLevels   int           `yaml:"max_topic_levels" jsonschema:"minimum=0,example=8" jsonschema_description:"Most levels of a topic name or filter; 128 by default. A Basic Ingest prefix does not count."`
	MaxSubscriptions int           `yaml:"max_subscriptions" jsonschema:"minimum=0,example=50" jsonschema_description:"Most subscriptions of one client; 10000 by default."`
	MaxFilters       int           `yaml:"max_filters_per_subscribe" jsonschema:"minimum=0,example=8" jsonschema_description:"Most topic filters in one SUBSCRIBE; no limit by default."`
	MaxQoS           *int          `yaml:"max_qos" jsonschema:"minimum=0,maximum=2" jsonschema_description:"Highest quality of service; 2 by default, 1 in the profile aws-iot."`
	MaxInflight      int           `yaml:"max_inflight" jsonschema:"minimum=0,maximum=65535,example=100" jsonschema_description:"Most unacknowledged QoS 1 and 2 messages in each direction of one client (Receive Maximum); 1024 by default."`
	MaxTopicAliases  int           `yaml:"max_topic_aliases" jsonschema:"minimum=0,maximum=65535,example=8" jsonschema_description:"Most topic aliases in each direction of one client; 32 by default."`
	MaxKeepAlive     time.Duration `yaml:"max_keep_alive" jsonschema:"example=20m" jsonschema_description:"Longest keep alive; a client that asks for none or a longer one gets this one. No limit by default."`
	MinKeepAlive     time.Duration `yaml:"min_keep_alive" jsonschema:"example=30s" jsonschema_description:"Shortest keep alive; a client that asks for a shorter one gets this one. No limit by default."`
	MaxSessionExpiry time.Duration `yaml:"max_session_expiry" jsonschema:"example=168h" jsonschema_description:"How long a session outlives its connection at most; clients that ask for more get this. 168h (7 days) by default."`
	MaxMessageExpiry time.Duration `yaml:"max_message_expiry" jsonschema:"example=168h" jsonschema_description:"Longest message expiry interval; a longer one is cut to this. No limit by default."`
	MaxSessions      int           `yaml:"max_sessions" jsonschema:"minimum=0,example=100000" jsonschema_description:"Most sessions, connected or not; 1000000 by default. A client beyond is refused."`
	MaxRetained      int           `yaml:"max_retained_messages" jsonschema:"minimum=0,example=100000" jsonschema_description:"Most retained messages; 1000000 by default. One beyond, on another topic, is refused."`
	ConnectTimeout   time.Duration `yaml:"connect_timeout" jsonschema:"example=10s" jsonschema_description:"How long a connection may take to send its CONNECT; 10s by default."`

	Queue QueueLimits `yaml:"queue" jsonschema_description:"What may wait for one client."`

	SlowTimeout     time.Duration `yaml:"slow_timeout" jsonschema:"example=30s" jsonschema_description:"How long a client may lag behind before it is disconnected; 30s by default."`
	WriteBuffer     int           `yaml:"write_buffer" unit:"bytes" jsonschema:"minimum=0,example=4MB" jsonschema_description:"Most bytes written for one client and not yet taken by its socket; 4MB by default. At a quarter of it QoS 0 messages are dropped."`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" jsonschema:"example=10s" jsonschema_description:"How long clients have to take what is queued when the server stops; 10s by default."`
	SysInterval     time.Duration `yaml:"sys_interval" jsonschema:"example=10s" jsonschema_description:"How often the $SYS/broker topics are published; 10s by default, -1s = never."`

	listen.Limits `yaml:",inline"`
	RateLimits    `yaml:",inline"`
}

// QueueLimits bound the queue of one session.
type QueueLimits struct {
	MaxMessages int            `yaml:"max_messages" jsonschema:"minimum=0,example=100000" jsonschema_description:"Most QoS 1 and 2 messages that wait for one client; 100000 by default."`
	MaxBytes    int            `yaml:"max_bytes" unit:"bytes" jsonschema:"minimum=0,example=256MB" jsonschema_description:"Most bytes they hold; 256MB by default."`
	Policy      session.Policy `yaml:"policy" jsonschema:"enum=drop_oldest,enum=drop_newest,enum=refuse" jsonschema_description:"What gives way when the queue is full: drop_oldest (default), drop_newest, or refuse, which tells the publisher (reason code 0x97; a client before MQTT 5 is disconnected)."`
}

// The profiles.
const (
	ProfileDefault = "default"
	ProfileAWSIoT  = "aws-iot"
)

// DefaultLimits are the limits of the profile "default".
func DefaultLimits() Limits { return Limits{}.Effective() }

// profile are the values of a profile, or of the default one.
func profile(name string) Limits {
	qos := 2
	l := Limits{
		Profile:       ProfileDefault,
		MaxPacketSize: 1 << 20, MaxConnectSize: 64 << 10, MaxClientID: 1024,
		MaxTopicLength: 4096, MaxTopicLevels: 128,
		MaxSubscriptions: 10_000, MaxQoS: &qos, MaxInflight: 1024, MaxTopicAliases: 32,
		MaxSessions: 1_000_000, MaxRetained: 1_000_000,
		MaxSessionExpiry: 7 * 24 * time.Hour, ConnectTimeout: listen.DefaultConnectTimeout,
		Queue:       QueueLimits{MaxMessages: 100_000, MaxBytes: 256 << 20, Policy: session.DropOldest},
		SlowTimeout: 30 * time.Second, WriteBuffer: listen.DefaultWriteLimit,
		ShutdownTimeout: 10 * time.Second, SysInterval: 10 * time.Second,
		Limits: listen.Limits{MaxConnectionsPerAddress: 10_000, ConnectRatePerAddress: 1000},
	}
	if name == ProfileAWSIoT {
		one := 1
		l.Profile = ProfileAWSIoT
		l.MaxPacketSize, l.MaxPayloadSize = 146<<10, 128<<10
		l.MaxClientID = 128
		l.MaxTopicLength, l.MaxTopicLevels = 256, 8
		l.MaxSubscriptions, l.MaxFilters = 50, 8
		l.MaxQoS, l.MaxInflight, l.MaxTopicAliases = &one, 100, 8
		l.MinKeepAlive, l.MaxKeepAlive = 30*time.Second, 1200*time.Second
		l.MaxSessionExpiry, l.MaxMessageExpiry = time.Hour, 604800*time.Second
		l.MaxSessions, l.MaxRetained = 500_000, 500_000
		l.RateLimits = awsRates()
	}
	return l
}

// Effective fills every field that is zero with the profile's value.
func (l Limits) Effective() Limits {
	p := profile(l.Profile)
	fill(&l.Profile, p.Profile)
	fill(&l.MaxPacketSize, p.MaxPacketSize)
	fill(&l.MaxPayloadSize, p.MaxPayloadSize)
	fill(&l.MaxConnectSize, p.MaxConnectSize)
	fill(&l.MaxClientID, p.MaxClientID)
	fill(&l.MaxTopicLength, p.MaxTopicLength)
	fill(&l.MaxTopicLevels, p.MaxTopicLevels)
	fill(&l.MaxSubscriptions, p.MaxSubscriptions)
	fill(&l.MaxFilters, p.MaxFilters)
	fill(&l.MaxQoS, p.MaxQoS)
	fill(&l.MaxInflight, p.MaxInflight)
	fill(&l.MaxTopicAliases, p.MaxTopicAliases)
	fill(&l.MaxKeepAlive, p.MaxKeepAlive)
	fill(&l.MinKeepAlive, p.MinKeepAlive)
	fill(&l.MaxSessionExpiry, p.MaxSessionExpiry)
	fill(&l.MaxMessageExpiry, p.MaxMessageExpiry)
	fill(&l.MaxSessions, p.MaxSessions)
	fill(&l.MaxRetained, p.MaxRetained)
	fill(&l.ConnectTimeout, p.ConnectTimeout)
	fill(&l.Queue.MaxMessages, p.Queue.MaxMessages)
	fill(&l.Queue.MaxBytes, p.Queue.MaxBytes)
	fill(&l.Queue.Policy, p.Queue.Policy)
	fill(&l.SlowTimeout, p.SlowTimeout)
	fill(&l.WriteBuffer, p.WriteBuffer)
	fill(&l.ShutdownTimeout, p.ShutdownTimeout)
	fill(&l.SysInterval, p.SysInterval)
	fill(&l.MaxConnectionsPerAddress, p.MaxConnectionsPerAddress)
	fill(&l.ConnectRatePerAddress, p.ConnectRatePerAddress)
	l.RateLimits.fill(&p.RateLimits)
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Check reports values that make no sense.
func (l Limits) Check(report func(path, problem, remedy string)) {
	if l.Profile != "" && !slices.Contains([]string{ProfileDefault, ProfileAWSIoT}, l.Profile) {
		report("profile", fmt.Sprintf("%q is no profile", l.Profile), "write default or aws-iot")
	}
	for _, f := range []struct {
		path  string
		value int
		most  int
	}{
		{"max_packet_size", l.MaxPacketSize, 268_435_460},
		{"max_payload_size", l.MaxPayloadSize, 268_435_455},
		{"max_connect_size", l.MaxConnectSize, 268_435_460},
		{"max_client_id", l.MaxClientID, 65535},
		{"max_topic_length", l.MaxTopicLength, 65535},
		{"max_topic_levels", l.MaxTopicLevels, 65536},
		{"max_subscriptions", l.MaxSubscriptions, 1 << 31},
		{"max_filters_per_subscribe", l.MaxFilters, 1 << 31},
		{"max_sessions", l.MaxSessions, 1 << 31},
		{"max_retained_messages", l.MaxRetained, 1 << 31},
		{"max_inflight", l.MaxInflight, 65535},
		{"max_topic_aliases", l.MaxTopicAliases, 65535},
		{"write_buffer", l.WriteBuffer, 1 << 31},
	} {
		if f.value < 0 || f.value > f.most {
			report(f.path, fmt.Sprintf("%d is out of range", f.value), fmt.Sprintf("write a number from 1 to %d, or leave it out for the default", f.most))
		}
	}
	if l.MaxQoS != nil && (*l.MaxQoS < 0 || *l.MaxQoS > 2) {
		report("max_qos", fmt.Sprintf("%d is no quality of service", *l.MaxQoS), "write 0, 1 or 2")
	}
	for _, f := range []struct {
		path  string
		value time.Duration
	}{
		{"max_keep_alive", l.MaxKeepAlive},
		{"min_keep_alive", l.MinKeepAlive},
		{"max_session_expiry", l.MaxSessionExpiry},
		{"max_message_expiry", l.MaxMessageExpiry},
		{"connect_timeout", l.ConnectTimeout},
		{"slow_timeout", l.SlowTimeout},
		{"shutdown_timeout", l.ShutdownTimeout},
	} {
		if f.value < 0 || f.value > 0 && f.value < time.Second {
			report(f.path, f.value.String()+" is below one second", "write at least 1s, or leave it out for the default")
		}
	}
	l.Limits.Check(report) // inlined: nobody else calls it
	l.RateLimits.Check(report)
	if l.MaxKeepAlive > 65535*time.Second {
		report("max_keep_alive", l.MaxKeepAlive.String()+" is more than MQTT can say", "write at most 18h12m15s")
	}
}

// Check reports what is wrong with the queue limits.
func (q QueueLimits) Check(report func(path, problem, remedy string)) {
	if q.MaxMessages < 0 {
		report("max_messages", "is negative", "write a positive number, or leave it out for 100000")
	}
	if q.MaxBytes < 0 {
		report("max_bytes", "is negative", "write a positive number, or leave it out for 256MB")
	}
	switch q.Policy {
	case "", session.DropOldest, session.DropNewest, session.Refuse:
	default:
		report("policy", fmt.Sprintf("%q is no policy", q.Policy), "write drop_oldest, drop_newest or refuse")
	}
}

// exposed is the first address of the configuration that other machines can reach,
// and the key it stands under.
func exposed(c *listen.Config) (addr, key string, found bool) {
	for _, l := range []struct {
		key   string
		addrs listen.Addresses
	}{{"mqtt", c.MQTT}, {"http", c.HTTP}, {"mqtts", c.MQTTS}, {"https", c.HTTPS}} {
		for _, a := range l.addrs {
			if _, _, err := net.SplitHostPort(a); err == nil && !loopback(a) {
				return a, l.key, true
			}
		}
	}
	return "", "", false
}

// loopback reports whether host:port is an address only this machine can reach.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
