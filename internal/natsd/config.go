package natsd

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
)

// Config is the store section of the configuration file.
type Config struct {
	Dir        string     `yaml:"dir" jsonschema:"example=data,example=/var/lib/topicwire,example=memory" jsonschema_description:"The folder that keeps sessions, queues, retained messages and the outbox; data, beside the configuration file, by default. memory: nothing outlives the process."`
	Durability Durability `yaml:"durability" jsonschema:"enum=fast,enum=interval,enum=fsync" jsonschema_description:"When what was acknowledged is on the disk. It survives the end of the process in every case. fsync: it survives a power cut too. interval (the default): a power cut costs the last 100 ms. fast: whatever the operating system has not written."`
	NATS       External   `yaml:"nats" jsonschema_description:"Keep everything in a NATS server of your own instead of the built-in one."`
}

// Durability says when what was acknowledged is on the disk.
type Durability string

// The durabilities.
const (
	Fast     Durability = "fast"
	Interval Durability = "interval"
	Fsync    Durability = "fsync"
)

// Memory as Dir means that nothing is kept.
const Memory = "memory"

// DefaultDir is where state is kept if the configuration does not say, in the folder
// of the configuration file.
const DefaultDir = "data"

// DefaultStream is the JetStream stream that holds everything.
const DefaultStream = "TOPICWIRE"

// External says how to reach a NATS server that is not ours.
type External struct {
	URL         string `yaml:"url" jsonschema:"required,example=nats://127.0.0.1:4222" jsonschema_description:"The server, or several with commas between them: nats://HOST:PORT, or tls://HOST:PORT. JetStream must be enabled there."`
	Credentials string `yaml:"credentials" jsonschema:"example=topicwire.creds" jsonschema_description:"A .creds file, if the server asks for one."`
	CA          string `yaml:"ca" jsonschema:"example=nats-ca.pem" jsonschema_description:"A file with the certificate authority of the server, if it is not one that the system knows."`
	Stream      string `yaml:"stream" jsonschema:"example=TOPICWIRE" jsonschema_description:"The stream that holds everything; TOPICWIRE by default. Each topicwire server needs its own."`
	Replicas    int    `yaml:"replicas" jsonschema:"minimum=0,maximum=5" jsonschema_description:"On how many servers of a NATS cluster the stream is kept: 1 (the default), 3 or 5."`
}

// InMemory reports whether nothing is kept at all.
func (c Config) InMemory() bool { return c.Dir == Memory }

var streamForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Check reports what is wrong.
func (c Config) Check(report func(path, problem, remedy string)) {
	if c.NATS.URL == "" {
		return
	}
	if c.Dir != "" {
		report("dir", "the state goes to store.nats, so there is no folder for it", "remove store.dir, or remove store.nats")
	}
	if c.Durability != "" {
		report("durability", "a NATS server of your own decides itself when it writes to its disk", "remove it, and set sync_interval in the NATS server's configuration")
	}
}

// Check reports what is wrong.
func (e External) Check(report func(path, problem, remedy string)) {
	if e.URL == "" {
		return // required, if anything is said of it
	}
	for _, one := range split(e.URL) {
		u, err := url.Parse(one)
		switch {
		case err != nil:
			report("url", "is not a URL", "write nats://HOST:4222")
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Hostname() == "":
			report("url", fmt.Sprintf("%q is not the address of a NATS server", u.Redacted()), "write nats://HOST:4222 or tls://HOST:4222")
		}
	}
	if e.Stream != "" && !streamForm.MatchString(e.Stream) {
		report("stream", fmt.Sprintf("%.80q cannot name a stream", e.Stream), "use letters, digits, - and _")
	}
	if e.Replicas == 2 || e.Replicas == 4 {
		report("replicas", fmt.Sprintf("%d servers need more votes than %d and bear no more failures", e.Replicas, e.Replicas-1), "write 1, 3 or 5")
	}
}

func (c Config) stream() string {
	if c.NATS.Stream == "" {
		return DefaultStream
	}
	return c.NATS.Stream
}
