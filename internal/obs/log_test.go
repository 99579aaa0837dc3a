package obs_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	"github.com/topicwire/topicwire/internal/obs"
)

var utcMilliseconds = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

func TestLogLines(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo")
	var out bytes.Buffer
	log := obs.NewLogger(obs.Config{Format: "json"}, &out)
	log.Debug().Msg("too much")
	log.Info().Str("listener", "mqtt").Msg("listening")
	var line struct{ Level, Time, Listener, Message string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if line.Level != "info" || line.Listener != "mqtt" || line.Message != "listening" || !utcMilliseconds.MatchString(line.Time) {
		t.Errorf("the line is %s", &out)
	}

	out.Reset()
	log = obs.NewLogger(obs.Config{Format: "text", Level: "debug"}, &out)
	log.Debug().Msg("so much")
	if !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} DBG so much\n$`).Match(out.Bytes()) {
		t.Errorf("the line is %q", &out)
	}
}

// What is no terminal gets JSON and no colours.
func TestNoTerminal(t *testing.T) {
	var out bytes.Buffer
	if obs.Colors(&out) || obs.IsTerminal(&out) || (obs.Config{}).IsText(&out) || (obs.Config{Format: "auto"}).IsText(&out) {
		t.Error("a buffer is taken for a terminal")
	}
}
