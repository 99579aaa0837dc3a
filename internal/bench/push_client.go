package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// Opcodes of RFC 6455, section 11.8.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

// pushClient is a plain WebSocket client that costs the generator little: it reads many frames at a
// time and knows only what servers of ours send (whole messages below its buffer).
type pushClient struct {
	net.Conn
	buf  []byte
	r, w int // what of buf is unread
}

// dialPush opens a WebSocket. Its read buffer has size bytes.
func dialPush(ctx context.Context, address, path, from string, size int) (*pushClient, error) {
	d := &net.Dialer{}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &pushClient{Conn: conn, buf: make([]byte, size)}
	within := time.Now().Add(startWithin)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(within) {
		within = deadline
	}
	_ = c.SetDeadline(within)
	if err := c.handshake(address, path); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *pushClient) handshake(address, path string) error {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, address); err != nil {
		return err
	}
	for {
		if head, rest, ok := bytes.Cut(c.buf[:c.w], []byte("\r\n\r\n")); ok {
			if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
				line, _, _ := bytes.Cut(head, []byte("\r\n"))
				return fmt.Errorf("%w: %s", errPush, line)
			}
			c.r = c.w - len(rest)
			return c.SetDeadline(time.Time{})
		}
		if err := c.fill(); err != nil {
			return fmt.Errorf("no answer to the upgrade: %w", err)
		}
	}
}

// fill reads more behind what is unread.
func (c *pushClient) fill() error {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		return fmt.Errorf("%w: a message of more than %d bytes", errPush, len(c.buf))
	}
	n, err := c.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// next is the next text message, valid until the next call. Pings are answered.
func (c *pushClient) next() ([]byte, error) {
	for {
		first, payload, err := c.frame()
		if err != nil {
			return nil, err
		}
		switch first {
		case 0x80 | opText:
			return payload, nil
		case 0x80 | opPing:
			if _, err := c.Write(clientFrame(opPong, payload)); err != nil {
				return nil, err
			}
		case 0x80 | opClose:
			return nil, fmt.Errorf("the server closed the connection (%x): %w", payload, io.EOF)
		default:
			return nil, fmt.Errorf("%w: a frame that begins with %#x", errPush, first)
		}
	}
}

// frame is the next frame: its first byte and its payload.
func (c *pushClient) frame() (first byte, payload []byte, err error) {
	for {
		b := c.buf[c.r:c.w]
		if head, n, ok := frameSize(b); ok && len(b) >= head+n {
			c.r += head + n
			return b[0], b[head : head+n], nil
		}
		if err := c.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// frameSize reads a server's frame header: its own length and the payload's.
func frameSize(b []byte) (head, n int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch n := int(b[1] & 0x7f); {
	case n < 126:
		return 2, n, true
	case n == 126 && len(b) >= 4:
		return 4, int(binary.BigEndian.Uint16(b[2:])), true
	case n == 127 && len(b) >= 10:
		return 10, int(binary.BigEndian.Uint64(b[2:]) & (1<<40 - 1)), true
	default:
		return 0, 0, false
	}
}

// clientFrame is a whole masked message.
func clientFrame(op byte, payload []byte) []byte {
	f := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	default:
		f = append(f, 0x80|126)
		f = binary.BigEndian.AppendUint16(f, uint16(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d} // of RFC 6455's example: there is nobody to guess it
	f = append(f, mask[:]...)
	for i, b := range payload {
		f = append(f, b^mask[i%4])
	}
	return f
}
