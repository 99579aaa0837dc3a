package function

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// ErrStreamTooLarge says that a streamed answer has more than [MaxStream] bytes, or one event of
// it more than [MaxResponse].
var ErrStreamTooLarge = errors.New("the streamed answer is larger than allowed")

const mimeEvents = "text/event-stream"

// streamed reports whether an answer comes in pieces: server-sent events, or a length
// that was not known when it began.
func streamed(resp *http.Response) bool {
	return resp.ContentLength < 0 || contentIs(resp, mimeEvents)
}

func contentIs(resp *http.Response, want string) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == want
}

// readStream hands an answer on while it arrives.
func readStream(resp *http.Response, take func(Chunk) error) error {
	body := io.LimitReader(resp.Body, MaxStream+1)
	if contentIs(resp, mimeEvents) {
		return readEvents(body, take)
	}
	return readPieces(body, take)
}

// pieceSize is the most that is handed on at once, in bytes.
const pieceSize = 32 << 10

// readPieces hands on what each read finds.
func readPieces(body io.Reader, take func(Chunk) error) error {
	text := wholeRunes{take: take}
	total := 0
	for {
		buf := make([]byte, pieceSize)
		n, err := body.Read(buf)
		if total += n; total > MaxStream {
			return ErrStreamTooLarge
		}
		if err := text.piece(buf[:n]); err != nil {
			return err
		}
		if err == nil {
			continue
		}
		if endErr := text.end(); endErr != nil {
			return endErr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("the stream broke off: %w", err)
	}
}

// readEvents hands on server-sent events, each with its data, type and id.
// (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)
func readEvents(body io.Reader, take func(Chunk) error) error {
	in := lines{in: bufio.NewReaderSize(body, 4096)}
	var data bytes.Buffer
	var event, id string
	hasData := false
	total := 0
	for first := true; ; first = false {
		line, err := in.next(MaxResponse)
		if total += len(line) + 1; total > MaxStream {
			return ErrStreamTooLarge
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil // an event without its empty line is none
		case errors.Is(err, ErrStreamTooLarge):
			return err
		case err != nil:
			return fmt.Errorf("the stream broke off: %w", err)
		}
		if first {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if line == "" {
			if hasData {
				if err := take(Chunk{Data: bytes.Clone(data.Bytes()), Event: event, ID: id}); err != nil {
					return err
				}
			}
			data.Reset()
			hasData, event = false, ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			if hasData {
				data.WriteByte('\n')
			}
			if data.Len()+len(value) > MaxResponse {
				return ErrStreamTooLarge
			}
			data.WriteString(value)
			hasData = true
		case "event":
			event = value
		case "id":
			if !strings.Contains(value, "\x00") {
				id = value
			}
		default: // a comment, retry, or what a later version will have
		}
	}
}

// lines reads lines that end with \n, \r\n or \r.
type lines struct {
	in *bufio.Reader
	cr bool // the last line ended with \r, so a \n that follows belongs to it
}

// next is the next line without its end. It does not wait for the \n behind a \r: that
// would hold an event back until the one after it.
func (l *lines) next(most int) (string, error) {
	var b []byte
	for {
		c, err := l.in.ReadByte()
		if err != nil {
			return "", err // a line without an end completes no event
		}
		after := l.cr
		l.cr = c == '\r'
		switch {
		case c == '\n' && after && len(b) == 0:
		case c == '\n', c == '\r':
			return string(b), nil
		case len(b) >= most:
			return "", ErrStreamTooLarge
		default:
			b = append(b, c)
		}
	}
}
