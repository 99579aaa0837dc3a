package invokeapi

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"net/http"
)

// eventStream writes application/vnd.amazon.eventstream: messages of a length, headers,
// a payload and checksums. We write three of them, so this is all that we need of it.
// (https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html)
type eventStream struct {
	w     http.ResponseWriter
	begun bool
	buf   []byte
}

// maxEvent bounds the payload of one message; SDKs take at most 16 MB.
const maxEvent = 1 << 20

// invokeComplete is the last message's payload.
type invokeComplete struct {
	Code    string `json:"ErrorCode,omitempty"`
	Details string `json:"ErrorDetails,omitempty"`
	Log     string `json:"LogResult,omitempty"`
}

// chunks sends a piece of the answer at once, in more than one message if it is large.
func (s *eventStream) chunks(data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxEvent)
		if err := s.send("PayloadChunk", "application/octet-stream", data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (s *eventStream) complete(end invokeComplete) error {
	doc, err := json.Marshal(end)
	if err != nil { // strings always marshal
		return err
	}
	return s.send("InvokeComplete", "application/json", doc)
}

func (s *eventStream) send(event, contentType string, payload []byte) error {
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "application/vnd.amazon.eventstream")
		h.Set("X-Amz-Executed-Version", latest)
		h.Set("X-Amzn-Remapped-Content-Type", "application/octet-stream")
		s.w.WriteHeader(http.StatusOK)
	}
	s.buf = appendEvent(s.buf[:0], [][2]string{
		{":event-type", event}, {":content-type", contentType}, {":message-type", "event"},
	}, payload)
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

// appendEvent appends one message: total length, length of the headers, checksum of
// these two, headers, payload, checksum of everything.
func appendEvent(b []byte, headers [][2]string, payload []byte) []byte {
	const fixed = 4 + 4 + 4 + 4
	length := 0
	for _, h := range headers {
		length += 1 + len(h[0]) + 1 + 2 + len(h[1])
	}
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(fixed+length+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
	for _, h := range headers {
		b = append(b, byte(len(h[0])))
		b = append(b, h[0]...)
		b = append(b, 7) // a string
		b = binary.BigEndian.AppendUint16(b, uint16(len(h[1])))
		b = append(b, h[1]...)
	}
	b = append(b, payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}
