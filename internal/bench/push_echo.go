package bench

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// Round trips that each connection makes before they are counted, and the bytes of a message.
const (
	warmUp      = 10
	echoPayload = 128
)

// pushEcho has n connections send a message and wait for it to come back through the origin, again
// and again.
func pushEcho(ctx context.Context, p *pushRun, n int) ([]PushCell, error) {
	clients, stop, err := openPush(ctx, p.server, n, 4096)
	if err != nil {
		return nil, err
	}
	defer stop()
	all := newHistogram()
	histograms := make([]*hdrhistogram.Histogram, n)
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range clients {
		g.Go(func() error { _, err := echoes(ctx, c, warmUp, time.Time{}); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	m, err := startPushMeter(p.server)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	g, ctx = errgroup.WithContext(context.WithoutCancel(ctx))
	for i, c := range clients {
		g.Go(func() (err error) { histograms[i], err = echoes(ctx, c, 0, begin.Add(p.duration)); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	used, err := m.stop()
	if err != nil {
		return nil, err
	}
	for _, h := range histograms {
		all.Merge(h)
	}
	q := quanta(all)
	return []PushCell{{
		Value: float64(q.Count) / took.Seconds(),
		Detail: fmt.Sprintf("p50 %s ms, p99 %s ms, CPU %s µs each",
			figures([]float64{q.P50 / 1e3}, ""), figures([]float64{q.P99 / 1e3}, ""), figures([]float64{used.cpu.Seconds() * 1e6 / float64(q.Count)}, "")),
	}}, nil
}

// echoes makes round trips: n of them, or until a time.
func echoes(ctx context.Context, c *pushClient, n int, until time.Time) (*hdrhistogram.Histogram, error) {
	h := newHistogram()
	payload := bytes.Repeat([]byte("abcdefgh"), echoPayload/8)
	frame := clientFrame(opText, payload)
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	for i := 0; n == 0 || i < n; i++ {
		sent := time.Now()
		if n == 0 && sent.After(until) {
			break
		}
		_ = c.SetReadDeadline(sent.Add(answerWithin))
		if _, err := c.Write(frame); err != nil {
			return h, err
		}
		got, err := c.next()
		if err != nil {
			return h, fmt.Errorf("no echo: %w", err)
		}
		if !bytes.Equal(got, payload) {
			return h, fmt.Errorf("%w: %q came back instead of %q", errPush, got, payload)
		}
		if err := h.RecordValue(int64(time.Since(sent))); err != nil {
			return h, err
		}
	}
	return h, nil
}
