package app

import (
	"net"
	"os"
)

// tellSupervisor tells systemd what the server is doing, as sd_notify(3) does, if a unit
// of Type=notify started it. That it does not get there is no reason to stop.
func tellSupervisor(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // @ is the abstract namespace there and here
	if err != nil {
		return
	}
	defer c.Close() //nolint:errcheck // the datagram has gone
	_, _ = c.Write([]byte(state))
}
