package topics

import (
	"fmt"
	"testing"
	"time"

	"github.com/topicwire/topicwire/message"
)

// BenchmarkMatch is one lookup of a topic with one matching filter of so many, and
// with several that overlap.
func BenchmarkMatch(b *testing.B) {
	for _, others := range []int{0, 100, 10_000, 50_000} {
		b.Run(fmt.Sprintf("one of %d", others+1), func(b *testing.B) {
			x := NewIndex[*int]()
			for i := range others {
				x.Subscribe(fmt.Sprintf("fleet/%d/device/%d/state", i%100, i), new(int), Option{})
			}
			x.Subscribe("fleet/7/device/seven/state", new(int), Option{QoS: 1})
			b.ReportAllocs()
			for b.Loop() {
				if x.Match("fleet/7/device/seven/state").Subscribers.Len() != 1 {
					b.Fatal("no match")
				}
			}
		})
	}
	b.Run("none of 50000", func(b *testing.B) {
		x := NewIndex[*int]()
		for i := range 50_000 {
			x.Subscribe(fmt.Sprintf("fleet/%d/device/%d/state", i%100, i), new(int), Option{})
		}
		b.ReportAllocs()
		for b.Loop() {
			if x.Match("fleet/7/device/seven/state").Subscribers.Len() != 0 {
				b.Fatal("a match")
			}
		}
	})
	b.Run("200 on one filter", func(b *testing.B) {
		x := NewIndex[*int]()
		for range 200 {
			x.Subscribe("fleet/7/+/state", new(int), Option{})
		}
		b.ReportAllocs()
		for b.Loop() {
			if x.Match("fleet/7/device/state").Subscribers.Len() != 200 {
				b.Fatal("no match")
			}
		}
	})
	b.Run("three overlapping filters and a group", func(b *testing.B) {
		x := NewIndex[*int]()
		one, two := new(int), new(int)
		x.Subscribe("#", one, Option{})
		x.Subscribe("fleet/+/device/+", two, Option{QoS: 1})
		x.Subscribe("fleet/7/#", two, Option{})
		x.Subscribe("$share/g/fleet/#", one, Option{})
		b.ReportAllocs()
		for b.Loop() {
			if x.Match("fleet/7/device/state").Subscribers.Len() != 2 {
				b.Fatal("no match")
			}
		}
	})
	b.Run("parallel, one of 50001", func(b *testing.B) {
		x := NewIndex[*int]()
		for i := range 50_001 {
			x.Subscribe(fmt.Sprintf("fleet/%d/device/%d/state", i%100, i), new(int), Option{})
		}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				x.Match("fleet/7/device/107/state")
			}
		})
	})
}

// BenchmarkSubscribe is one subscribe and one unsubscribe beside so many others: on
// filters of their own, or all on the same filter.
func BenchmarkSubscribe(b *testing.B) {
	for _, others := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("filters of their own, %d others", others), func(b *testing.B) {
			x := NewIndex[*int]()
			for i := range others {
				x.Subscribe(fmt.Sprintf("fleet/%d/device/%d/state", i%100, i), new(int), Option{})
			}
			s := new(int)
			b.ReportAllocs()
			for b.Loop() {
				x.Subscribe("fleet/7/device/seven/state", s, Option{})
				x.Unsubscribe("fleet/7/device/seven/state", s)
			}
		})
		b.Run(fmt.Sprintf("one filter, %d others", others), func(b *testing.B) {
			x := NewIndex[*int]()
			for range others {
				x.Subscribe("fleet/all", new(int), Option{})
			}
			s := new(int)
			b.ReportAllocs()
			for b.Loop() {
				x.Subscribe("fleet/all", s, Option{})
				x.Unsubscribe("fleet/all", s)
			}
		})
	}
}

// BenchmarkRetained replays 20,000 retained messages to one subscriber, 64 at a time.
func BenchmarkRetained(b *testing.B) {
	r := NewRetained()
	for i := range 20_000 {
		r.Set(&message.Message{Topic: fmt.Sprintf("fleet/%d/device/%d/state", i%100, i), Payload: []byte("x")})
	}
	dst := make([]*message.Message, 64)
	for _, filter := range []string{"#", "fleet/+/device/+/state", "fleet/7/#"} {
		b.Run(filter, func(b *testing.B) {
			b.ReportAllocs()
			total := 0
			for b.Loop() {
				c := r.Match(filter)
				for n := len(dst); n == len(dst); {
					n = c.Next(time.Time{}, dst)
					total += n
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/message")
		})
	}
	b.Run("set", func(b *testing.B) {
		m := &message.Message{Topic: "fleet/7/device/seven/state", Payload: []byte("x")}
		b.ReportAllocs()
		for b.Loop() {
			r.Set(m)
		}
	})
}
