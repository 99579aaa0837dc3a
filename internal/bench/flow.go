package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// flow is a load of numbered messages from publishers to subscribers.
type flow struct {
	cfg         *Config
	clock       *clock
	base        string // first levels of every topic; new for each run
	publishers  []*publisher
	subscribers []*subscriber
	closing     atomic.Bool
	stuck       atomic.Bool   // a write did not end: everything was cut
	late        time.Duration // open loop: how late the generator was at worst
}

// newBase gives a run topics of its own, so that nothing older can come in between.
func newBase() string { return "bench/" + strings.ToLower(rand.Text()[:8]) }

// route says which topic a publisher uses, which filter a subscriber, and to how many
// subscribers each message goes.
func (f *flow) route() (topic, filter func(int) string, fanout int) {
	same := func(int) string { return f.base + "/state" }
	own := func(i int) string { return fmt.Sprintf("%s/%d/state", f.base, i) }
	switch f.cfg.Scenario {
	case Pairs:
		return own, own, 1
	case FanIn:
		return own, func(int) string { return f.base + "/+/state" }, f.cfg.Subscribers
	case Subs: // a sibling of the other filters
		hit := func(int) string { return f.base + "/hit/state" }
		return hit, hit, f.cfg.Subscribers
	default:
		return same, same, f.cfg.Subscribers
	}
}

// open connects everybody and subscribes, many at a time: a broker that looks at new
// connections every 100 ms must not cost that for each.
func (f *flow) open(ctx context.Context) error {
	topic, filter, fanout := f.route()
	publishers, subscribers := make([]*publisher, f.cfg.Publishers), make([]*subscriber, f.cfg.Subscribers)
	err := each(ctx, len(publishers), func(ctx context.Context, i int) (err error) {
		publishers[i], err = f.publisher(ctx, i, topic(i), fanout)
		return who("publisher", i, err)
	})
	f.publishers = slices.DeleteFunc(publishers, func(p *publisher) bool { return p == nil })
	if err != nil {
		return err
	}
	err = each(ctx, len(subscribers), func(ctx context.Context, i int) (err error) {
		subscribers[i], err = f.subscriber(ctx, filter(i))
		return who("subscriber", i, err)
	})
	f.subscribers = slices.DeleteFunc(subscribers, func(s *subscriber) bool { return s == nil })
	return err
}

// each calls do for 0 to n-1, some at a time, until one fails.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(dialsAtOnce)
	for i := range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx, i)
		})
	}
	return g.Wait()
}

func (f *flow) publisher(ctx context.Context, i int, topic string, fanout int) (*publisher, error) {
	tmpl, err := newTemplate(f.cfg.Version, &mqttclient.Publish{Topic: topic, QoS: f.cfg.QoS}, i, f.cfg.PayloadSize)
	if err != nil {
		return nil, err
	}
	l, err := connect(ctx, f.cfg, linkOptions{})
	if err != nil {
		return nil, err
	}
	return &publisher{
		link: l, tmpl: tmpl, buf: make([]byte, 0, max(writeBatch, len(tmpl.packet))), wake: make(chan struct{}, 1),
		qos: f.cfg.QoS, fanout: uint64(fanout), window: uint64(f.cfg.Window), limit: uint64(f.cfg.Messages),
	}, nil
}

func (f *flow) subscriber(ctx context.Context, filter string) (*subscriber, error) {
	l, err := connect(ctx, f.cfg, linkOptions{})
	if err != nil {
		return nil, err
	}
	s := newSubscriber(l, f.clock, f.publishers)
	if err := l.subscribe(f.cfg.QoS, filter); err != nil {
		_ = l.Close()
		return nil, err
	}
	if f.cfg.Rate > 0 {
		s.latency = newHistogram()
	}
	return s, nil
}

// close says goodbye on every connection.
func (f *flow) close() {
	for _, s := range f.subscribers {
		s.goodbye()
	}
	for _, p := range f.publishers {
		p.goodbye()
	}
}

// cut closes every connection at once, which frees whoever reads or writes.
func (f *flow) cut() {
	for _, s := range f.subscribers {
		_ = s.Close()
	}
	for _, p := range f.publishers {
		_ = p.Close()
	}
}

// load sends for as long as the configuration says, waits for what is on its way,
// and closes the connections.
func (f *flow) load(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, f.cut)()
	for i, s := range f.subscribers {
		g.Go(func() error { return f.who("subscriber", i, s.read()) })
	}
	for i, p := range f.publishers {
		g.Go(func() error { return f.who("publisher", i, p.readAcks()) })
	}
	g.Go(func() error {
		err := f.send(ctx)
		if err == nil {
			untilQuiet(ctx, f.arrived)
			f.closing.Store(true)
			f.close()
		}
		return err
	})
	return g.Wait()
}

// who names the connection that an error is about. While all are being closed, the
// server's end of one is no error.
func (f *flow) who(role string, i int, err error) error {
	if f.closing.Load() || f.stuck.Load() {
		return nil
	}
	return who(role, i, err)
}

func who(role string, i int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %d: %w", role, i, err)
}

// send runs the publishers.
func (f *flow) send(parent context.Context) error {
	ctx, cancel := parent, context.CancelFunc(func() {})
	if f.cfg.Messages == 0 {
		ctx, cancel = context.WithTimeout(parent, f.cfg.Duration)
	}
	defer cancel()
	if f.cfg.Messages == 0 {
		stuck := time.AfterFunc(f.cfg.Duration+stuckAfter, func() {
			f.stuck.Store(true)
			f.cut()
		})
		defer stuck.Stop()
	}
	err := f.publish(ctx)
	if f.stuck.Load() {
		return errStuck
	}
	return err
}

// publish sends until ctx ends.
func (f *flow) publish(ctx context.Context) error {
	if f.cfg.Rate > 0 {
		return f.openLoop(ctx)
	}
	var g errgroup.Group
	for i, p := range f.publishers {
		g.Go(func() error {
			return who("publisher", i, ended(p.closedLoop(ctx, f.clock)))
		})
	}
	return g.Wait()
}

// untilQuiet waits until everything has arrived, or nothing has for quietAfter.
func untilQuiet(ctx context.Context, arrived func() (n uint64, complete bool)) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var before uint64
	quiet := time.Now()
	for ctx.Err() == nil {
		n, complete := arrived()
		if complete {
			return
		}
		if n != before {
			before, quiet = n, time.Now()
		} else if time.Since(quiet) > quietAfter {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// arrived counts deliveries and acknowledgements, and says whether all have come.
func (f *flow) arrived() (n uint64, complete bool) {
	complete = true
	for _, p := range f.publishers {
		sent, acked, delivered := p.sent.Load(), p.acked.Load(), p.delivered.Load()
		n += acked + delivered
		complete = complete && delivered >= sent*p.fanout && (p.qos == 0 || acked >= sent)
	}
	return n, complete
}

// result counts after load has returned.
func (f *flow) result(r *Result) {
	var last int64
	for _, p := range f.publishers {
		sent, acked := p.sent.Load(), p.acked.Load()
		r.Sent += sent
		r.Expected += sent * p.fanout
		r.Stalls += p.stalls.Load()
		if p.qos > 0 {
			r.Unacked += sent - min(sent, acked)
		}
	}
	all := newHistogram()
	for i, s := range f.subscribers {
		r.Received += s.received.Load()
		last = max(last, s.last.Load())
		for j := range s.sequences {
			if f.cfg.Scenario == Pairs && i != j {
				continue
			}
			q := &s.sequences[j]
			r.Lost += q.lost(f.publishers[j].sent.Load())
			r.Reordered += q.reordered
			r.Duplicate += q.duplicates
		}
		if s.latency != nil {
			all.Merge(s.latency)
		}
	}
	if f.cfg.Rate > 0 {
		r.Latency, r.Late = quanta(all), float64(f.late)/1e6
	}
	r.took(time.Duration(last))
}

// stuckAfter is how long a write may take after the end of the load.
const stuckAfter = 5 * time.Second

// errStuck says that a broker has taken no data for stuckAfter.
var errStuck = errors.New("the broker has stopped reading from a publisher")

// errGenerator says that the generator could not keep its own schedule.
var errGenerator = errors.New("the generator cannot keep this rate")
