// Package pushpin sets Debian's pushpin up in a folder of its own, on ports of loopback,
// beside any other: for `topicwire bench push` and for the tests that show where we do as
// it does.
package pushpin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrMissing says that pushpin, or a part of it, is not installed.
var ErrMissing = errors.New("is not installed: on Debian, apt-get install pushpin brings it")

// internalConf is the part of its configuration that names its internal sockets, as
// Debian installs it.
const internalConf = "/usr/lib/pushpin/internal.conf"

// Config says what one pushpin is.
type Config struct {
	// Dir is its folder, which is there and empty.
	Dir string
	// Origin is HOST:PORT of what stands behind it, which speaks WebSocket-over-HTTP.
	Origin string
	// Clients and Publish are its ports of loopback.
	Clients, Publish int
	// MaxConnections bounds the clients; MessageRate and MessageHWM what it delivers a
	// second and queues. As it is shipped, 2,500 and 25,000, it drops bursts.
	MaxConnections, MessageRate, MessageHWM int
}

// Command writes the files of a pushpin and returns the command that runs it. An error
// wraps ErrMissing when it is not installed.
func Command(c Config) (*exec.Cmd, error) {
	for _, program := range []string{"pushpin", "condure", "zurl"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s %w", program, ErrMissing)
		}
	}
	internal, err := os.ReadFile(internalConf)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("pushpin as Debian packages it, with %s, %w", internalConf, ErrMissing)
	} else if err != nil {
		return nil, err
	}
	conf := filepath.Join(c.Dir, "pushpin.conf")
	for path, text := range map[string][]byte{
		conf: c.text(),
		// Debian runs one zurl for the machine; ours is our own.
		filepath.Join(c.Dir, "internal.conf"): bytes.ReplaceAll(internal, []byte("ipc:///var/run/zurl/"), []byte("ipc://{rundir}/{ipc_prefix}")),
		filepath.Join(c.Dir, "routes"):        []byte("* " + c.Origin + ",over_http\n"),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
	}
	for _, folder := range []string{"run", "log"} {
		if err := os.Mkdir(filepath.Join(c.Dir, folder), 0o700); err != nil {
			return nil, err
		}
	}
	return exec.Command("pushpin", "--config="+conf), nil //nolint:gosec,noctx // it ends with SIGTERM, and its parts with it
}

func (c Config) text() []byte {
	return fmt.Appendf(nil, `[global]
include=%[1]s/internal.conf
rundir=%[1]s/run
ipc_prefix=own-
port_offset=0
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:%[2]d
logdir=%[1]s/log
log_level=1
client_buffer_size=8192
client_maxconn=%[4]d
condure_bin=condure
zurl_bin=zurl
[proxy]
routesfile=%[1]s/routes
sig_iss=pushpin
sig_key=changeme
updates_check=off
[handler]
push_in_http_addr=127.0.0.1
push_in_http_port=%[3]d
push_in_http_max_headers_size=10000
push_in_http_max_body_size=1000000
message_rate=%[5]d
message_hwm=%[6]d
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
`, c.Dir, c.Clients, c.Publish, c.MaxConnections, c.MessageRate, c.MessageHWM)
}
