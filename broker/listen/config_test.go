package listen

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type checker interface {
	Check(report func(path, problem, remedy string))
}

func check(c checker) []string {
	var got []string
	c.Check(func(path, problem, remedy string) {
		got = append(got, fmt.Sprintf("%s: %s: %s", path, problem, remedy))
	})
	return got
}

func TestConfigCheck(t *testing.T) {
	const (
		hostPort = ": write host:port, for example 127.0.0.1:1883, or :1883 for every address of this machine"
		noLimit  = ": is negative: write a positive number, or 0 for no limit"
		minusOne = ": is negative: write a positive number, or -1 for no limit"
	)
	tests := []struct {
		name string
		cfg  checker
		want []string
	}{
		{"the default", DefaultConfig(), nil},
		{"nothing", Config{}, []string{": has no address to listen on: add mqtt: 127.0.0.1:1883 or http: 127.0.0.1:8080, or leave the section out for both"}},
		{"mqtts without tls", Config{MQTTS: Addresses{":8883"}}, []string{"mqtts: needs a certificate: add tls: {cert: server.pem, key: server.key}, or use mqtt"}},
		{"good addresses", Addresses{":1883", "[::1]:1883", "host:0"}, nil},
		{"no port", Addresses{"localhost"}, []string{`: "localhost" has no port` + hostPort}},
		{"a bad port in a list", Addresses{":1883", ":99999"}, []string{`[1]: ":99999" has no port from 0 to 65535` + hostPort}},
		{"half a pair", TLSConfig{Cert: "a.pem"}, []string{"key: is missing: name the file with the certificate's private key"}},
		{"the other half", TLSConfig{Key: "a.key"}, []string{"cert: is missing: name the file with the certificate"}},
		{"path", WebSocketConfig{Path: "mqtt"}, []string{`path: "mqtt" does not begin with /: write /mqtt`}},
		{"ping interval", WebSocketConfig{PingInterval: time.Millisecond}, []string{"ping_interval: is below one second: write 30s, or leave it out"}},
		{"origins", WebSocketConfig{AllowedOrigins: []string{"https://*.example.com", "null", "*", "https://x/path", "[a"}}, []string{
			`allowed_origins[3]: "https://x/path" is no origin: write scheme://host or scheme://host:port without a path, for example https://app.example.com or https://*.example.com`,
			`allowed_origins[4]: "[a" is no origin: write scheme://host or scheme://host:port without a path, for example https://app.example.com or https://*.example.com`,
		}},
		{"limits", Limits{MaxConnections: -1, MaxConnectionsPerAddress: -2, ConnectRatePerAddress: -2}, []string{
			"max_connections" + noLimit, "max_connections_per_address" + minusOne, "connect_rate_per_address" + minusOne,
		}},
		{"no limits", Limits{MaxConnectionsPerAddress: -1, ConnectRatePerAddress: -1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, check(tt.cfg)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAddressesAreOneOrMany(t *testing.T) {
	tests := []struct {
		in   any
		want Addresses
		err  string
	}{
		{":1883", Addresses{":1883"}, ""},
		{[]any{":1", ":2"}, Addresses{":1", ":2"}, ""},
		{nil, nil, ""},
		{int64(1883), nil, errNotAddresses.Error()},
		{[]any{int64(1)}, nil, errNotAddresses.Error()},
	}
	for _, tt := range tests {
		var got Addresses
		err := got.UnmarshalConfig(tt.in)
		if msg := fmt.Sprint(err); err != nil && msg != tt.err || err == nil && tt.err != "" {
			t.Errorf("%v: error %v, want %q", tt.in, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.in, diff)
		}
	}
}
