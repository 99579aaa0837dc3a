package auth_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
)

// A flood of wrong passwords over real connections: none gets in, and somebody who has
// the right one connects meanwhile.
func TestFloodOverConnections(t *testing.T) {
	t.Parallel()
	a := auth.New(auth.Options{})
	set, err := a.Prepare(passwordConfig(passwords(t, "ada", "right", "grace", "hers")))
	if err != nil {
		t.Fatal(err)
	}
	a.Load(set)
	addr := serveBroker(t, broker.Config{Listen: listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}}}, broker.Options{Auth: []auth.Method{a}}).Addrs()[0].String()
	connect := func(user, password string) (byte, error) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		if _, err := conn.Write(connectPacket(user, password)); err != nil {
			return 0, err
		}
		connack := make([]byte, 4)
		_, err = io.ReadFull(conn, connack)
		return connack[3], err
	}
	if code, err := connect("grace", "hers"); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	var flood sync.WaitGroup
	for range 20 {
		flood.Go(func() {
			for range 100 {
				if code, err := connect("ada", "wrong"); code == 0 && err == nil {
					t.Error("a wrong password got in")
				} else if err != nil && !errors.Is(err, io.EOF) {
					t.Log(err)
				}
			}
		})
	}
	for range 50 {
		if code, err := connect("grace", "hers"); code != 0 || err != nil {
			t.Errorf("grace is held up: %d, %v", code, err)
		}
	}
	flood.Wait()
}
