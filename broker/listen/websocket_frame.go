package listen

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/gorilla/websocket"
)

// frameHeader writes the header of one binary frame of n bytes into the end of
// room and returns where it begins; for 0 bytes there is none. Servers do not mask
// (RFC 6455, section 5.1).
func frameHeader(room []byte, n int) (start int) {
	switch {
	case n == 0:
		return headroom
	case n <= 125:
		room[8], room[9] = 0x82, byte(n)
		return 8
	case n <= 0xffff:
		room[6], room[7] = 0x82, 126
		binary.BigEndian.PutUint16(room[8:], uint16(n))
		return 6
	default:
		room[0], room[1] = 0x82, 127
		binary.BigEndian.PutUint64(room[2:], uint64(n))
		return 0
	}
}

func pingFrame() []byte { return []byte{0x89, 0} }

const (
	opClose     = 0x88
	maxCloseLen = 123 // bytes of text: a control frame holds 125
	maxControl  = 1 << 10
)

func closeFrame(code int, text string) []byte {
	text = text[:min(len(text), maxCloseLen)]
	f := append(make([]byte, 0, 4+len(text)), opClose, byte(2+len(text)))
	f = binary.BigEndian.AppendUint16(f, uint16(code))
	return append(f, text...)
}

// closeCode is the RFC 6455 close code and text for what ended a connection.
func closeCode(err error) (code int, text string) {
	switch {
	case errors.Is(err, ErrPacketTooLarge):
		return websocket.CloseMessageTooBig, "the MQTT packet is too large"
	case errors.Is(err, ErrMalformedLength), errors.Is(err, ErrNotConnect):
		return websocket.CloseProtocolError, "malformed MQTT packet"
	case errors.Is(err, ErrLifetime):
		return websocket.CloseNormalClosure, "the connection has lasted as long as it may"
	case errors.Is(err, ErrTextFrame):
		return websocket.CloseUnsupportedData, "MQTT needs binary frames"
	case errors.Is(err, ErrKeepAlive), errors.Is(err, ErrConnectTimeout):
		return websocket.ClosePolicyViolation, "nothing arrived in time"
	default:
		return websocket.CloseNormalClosure, ""
	}
}

// control queues a control frame that gorilla/websocket or the clock has made; its
// writes must not wait and must not fall between two parts of one of ours. A close
// frame is kept back until Close, so that whatever is written before still goes
// first. Of a flood of pings only the first few are answered at a time, which
// RFC 6455, section 5.5.3 allows.
func (c *Conn) control(p []byte) error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return ErrClosed
	}
	if p[0] == opClose {
		if c.closeFrame == nil {
			c.closeFrame = append([]byte(nil), p...)
		}
		c.mu.Unlock()
		return nil
	}
	if len(c.ctrl)+len(p) > maxControl {
		c.mu.Unlock()
		return nil
	}
	c.ctrl = append(c.ctrl, p...)
	start := c.join()
	c.mu.Unlock()
	if start {
		c.opts.Flusher.add(c)
	}
	return nil
}

// wsReader is the stream of MQTT bytes inside a WebSocket connection: packets may
// be split over frames and several may share one. [MQTT-6.0.0-2]
type wsReader struct{ c *Conn }

func (r wsReader) Read(p []byte) (int, error) {
	c := r.c
	for {
		if c.frames == nil {
			kind, frames, err := c.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, ErrTextFrame // [MQTT-6.0.0-1]
			}
			c.frames = frames
		}
		n, err := c.frames.Read(p)
		if errors.Is(err, io.EOF) {
			c.frames, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}
