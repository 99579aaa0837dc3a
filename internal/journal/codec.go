package journal

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/topicwire/topicwire/message"
)

// errShort is what a record that ends too early is.
var errShort = errors.New("a record ends too early")

// The flags of an encoded message.
const (
	flagRetain = 1 << iota
	flagExpiry
	flagCorrelation
	flagPayload
)

// AppendMessage appends a message as records hold it.
func AppendMessage(b []byte, m *message.Message) []byte {
	var flags byte
	set := func(on bool, f byte) {
		if on {
			flags |= f
		}
	}
	set(m.Retain, flagRetain)
	set(m.Props.HasExpiry, flagExpiry)
	set(m.Props.Correlation != nil, flagCorrelation)
	set(m.Payload != nil, flagPayload)
	b = append(b, flags, m.QoS, m.Hops, byte(m.From.Via), byte(m.Props.Format))
	b = AppendTime(b, m.Received)
	b = AppendString(b, m.ID)
	b = AppendString(b, m.Topic)
	b = AppendString(b, m.Payload)
	b = AppendString(b, m.From.ClientID)
	b = AppendString(b, m.From.Principal)
	b = AppendString(b, m.From.Rule)
	addr, _ := m.From.Addr.MarshalBinary() // it fails for no address
	b = AppendString(b, addr)
	b = AppendString(b, m.Props.ContentType)
	b = AppendString(b, m.Props.ResponseTopic)
	b = AppendString(b, m.Props.Correlation)
	b = binary.AppendUvarint(b, uint64(m.Props.Expiry))
	b = binary.AppendUvarint(b, uint64(len(m.Props.User)))
	for _, u := range m.Props.User {
		b = AppendString(b, u.Key)
		b = AppendString(b, u.Value)
	}
	return b
}

// AppendString appends text or bytes under their length.
func AppendString[S ~string | ~[]byte](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendTime appends a moment; the zero one as well.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), t.UnixNano())
}

// Reader takes a record apart.
type Reader struct{ b []byte }

// NewReader reads b. What it returns does not refer to b, except for Rest.
func NewReader(b []byte) *Reader { return &Reader{b} }

// Rest is what has not been read.
func (r *Reader) Rest() []byte { return r.b }

// Byte reads a byte.
func (r *Reader) Byte() (byte, error) {
	if len(r.b) == 0 {
		return 0, errShort
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c, nil
}

// Uvarint reads a number.
func (r *Reader) Uvarint() (uint64, error) {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		return 0, errShort
	}
	r.b = r.b[n:]
	return v, nil
}

// Time reads a moment.
func (r *Reader) Time() (time.Time, error) {
	set, err := r.Byte()
	if err != nil || set == 0 {
		return time.Time{}, err
	}
	v, n := binary.Varint(r.b)
	if n <= 0 {
		return time.Time{}, errShort
	}
	r.b = r.b[n:]
	return time.Unix(0, v), nil
}

// Bytes reads bytes under their length; they are part of the record.
func (r *Reader) Bytes() ([]byte, error) {
	n, err := r.Uvarint()
	if err != nil {
		return nil, err
	}
	if n > uint64(len(r.b)) {
		return nil, errShort
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s, nil
}

// String reads text.
func (r *Reader) String() (string, error) {
	b, err := r.Bytes()
	return string(b), err
}

// Message reads a message.
func (r *Reader) Message() (*message.Message, error) {
	if len(r.b) < 5 {
		return nil, errShort
	}
	m := &message.Message{
		QoS: r.b[1], Hops: r.b[2], From: message.Origin{Via: message.Via(r.b[3])}, Props: message.Properties{Format: message.PayloadFormat(r.b[4])},
	}
	flags := r.b[0]
	r.b = r.b[5:]
	m.Retain, m.Props.HasExpiry = flags&flagRetain != 0, flags&flagExpiry != 0
	var errs [16]error
	m.Received, errs[0] = r.Time()
	m.ID, errs[1] = r.String()
	m.Topic, errs[2] = r.String()
	m.Payload, errs[3] = r.copied(flags&flagPayload != 0)
	m.From.ClientID, errs[4] = r.String()
	m.From.Principal, errs[5] = r.String()
	m.From.Rule, errs[6] = r.String()
	addr, err := r.Bytes()
	errs[7] = err
	if len(addr) > 0 {
		var a netip.AddrPort
		errs[8] = a.UnmarshalBinary(addr)
		m.From.Addr = a
	}
	m.Props.ContentType, errs[9] = r.String()
	m.Props.ResponseTopic, errs[10] = r.String()
	m.Props.Correlation, errs[11] = r.copied(flags&flagCorrelation != 0)
	expiry, err := r.Uvarint()
	m.Props.Expiry, errs[12] = uint32(expiry), err
	n, err := r.Uvarint()
	errs[13] = err
	for range n {
		var u message.UserProperty
		if u.Key, err = r.String(); err == nil {
			u.Value, err = r.String()
		}
		if err != nil {
			errs[14] = err
			break
		}
		m.Props.User = append(m.Props.User, u)
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// copied reads bytes that outlive the record; absent ones are nil.
func (r *Reader) copied(present bool) ([]byte, error) {
	b, err := r.Bytes()
	if !present {
		return nil, err
	}
	return append([]byte{}, b...), err
}
