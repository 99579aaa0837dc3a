package mqttclient_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

func TestParseURL(t *testing.T) {
	tests := map[string]string{ // URL: target, user, password and topic; or the error
		"mqtt://localhost":          "mqtt://localhost:1883    ",
		"mqtts://u:p%40@h/a/b":      "mqtts://h:8883 u p@ a/b",
		"MQTT://[::1]:1884/":        "mqtt://[::1]:1884   ",
		"ws://h:8080":               "ws://h:8080/mqtt   ",
		"wss://u@h/custom/path?x=1": "wss://h:443/custom/path u  ", // a query may be a token: it is dialled and not shown
		"http://h":                  `scheme "http"; use mqtt://`,
		"localhost:1883":            `use mqtt://`,
		"mqtt://":                   "names no host",
		"mqtt://u:secret@h:port/a":  "invalid port",
	}
	for url, want := range tests {
		t.Run(url, func(t *testing.T) {
			got, err := mqttclient.ParseURL(url)
			if err != nil {
				if !errors.Is(err, mqttclient.ErrURL) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want %q", err, want)
				}
				return
			}
			if s := strings.Join([]string{got.String(), got.User, got.Password, got.Topic}, " "); strings.TrimSpace(s) != strings.TrimSpace(want) {
				t.Errorf("got %q, want %q", s, want)
			}
		})
	}
}
