package message_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/message"
)

func TestTraceCarriesHops(t *testing.T) {
	trace := message.NewTrace(7)
	if want := regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=7:746f7069:7$`); !want.MatchString(trace.XRay()) {
		t.Errorf("X-Ray: %s", trace.XRay())
	}
	if want := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`); !want.MatchString(trace.Traceparent()) {
		t.Errorf("W3C: %s", trace.Traceparent())
	}
	for _, c := range []struct {
		xray, state string
		hops        uint8
		ok          bool
	}{
		{trace.XRay(), "", 7, true},
		{"", trace.Tracestate(), 7, true},
		{strings.ReplaceAll(trace.XRay(), "=", "%3D"), "", 7, true},
		{"Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=12:a87bd80c:1|746f7069:3|68fd508a:5", "", 3, true},
		{trace.XRay(), "vendor=x, topicwire=9", 9, true},
		{"Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1", "vendor=x", 0, false},
		{"Lineage=746f7069:300", "topicwire=-1", 0, false},
		{"", "", 0, false},
		{"%", "=", 0, false},
	} {
		if hops, ok := message.TraceHops(c.xray, c.state); hops != c.hops || ok != c.ok {
			t.Errorf("%q and %q: %d, %t; want %d, %t", c.xray, c.state, hops, ok, c.hops, c.ok)
		}
	}
}

func TestTraceIsContinued(t *testing.T) {
	const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	got := message.ContinueTrace(given, 2)
	if !strings.HasPrefix(got.Traceparent(), "00-0af7651916cd43dd8448eb211c80319c-") || !strings.HasSuffix(got.Traceparent(), "-01") || got.Traceparent() == given {
		t.Errorf("%s continues as %s", given, got.Traceparent())
	}
	if !strings.HasPrefix(got.XRay(), "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=") || !strings.Contains(got.XRay(), ";Sampled=1;") {
		t.Errorf("%s continues as %s", given, got.XRay())
	}
	for _, bad := range []string{"", "00-0-0-00", "ff" + given[2:], strings.Replace(given, "0af7", "xxxx", 1), "00-00000000000000000000000000000000-b7ad6b7169203331-01"} {
		if got := message.ContinueTrace(bad, 0); got.Sampled || got.ID == [16]byte{} {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}
