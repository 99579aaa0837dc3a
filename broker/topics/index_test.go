package topics

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/message"
)

// subscribers lists who matches as "name qos ids", groups as "group/filter: names".
func subscribers(m *Matches[string]) []string {
	var got []string
	for s := range m.Subscribers.All() {
		ids := slices.Clone(s.IDs)
		slices.Sort(ids)
		line := fmt.Sprintf("%s %d", s.Subscriber, s.QoS)
		if s.NoLocal {
			line += " nl"
		}
		if s.RetainAsPublished {
			line += " rap"
		}
		if len(ids) > 0 {
			line += fmt.Sprint(" ", ids)
		}
		got = append(got, line)
	}
	for _, g := range m.Groups {
		var names []string
		for s := range g.Members.All() {
			names = append(names, s.Subscriber)
		}
		sort.Strings(names)
		got = append(got, g.Name+"/"+g.Filter+": "+strings.Join(names, ","))
	}
	sort.Strings(got)
	return got
}

func TestMatchingFollowsTheSpecification(t *testing.T) {
	tests := []struct {
		name   string
		filter []string // each subscribed by a client named after its number
		topic  string
		want   []string
	}{
		{"exact", []string{"a/b", "a/c"}, "a/b", []string{"0 1"}},
		{"one level", []string{"a/+", "+/b", "+/+", "+"}, "a/b", []string{"0 1", "1 1", "2 1"}},
		{"[MQTT-4.7.1-2] # includes the parent level", []string{"a/#", "a/b/#", "a/b/c/#"}, "a/b", []string{"0 1", "1 1"}},
		{"+/# includes the parent level", []string{"+/#", "+/+/#", "+/+/+/#"}, "a/b", []string{"0 1", "1 1"}},
		{"empty levels are levels", []string{"+/+", "/+", "+", "/"}, "/a", []string{"0 1", "1 1"}},
		{"a trailing slash is a level", []string{"a", "a/", "a/+", "a/#"}, "a/", []string{"1 1", "2 1", "3 1"}},
		{"[MQTT-4.7.2-1] $ topics and a first wildcard", []string{"#", "+/x", "$SYS/#", "$SYS/+", "$SYS/x"}, "$SYS/x", []string{"2 1", "3 1", "4 1"}},
		{"$ alone counts as well", []string{"#", "+", "$"}, "$", []string{"2 1"}},
		{"$ further down is nothing special", []string{"#", "a/+", "a/#"}, "a/$x", []string{"0 1", "1 1", "2 1"}},
		{"case matters", []string{"A"}, "a", nil},
		{"shared", []string{"$share/g/a/+", "$share/g/a/b", "$share/h/#", "a/b"}, "a/b", []string{"3 1", "g/a/+: 0", "g/a/b: 1", "h/#: 2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := NewIndex[string]()
			for i, f := range tt.filter {
				x.Subscribe(f, fmt.Sprint(i), Option{QoS: 1})
			}
			if diff := cmp.Diff(tt.want, subscribers(x.Match(tt.topic))); diff != "" {
				t.Errorf("Match(%q) (-want +got):\n%s", tt.topic, diff)
			}
		})
	}
}

func TestOverlappingSubscriptionsAreOneMatch(t *testing.T) {
	x := NewIndex[string]()
	x.Subscribe("a/#", "c", Option{QoS: 0, ID: 7})
	x.Subscribe("a/+", "c", Option{QoS: 2, ID: 9, RetainAsPublished: true})
	x.Subscribe("a/b", "c", Option{QoS: 1, ID: 3, NoLocal: true})
	x.Subscribe("a/b", "d", Option{QoS: 1})
	want := []string{"c 1 nl [3]", "c 2 rap [7 9]", "d 1"}
	if diff := cmp.Diff(want, subscribers(x.Match("a/b"))); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if !x.Subscribe("a/+", "c", Option{QoS: 1}) {
		t.Error("subscribing again with the same filter must say that the subscription existed [MQTT-3.8.4-3]")
	}
	want = []string{"c 1 [7]", "c 1 nl [3]", "d 1"}
	if diff := cmp.Diff(want, subscribers(x.Match("a/b"))); diff != "" {
		t.Errorf("after replacing (-want +got):\n%s", diff)
	}
	if x.Len() != 4 {
		t.Errorf("Len() = %d, want 4", x.Len())
	}
}

func TestMatchedListsNeverChange(t *testing.T) {
	x := NewIndex[string]()
	for i := range 3 * chunkLen {
		x.Subscribe("t", fmt.Sprint(i), Option{})
	}
	before := x.Match("t")
	want := subscribers(before)
	for i := range 2 * chunkLen {
		x.Unsubscribe("t", fmt.Sprint(i))
		x.Subscribe("t", fmt.Sprint("new", i), Option{QoS: 1})
		x.Subscribe("t", fmt.Sprint(i+2*chunkLen), Option{QoS: 2})
	}
	if diff := cmp.Diff(want, subscribers(before)); diff != "" {
		t.Errorf("a list that was handed out has changed (-want +got):\n%s", diff)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	x := NewIndex[string]()
	for i := range 2000 {
		x.Subscribe(fmt.Sprintf("a/%d/+/%d/#", i%97, i), "c", Option{})
		x.Subscribe(fmt.Sprintf("$share/g/b/%d", i), "c", Option{})
	}
	if n := len(x.Filters("c")); n != 4000 {
		t.Errorf("Filters: %d, want 4000", n)
	}
	if n := x.UnsubscribeAll("c"); n != 4000 {
		t.Errorf("UnsubscribeAll = %d, want 4000", n)
	}
	edges := x.edges.Load()
	if x.Len() != 0 || edges.n != 0 || len(edges.buckets) != fewestBuckets || x.root.kids != 0 || len(x.filters) != 0 {
		t.Errorf("left behind: %d subscriptions, %d edges in %d buckets, %d children of the root, %d subscribers",
			x.Len(), edges.n, len(edges.buckets), x.root.kids, len(x.filters))
	}
}

// oracle is an index as simple as can be.
type oracle map[[2]string]Option // subscriber, filter

func (o oracle) match(topic string) []string {
	merged := map[string]*Match[string]{}
	groups := map[string][]string{}
	for k, opt := range o {
		if !message.Match(k[1], topic) {
			continue
		}
		if group, rest, shared := message.SplitShare(k[1]); shared {
			g := group + "/" + rest
			groups[g] = append(groups[g], k[0])
			continue
		}
		id := fmt.Sprint(k[0], opt.NoLocal)
		m := merged[id]
		if m == nil {
			m = &Match[string]{Subscriber: k[0], Option: Option{NoLocal: opt.NoLocal}}
			merged[id] = m
		}
		m.QoS = max(m.QoS, opt.QoS)
		m.RetainAsPublished = m.RetainAsPublished || opt.RetainAsPublished
		if opt.ID != 0 {
			m.IDs = append(m.IDs, opt.ID)
		}
	}
	var all Matches[string]
	var list []Match[string]
	for _, m := range merged {
		list = append(list, *m)
	}
	all.Subscribers = listOf(list)
	got := subscribers(&all)
	for g, names := range groups {
		sort.Strings(names)
		got = append(got, g+": "+strings.Join(names, ","))
	}
	sort.Strings(got)
	return got
}

func drawLevels(t *rapid.T, label string, of ...string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(of), 1, 4).Draw(t, label), "/")
}

func drawFilter(t *rapid.T) string {
	f := drawLevels(t, "filter", "a", "b", "c", "", "$x", "+")
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		f += "/#"
	case 1:
		f = "#"
	}
	if rapid.IntRange(0, 4).Draw(t, "shared") == 0 {
		f = "$share/" + rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group") + "/" + f
	}
	return f
}

func TestIndexAgreesWithANaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, o := NewIndex[string](), oracle{}
		client := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("c", rapid.IntRange(0, 30).Draw(t, "n")) })
		topic := func(t *rapid.T) string { return drawLevels(t, "topic", "a", "b", "c", "", "$x") }
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				c, f := client.Draw(t, "client"), drawFilter(t)
				opt := Option{
					QoS: byte(rapid.IntRange(0, 2).Draw(t, "qos")), ID: uint32(rapid.IntRange(0, 5).Draw(t, "id")),
					NoLocal: rapid.IntRange(0, 9).Draw(t, "nl") == 0, RetainAsPublished: rapid.Bool().Draw(t, "rap"),
				}
				_, want := o[[2]string{c, f}]
				if existed := x.Subscribe(f, c, opt); existed != want {
					t.Fatalf("Subscribe(%q, %s) existed = %v, want %v", f, c, existed, want)
				}
				o[[2]string{c, f}] = opt
			},
			"subscribe many": func(t *rapid.T) {
				f := drawFilter(t)
				for i := range 40 {
					x.Subscribe(f, fmt.Sprint("c", i), Option{QoS: 1})
					o[[2]string{fmt.Sprint("c", i), f}] = Option{QoS: 1}
				}
			},
			"unsubscribe": func(t *rapid.T) {
				if len(o) == 0 {
					t.Skip("nothing to unsubscribe")
				}
				keys := slices.SortedFunc(maps.Keys(o), func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
				k := rapid.SampledFrom(keys).Draw(t, "subscription")
				delete(o, k)
				if !x.Unsubscribe(k[1], k[0]) {
					t.Fatalf("Unsubscribe(%q, %s) found nothing", k[1], k[0])
				}
				if x.Unsubscribe(k[1], k[0]) {
					t.Fatalf("Unsubscribe(%q, %s) found it twice", k[1], k[0])
				}
			},
			"unsubscribe all": func(t *rapid.T) {
				c := client.Draw(t, "client")
				want := 0
				for k := range o {
					if k[0] == c {
						delete(o, k)
						want++
					}
				}
				if n := x.UnsubscribeAll(c); n != want {
					t.Fatalf("UnsubscribeAll(%s) = %d, want %d", c, n, want)
				}
			},
			"": func(t *rapid.T) {
				if x.Len() != len(o) {
					t.Fatalf("Len() = %d, want %d", x.Len(), len(o))
				}
				for range 3 {
					tp := topic(t)
					want := o.match(tp)
					for range 2 { // the second time from the cache, where there is one
						if diff := cmp.Diff(want, subscribers(x.Match(tp))); diff != "" {
							t.Fatalf("Match(%q) (-want +got):\n%s", tp, diff)
						}
					}
				}
			},
		})
	})
}

// A subscription that is there all the time is found all the time, whatever
// happens around it.
func TestMatchWhileOthersSubscribe(t *testing.T) {
	x := NewIndex[int]()
	x.Subscribe("a/+/c", -1, Option{})
	x.Subscribe("a/b/c", -2, Option{})
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				me := w*1_000_000 + i
				x.Subscribe(fmt.Sprintf("a/%d/c", me), me, Option{})
				x.Subscribe("a/b/c", me, Option{})
				x.Subscribe("a/b/#", me, Option{})
				if i%3 == 0 {
					x.UnsubscribeAll(me)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for range 3000 {
				found := 0
				for s := range x.Match("a/b/c").Subscribers.All() {
					if s.Subscriber < 0 {
						found++
					}
				}
				if found != 2 {
					t.Errorf("found %d of the 2 subscriptions that are always there", found)
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
}
