package message

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Trace is what travels with an invocation through programs that are not ours, so that
// what they publish in turn can be told to belong to it: an identifier for tracing
// systems and the count of hops, which bounds recursion. AWS's SDKs send the X-Ray form
// on by themselves when they run in a Lambda function; OpenTelemetry does so with the
// W3C form.
type Trace struct {
	// ID is the trace's identifier.
	ID [16]byte
	// Span is the identifier of this invocation in it.
	Span [8]byte
	// Sampled says that somebody records the trace.
	Sampled bool
	// Hops is that of the message that caused the invocation.
	Hops uint8
}

// lineage is the name under which the count stands in X-Ray's Lineage field, where AWS
// keeps its own counts against recursion in the form TOTAL:NAME:COUNT.
const lineage = "746f7069"

// stateKey is our key in tracestate (W3C Trace Context, section 3.3.1.3).
const stateKey = "topicwire"

// NewTrace begins a trace.
func NewTrace(hops uint8) Trace {
	t := Trace{Hops: hops}
	_, _ = rand.Read(t.ID[4:]) // crypto/rand.Read never fails
	_, _ = rand.Read(t.Span[:])
	binary.BigEndian.PutUint32(t.ID[:4], uint32(time.Now().Unix())) // X-Ray wants it there
	return t
}

// ContinueTrace is a new span of the trace that a traceparent names (W3C Trace Context,
// section 3.2); of a new one if it names none.
func ContinueTrace(traceparent string, hops uint8) Trace {
	t := NewTrace(hops)
	f := strings.Split(traceparent, "-")
	if len(f) < 4 || len(f[0]) != 2 || f[0] == "ff" || len(f[1]) != 32 || len(f[2]) != 16 || len(f[3]) != 2 {
		return t
	}
	var id [16]byte
	var flags [1]byte
	if _, err := hex.Decode(id[:], []byte(f[1])); err != nil || id == ([16]byte{}) {
		return t
	}
	if _, err := hex.Decode(flags[:], []byte(f[3])); err != nil {
		return t
	}
	t.ID, t.Sampled = id, flags[0]&1 != 0
	return t
}

// XRay is the trace as the X-Amzn-Trace-Id header has it.
func (t Trace) XRay() string {
	b := make([]byte, 0, 128)
	b = append(b, "Root=1-"...)
	b = hex.AppendEncode(b, t.ID[:4])
	b = append(b, '-')
	b = hex.AppendEncode(b, t.ID[4:])
	b = append(b, ";Parent="...)
	b = hex.AppendEncode(b, t.Span[:])
	b = append(b, ";Sampled="...)
	b = strconv.AppendUint(b, uint64(t.flag()), 10)
	b = append(b, ";Lineage="...)
	b = strconv.AppendUint(b, uint64(t.Hops), 10)
	b = append(b, ":"+lineage+":"...)
	b = strconv.AppendUint(b, uint64(t.Hops), 10)
	return string(b)
}

// Traceparent and Tracestate are the trace as W3C's headers of these names have it.
func (t Trace) Traceparent() string {
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, t.ID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, t.Span[:])
	b = append(b, "-0"...)
	b = strconv.AppendUint(b, uint64(t.flag()), 10)
	return string(b)
}

// Tracestate holds the hops.
func (t Trace) Tracestate() string { return stateKey + "=" + strconv.Itoa(int(t.Hops)) }

func (t Trace) flag() byte {
	if t.Sampled {
		return 1
	}
	return 0
}

// TraceHops reads the count of hops out of an X-Amzn-Trace-Id and a tracestate header,
// the higher one if both have one; false if neither has.
func TraceHops(xray, tracestate string) (hops uint8, ok bool) {
	take := func(s string) {
		if n, err := strconv.ParseUint(s, 10, 8); err == nil {
			hops, ok = max(hops, uint8(n)), true
		}
	}
	if strings.Contains(xray, "%") { // aws-sdk-go-v2 escapes it
		if plain, err := url.PathUnescape(xray); err == nil {
			xray = plain
		}
	}
	for field := range strings.SplitSeq(xray, ";") {
		list, found := strings.CutPrefix(strings.TrimSpace(field), "Lineage=")
		if !found {
			continue
		}
		for entry := range strings.SplitSeq(list, "|") { // TOTAL:NAME:COUNT, or NAME:COUNT
			if _, count, found := strings.Cut(entry, lineage+":"); found {
				take(count)
			}
		}
	}
	for member := range strings.SplitSeq(tracestate, ",") {
		if value, found := strings.CutPrefix(strings.TrimSpace(member), stateKey+"="); found {
			take(value)
		}
	}
	return hops, ok
}
