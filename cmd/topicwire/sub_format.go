package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// formatHelp explains -F.
const formatHelp = `Formats (-F), as mosquitto_sub has them:
  %t topic  %p payload  %x %X payload in hexadecimal  %l payload length  %q QoS  %r retain  %m packet identifier
  %I time, ISO 8601  %U time, seconds since 1970  @Y-@m-@d @H:@M:@S.@N time, part by part  %j JSON  %J JSON with a JSON payload
  %A topic alias  %C content type  %D correlation data  %E expiry  %F payload format  %P user properties
  %R response topic  %S subscription identifiers  %% percent  @@ at  \n \t \r \\ \0 \a \e \v
A width and a precision may stand before the letter: %10t, %-10t, %.3p, %05l.`

// printer writes received messages as the flags say, each with one Write.
type printer struct {
	w       io.Writer
	flags   *receiveFlags
	pieces  []piece // of -F
	buf     []byte
	newline bool
	now     func() time.Time
}

// piece is literal text, or what a letter stands for.
type piece struct {
	text  string
	kind  byte // '%' or '@', 0 for text
	verb  byte
	width int
	prec  int // -1 is none
	left  bool
	zero  bool
}

// printer prepares the output; a format that makes no sense is refused here.
func (f *receiveFlags) printer(w io.Writer) (*printer, error) {
	p := &printer{w: w, flags: f, newline: !f.NoNewline, now: time.Now}
	if f.Format == "" {
		return p, nil
	}
	if f.JSON {
		return nil, usageError("give -F or --json, not both")
	}
	var err error
	p.pieces, err = parseFormat(f.Format)
	return p, err
}

// message prints one message.
func (p *printer) message(m *mqttclient.Publish) error {
	b := p.buf[:0]
	var err error
	switch {
	case p.flags.JSON:
		b, err = appendMessageJSON(b, m)
		b = append(b, '\n')
	case p.pieces != nil:
		now := p.now()
		for i := range p.pieces {
			if b, err = p.pieces[i].append(b, m, now); err != nil {
				return err
			}
		}
	default:
		if p.flags.Verbose {
			b = append(append(b, m.Topic...), ' ')
			if len(m.Payload) == 0 {
				b = append(b, "(null)"...)
			}
		}
		b = append(b, m.Payload...)
	}
	if err != nil {
		return err
	}
	if p.newline && !p.flags.JSON {
		b = append(b, '\n')
	}
	p.buf = b
	_, err = p.w.Write(b)
	return err
}

// The letters that a format knows after % and after @.
const (
	percentVerbs = "%tpxXlqrmIUjJACDEFPRS"
	atVerbs      = "@YmdHMSNzZFTjyBbAaIps"
)

// parseFormat splits a format into its pieces.
func parseFormat(format string) (pieces []piece, err error) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			pieces = append(pieces, piece{text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' && c != '@' && c != '\\' {
			text.WriteByte(c)
			continue
		}
		if i+1 == len(format) {
			return nil, usageError("-F %q ends within %q", format, c)
		}
		if c == '\\' {
			i++
			at := strings.IndexByte(`\0aenrtv`, format[i])
			if at < 0 {
				return nil, usageError("-F: there is no escape \\%c", format[i])
			}
			text.WriteByte("\\\x00\a\x1b\n\r\t\v"[at])
			continue
		}
		p := piece{kind: c, prec: -1}
		i = p.parseWidth(format, i+1)
		if i == len(format) {
			return nil, usageError("-F %q ends within a %%", format)
		}
		p.verb = format[i]
		if known := map[byte]string{'%': percentVerbs, '@': atVerbs}[c]; strings.IndexByte(known, p.verb) < 0 {
			return nil, usageError("-F: there is no %c%c; topicwire sub --help lists what there is", c, p.verb)
		}
		flush()
		pieces = append(pieces, p)
	}
	flush()
	return pieces, nil
}

// parseWidth reads flags, width and precision and returns where the letter is.
func (p *piece) parseWidth(format string, i int) int {
	for ; i < len(format) && (format[i] == '-' || format[i] == '0'); i++ {
		p.left = p.left || format[i] == '-'
		p.zero = p.zero || format[i] == '0'
	}
	digits := func() (n int) {
		for ; i < len(format) && format[i] >= '0' && format[i] <= '9' && n < 10000; i++ {
			n = n*10 + int(format[i]-'0')
		}
		return n
	}
	p.width = digits()
	if i < len(format) && format[i] == '.' {
		i++
		p.prec = digits()
	}
	return i
}

func (p *piece) append(b []byte, m *mqttclient.Publish, now time.Time) ([]byte, error) {
	if p.kind == 0 {
		return append(b, p.text...), nil
	}
	var v []byte
	var err error
	if p.kind == '@' {
		v = []byte(timePart(p.verb, now))
	} else if v, err = p.value(m, now); err != nil {
		return b, err
	}
	if p.prec >= 0 && p.prec < len(v) && !strings.ContainsRune("plqrmEF", rune(p.verb)) {
		v = v[:p.prec]
	}
	fill := byte(' ')
	if p.zero && !p.left {
		fill = '0'
	}
	pad := bytes.Repeat([]byte{fill}, max(0, p.width-len(v)))
	if p.left {
		return append(append(b, v...), pad...), nil
	}
	return append(append(b, pad...), v...), nil
}

// value is what the letter after % stands for.
func (p *piece) value(m *mqttclient.Publish, now time.Time) ([]byte, error) {
	switch p.verb {
	case 't':
		return []byte(m.Topic), nil
	case 'p':
		return m.Payload, nil
	case 'x':
		return hex.AppendEncode(nil, m.Payload), nil
	case 'X':
		return bytes.ToUpper(hex.AppendEncode(nil, m.Payload)), nil
	case 'l':
		return strconv.AppendInt(nil, int64(len(m.Payload)), 10), nil
	case 'q':
		return strconv.AppendInt(nil, int64(m.QoS), 10), nil
	case 'r':
		return strconv.AppendInt(nil, int64(digit(m.Retain)), 10), nil
	case 'm':
		return strconv.AppendInt(nil, int64(m.PacketID), 10), nil
	case 'I':
		return []byte(now.Format("2006-01-02T15:04:05-0700")), nil
	case 'U':
		return fmt.Appendf(nil, "%d.%09d", now.Unix(), now.Nanosecond()), nil
	case 'j', 'J':
		return appendMosquittoJSON(nil, m, now, p.verb == 'J')
	case '%':
		return []byte("%"), nil
	default:
		return []byte(propertyText(p.verb, &m.Props)), nil
	}
}

// propertyText is an MQTT 5 property; empty if it is absent.
func propertyText(verb byte, p *mqttclient.Properties) string {
	switch verb {
	case 'A':
		if p.TopicAlias != 0 {
			return strconv.Itoa(int(p.TopicAlias))
		}
	case 'C':
		return p.ContentType
	case 'D':
		return string(p.CorrelationData)
	case 'E':
		if p.MessageExpiry != nil {
			return strconv.FormatUint(uint64(*p.MessageExpiry), 10)
		}
	case 'F':
		if p.PayloadFormat != nil {
			return strconv.Itoa(int(*p.PayloadFormat))
		}
	case 'P':
		var s []string
		for _, u := range p.User {
			s = append(s, u.Key+":"+u.Value)
		}
		return strings.Join(s, " ")
	case 'R':
		return p.ResponseTopic
	case 'S':
		var s []string
		for _, id := range p.SubscriptionIDs {
			s = append(s, strconv.FormatUint(uint64(id), 10))
		}
		return strings.Join(s, " ")
	}
	return ""
}

// timePart is one of strftime's letters, and N for the nanoseconds.
func timePart(verb byte, t time.Time) string {
	switch verb {
	case '@':
		return "@"
	case 'N':
		return fmt.Sprintf("%09d", t.Nanosecond())
	case 's':
		return strconv.FormatInt(t.Unix(), 10)
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay())
	}
	layouts := map[byte]string{
		'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'z': "-0700", 'Z': "MST", 'F': "2006-01-02",
		'T': "15:04:05", 'y': "06", 'B': "January", 'b': "Jan", 'A': "Monday", 'a': "Mon", 'I': "03", 'p': "PM",
	}
	return t.Format(layouts[verb])
}
