package bench

import (
	"context"
	"fmt"
	"time"
)

// How the other filters are spread: brokers limit both.
const (
	filtersPerClient = 1000
	filtersPerPacket = 8 // as AWS IoT Core
)

// addFilters subscribes further clients to Count filters that never match. release ends them;
// it is never nil.
func addFilters(ctx context.Context, c *Config, base string, r *Result) (release func(), err error) {
	links := make([]*link, (c.Count+filtersPerClient-1)/filtersPerClient)
	release = func() {
		for _, l := range links {
			if l != nil {
				l.goodbye()
			}
		}
	}
	m, err := startMeter(c)
	if err != nil {
		return release, err
	}
	err = each(ctx, len(links), func(ctx context.Context, i int) (err error) {
		if links[i], err = connect(ctx, c, linkOptions{idle: true}); err != nil {
			return who("client", i, err)
		}
		from := i * filtersPerClient
		return who("client", i, links[i].addFilters(ctx, c, base, from, min(from+filtersPerClient, c.Count)))
	})
	if err != nil {
		return release, err
	}
	r.setUp(time.Since(m.at), c.Count)
	if c.PID != 0 {
		u, err := readUsage(c.PID)
		if err != nil {
			return release, err
		}
		r.SetupRSS = u.rss - m.first.rss
	}
	return release, nil
}

// addFilters subscribes to the filters from, from+1, ..., to-1.
func (l *link) addFilters(ctx context.Context, c *Config, base string, from, to int) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for from < to {
		var filters []string
		for ; from < to && len(filters) < filtersPerPacket; from++ {
			filters = append(filters, fmt.Sprintf("%s/device%d/state", base, from))
		}
		if err := l.subscribe(c.QoS, filters...); err != nil {
			return err
		}
	}
	return nil
}
