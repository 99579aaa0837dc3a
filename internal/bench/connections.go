package bench

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// How many connections are opened at a time, and how many from one address: an
// address has some 28,000 ports to connect from.
const (
	dialsAtOnce    = 64
	portsOfAddress = 20000
)

// runConnections opens Count connections and holds them, idle, for Duration.
func runConnections(ctx context.Context, c *Config, r *Result) error {
	m, err := startMeter(c)
	if err != nil {
		return err
	}
	links := make([]*link, c.Count)
	var open, failed atomic.Int64
	stop := watch(c, func() (uint64, uint64) { return uint64(open.Load() + failed.Load()), uint64(open.Load()) })
	defer stop()
	defer func() {
		for _, l := range links {
			if l != nil {
				l.goodbye()
			}
		}
	}()
	var first atomic.Pointer[error]
	var wg sync.WaitGroup
	slots := make(chan struct{}, dialsAtOnce)
	begin := time.Now()
	for i := range links {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			l, err := connect(ctx, c, linkOptions{idle: true, from: localAddress(c.Target.Host, i/portsOfAddress)})
			if err != nil {
				failed.Add(1)
				err = fmt.Errorf("connection %d: %w", i, err)
				first.CompareAndSwap(nil, &err)
				return
			}
			open.Add(1)
			links[i] = l
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	n := int(open.Load())
	if n == 0 {
		return *first.Load()
	}
	r.Failed = int(failed.Load())
	r.setUp(time.Since(begin), n)
	idle, err := startMeter(c)
	if err != nil {
		return err
	}
	select {
	case <-time.After(c.Duration):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := idle.stop(r); err != nil || r.Broker == nil { // CPU time of the idle stretch only
		return err
	}
	r.SetupRSS = r.Broker.RSSBytes - m.first.rss
	r.Broker.BytesPerUnit = float64(r.SetupRSS) / float64(n)
	return nil
}

// localAddress is the n-th address of this machine to connect from: on the loopback
// network there are many.
func localAddress(host string, n int) string {
	to, err := netip.ParseAddr(host)
	if n == 0 || n > 250 || err != nil || !to.Is4() || !to.IsLoopback() {
		return ""
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + n)}).String()
}
