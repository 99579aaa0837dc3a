package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// StartTopicwirePush starts the given topicwire program with its files in dir, on free ports of
// loopback, with one route in mode proxy to the origin.
func StartTopicwirePush(ctx context.Context, program, dir, origin string) (*PushServer, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "topicwire.yaml")
	text := fmt.Sprintf(`listen:
  http: 127.0.0.1:%d
store:
  dir: memory
log:
  level: warn
routes:
  - path: %s
    mode: proxy
    url: http://%s
`, ports[0], pushPath, origin)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	address := mqttclient.Target{Scheme: "mqtt", Host: "127.0.0.1", Port: strconv.Itoa(ports[0])}
	s := &PushServer{
		Path:    pushPath,
		Publish: fmt.Sprintf("http://127.0.0.1:%d/publish", ports[0]),
		Broker:  &Broker{Name: strings.Join(append(strings.Fields(firstLine(ctx, program, "version")), "", "")[:2], " "), TCP: address, WS: address},
	}
	return s, s.begin(ctx, exec.Command(program, "serve", "--config", conf)) //nolint:gosec,noctx // stopped by Stop, with SIGTERM
}
