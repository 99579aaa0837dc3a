package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// A fan-out is bursts, each published after the one before has arrived everywhere or nothing has come
// for quietFor: with one request, or with a request for each message, one after the other.
const (
	bursts    = 5
	burstSize = 100
	quietFor  = 3 * time.Second
)

// holder is one connection of a fan-out and what came over it.
type holder struct {
	*pushClient
	sequence sequence
	latency  *hdrhistogram.Histogram
}

// pushFanOut publishes bursts of messages, some with each request, to a channel that n connections hold.
func pushFanOut(ctx context.Context, p *pushRun, n, perRequest int) ([]PushCell, error) {
	clients, stop, err := openPush(ctx, p.server, n, readBuffer)
	if err != nil {
		return nil, err
	}
	defer stop()
	f := &pushFan{perRequest: perRequest, clock: newClock(), holders: make([]holder, n), arrived: make(chan struct{}, 1)}
	g, within := errgroup.WithContext(ctx)
	done := make(chan struct{})
	for i, c := range clients {
		f.holders[i] = holder{pushClient: c, latency: newHistogram()}
		g.Go(func() error {
			err := f.receive(&f.holders[i])
			select {
			case <-done: // we closed it
				return nil
			default:
				return err
			}
		})
	}
	m, err := startPushMeter(p.server)
	if err != nil {
		return nil, err
	}
	published := f.publish(within, p.server)
	used, err := m.stop()
	close(done)
	stop()
	if err := errors.Join(published, g.Wait(), err); err != nil {
		return nil, err
	}
	return []PushCell{f.cell(used)}, nil
}

// pushFan is a fan-out under way.
type pushFan struct {
	perRequest int

	clock    *clock
	holders  []holder
	due      [bursts * burstSize]atomic.Int64 // by number: when the message was published
	received atomic.Int64
	last     atomic.Int64  // when the last one came
	arrived  chan struct{} // something came

	sent int
	busy time.Duration // of all bursts together
}

func (f *pushFan) receive(h *holder) error {
	for {
		payload, err := h.next()
		if err != nil {
			return err
		}
		number, _, _ := bytes.Cut(payload, []byte(" "))
		n, err := strconv.Atoi(string(number))
		if err != nil || n < 0 || n >= len(f.due) {
			return fmt.Errorf("%w: %q was not published", errPush, payload)
		}
		now := f.clock.now()
		h.sequence.add(uint64(n))
		if err := h.latency.RecordValue(now - f.due[n].Load()); err != nil {
			return err
		}
		f.last.Store(now)
		f.received.Add(1)
		select {
		case f.arrived <- struct{}{}:
		default:
		}
	}
}

// publish sends the bursts and waits for each to arrive.
func (f *pushFan) publish(ctx context.Context, s *PushServer) error {
	for range bursts {
		begin := f.clock.now()
		for range burstSize / f.perRequest {
			now := f.clock.now()
			var contents []string
			for range f.perRequest {
				f.due[f.sent].Store(now)
				contents = append(contents, f.payload(f.sent))
				f.sent++
			}
			if err := publishItems(ctx, s.Publish, contents); err != nil {
				return err
			}
		}
		if err := f.await(ctx, int64(f.sent)*int64(len(f.holders))); err != nil {
			return err
		}
		f.busy += time.Duration(f.last.Load() - begin)
	}
	return nil
}

// await waits until that many messages have come, or none for quietFor.
func (f *pushFan) await(ctx context.Context, all int64) error {
	quiet := time.NewTimer(quietFor)
	defer quiet.Stop()
	for f.received.Load() < all {
		select {
		case <-f.arrived:
			quiet.Reset(quietFor)
		case <-quiet.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (f *pushFan) payload(n int) string {
	b := fmt.Appendf(nil, "%d ", n)
	for len(b) < echoPayload {
		b = append(b, 'x')
	}
	return string(b)
}

func (f *pushFan) cell(used usage) PushCell {
	all, r := newHistogram(), &Result{}
	for i := range f.holders {
		h := &f.holders[i]
		all.Merge(h.latency)
		r.Lost += h.sequence.lost(uint64(f.sent))
		r.Reordered += h.sequence.reordered
		r.Duplicate += h.sequence.duplicates
	}
	q := quanta(all)
	return PushCell{
		Value:  float64(q.Count) / f.busy.Seconds(),
		Detail: fmt.Sprintf("p50 %s ms, CPU %s µs each", figures([]float64{q.P50 / 1e3}, ""), figures([]float64{used.cpu.Seconds() * 1e6 / float64(q.Count)}, "")),
		Faults: r.Faults(),
	}
}

// publishItems POSTs items to pushChannel.
func publishItems(ctx context.Context, url string, contents []string) error {
	type format struct {
		Content string `json:"content"`
	}
	type item struct {
		Channel string            `json:"channel"`
		Formats map[string]format `json:"formats"`
	}
	var items []item
	for _, c := range contents {
		items = append(items, item{pushChannel, map[string]format{"ws-message": {c}}})
	}
	body, err := json.Marshal(map[string][]item{"items": items})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: publish: %s: %s", errPush, answer.Status, text)
	}
	return nil
}
