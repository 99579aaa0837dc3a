package policy

import (
	"fmt"
	"testing"
)

// device is a policy as AWS IoT's documentation gives them to devices.
func device() *Set {
	d := &Document{Statement: []Statement{
		{Effect: "Allow", Action: Strings{"iot:Connect"}, Resource: Strings{"arn:aws:iot:eu-central-1:123456789012:client/${iot:ClientId}"}},
		{Effect: "Allow", Action: Strings{"iot:Publish", "iot:Receive"}, Resource: Strings{
			"arn:aws:iot:eu-central-1:123456789012:topic/dt/${iot:ClientId}/*",
			"arn:aws:iot:eu-central-1:123456789012:topic/cmd/*/${iot:ClientId}/reply",
		}},
		{Effect: "Deny", Action: Strings{"iot:Publish"}, Resource: Strings{"arn:aws:iot:eu-central-1:123456789012:topic/*/config"}},
	}}
	return NewSet(Compile("device", d))
}

// large has so many patterns that decisions are remembered.
func large() *Set {
	s := Statement{Effect: "Allow", Action: Strings{"iot:Publish"}}
	for i := range 100 {
		s.Resource = append(s.Resource, fmt.Sprintf("topic/*/room/%d/${iot:ClientId}/*", i))
	}
	return NewSet(Compile("large", &Document{Statement: []Statement{s}}))
}

// A check on the way of a message allocates nothing.
func TestAllowsDoesNotAllocate(t *testing.T) {
	f := &Facts{ClientID: "lamp-4711"}
	for name, c := range map[string]struct {
		set   *Set
		topic string
	}{"device": {device(), "dt/lamp-4711/data"}, "large": {large(), "a/room/99/lamp-4711/x"}} {
		b := c.set.Bind(f)
		if !b.Allows(Publish, c.topic) {
			t.Fatal(name)
		}
		if n := testing.AllocsPerRun(100, func() { b.Allows(Publish, c.topic) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAllows(b *testing.B) {
	f := &Facts{ClientID: "lamp-4711"}
	for _, c := range []struct {
		name  string
		set   *Set
		topic string
	}{
		{"device/allowed", device(), "dt/lamp-4711/data"},
		{"device/second", device(), "cmd/reboot/lamp-4711/reply"},
		{"device/refused", device(), "dt/other/data"},
		{"large/repeated", large(), "a/room/99/lamp-4711/x"},
	} {
		bound := c.set.Bind(f)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bound.Allows(Publish, c.topic)
			}
		})
	}
}

func BenchmarkBind(b *testing.B) {
	s, f := device(), &Facts{ClientID: "lamp-4711"}
	b.ReportAllocs()
	for b.Loop() {
		s.Bind(f)
	}
}
