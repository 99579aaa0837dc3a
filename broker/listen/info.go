package listen

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"

	"github.com/topicwire/topicwire/message"
)

// What ends a connection, or what a call on one can run into. The reader of a
// connection gets them from Read; [Conn.OnProblem] gets them first, so that a
// DISCONNECT with the right reason can still be sent.
var (
	// ErrClosed: the connection was closed by this side; nothing more is accepted.
	ErrClosed = errors.New("listen: the connection is closed")
	// ErrSlow: the client reads too slowly and the write buffer is full; the bytes were not accepted.
	ErrSlow = errors.New("listen: the client reads too slowly, its write buffer is full")
	// ErrStuck: the client's socket took nothing for the write timeout.
	ErrStuck = errors.New("listen: the client has read nothing for the write timeout")
	// ErrPacketTooLarge: a packet announced more bytes than SetMaxPacketSize allows (reason code 0x95).
	ErrPacketTooLarge = errors.New("listen: the packet is larger than allowed")
	// ErrMalformedLength: a Remaining Length of more than four bytes (reason code 0x81).
	ErrMalformedLength = errors.New("listen: the remaining length is malformed")
	// ErrNotConnect: the first byte begins no CONNECT. [MQTT-3.1.0-1] It is HTTP, or TLS
	// at a port without, or no MQTT client at all; nobody waits for the rest.
	ErrNotConnect = errors.New("listen: the connection does not begin with CONNECT")
	// ErrConnectTimeout: no CONNECT was accepted in time.
	ErrConnectTimeout = errors.New("listen: no CONNECT arrived in time")
	// ErrKeepAlive: nothing arrived for one and a half times the keep alive (reason code 0x8D).
	ErrKeepAlive = errors.New("listen: nothing arrived within the keep alive")
	// ErrLifetime: the connection has lasted for Options.MaxLifetime (reason code 0xA0).
	ErrLifetime = errors.New("listen: the connection has lasted as long as it may")
	// ErrPongTimeout: a WebSocket peer answered no ping.
	ErrPongTimeout = errors.New("listen: the WebSocket peer answers no ping")
	// ErrTextFrame: a WebSocket peer sent a text frame; MQTT travels in binary ones. [MQTT-6.0.0-1]
	ErrTextFrame = errors.New("listen: MQTT needs binary WebSocket frames, a text frame arrived")
)

// Info says where a connection came from. The broker may set Request to nil once
// the client is authenticated, to free the headers; the rest is read-only.
type Info struct {
	// Listener is the listener's name: Options.Name.
	Listener string
	// Via is the door: ViaMQTT or ViaWebSocket.
	Via message.Via
	// Remote and Local are the socket's two ends; invalid if it is no IP socket.
	Remote, Local netip.AddrPort
	// TLS is the state after the handshake; nil without TLS.
	TLS *tls.ConnectionState
	// Request is the WebSocket handshake without body and context; nil otherwise.
	// Its headers, query and cookies are what authentication may look at.
	Request *http.Request
}

// addrPort is the address of an IP socket, IPv4 in its own form.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if a == nil {
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
