package journal

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// rewriteBytes is how much is written anew at a time.
const rewriteBytes = 1 << 20

// keepTidy gives back the space of what is not needed any more.
func (j *Journal) keepTidy() {
	for {
		select {
		case <-j.tidy:
		case <-j.closing:
			return
		}
		for j.tidyUp() {
			select {
			case <-j.closing:
				return
			default:
			}
		}
	}
}

// tidyUp does one step and reports whether there is another one to do now.
func (j *Journal) tidyUp() bool {
	j.mu.Lock()
	l := &j.ledger
	least, live := j.options.Tidy, j.live.bytes
	if j.full != nil {
		least = 0 // every byte counts
	}
	if l.dead > 0 && (j.failing || j.full != nil || l.worthPurging(least, live)) {
		j.mu.Unlock()
		if err := j.throwAway(); err != nil {
			j.log.Debug().Err(err).Msg("what is no longer needed could not be thrown away yet")
			return false
		}
		return true
	}
	if j.failing || j.closed || !l.worthRewriting(least, live, j.live.front()) {
		j.mu.Unlock()
		return false
	}
	committed := make(chan error, 1)
	j.wait(j.rewrite(), func(err error) { committed <- err })
	return <-committed == nil
}

// rewrite writes the oldest records anew, so that what stands between them can be
// thrown away, and returns the number of the last one. The lock is held.
func (j *Journal) rewrite() uint64 {
	first := j.live.front()
	until := max(j.ledger.end(first.id), j.ledger.rewrite)
	if until == 0 {
		until = j.done
	}
	until = min(until, j.next)
	written := 0
	for r := first; r != nil && r.id < until && written < rewriteBytes; r = j.live.front() {
		written += r.size
		j.Put(r)
		j.metrics.rewritten.Add(1)
	}
	return j.next - 1
}

// throwAway throws away what nobody needs.
func (j *Journal) throwAway() error {
	j.cutting.Lock()
	defer j.cutting.Unlock()
	j.mu.Lock()
	l := &j.ledger
	if l.dead == 0 { // the stream has become shorter meanwhile
		j.mu.Unlock()
		return nil
	}
	seq := l.chunks[l.dead].seq
	j.mu.Unlock()
	if err := j.purge(seq); err != nil {
		return err
	}
	j.mu.Lock()
	l.purged(seq)
	j.caughtUp()
	return nil
}

// purge throws away the messages before seq. What of them was written anew must be on
// the disk before: files may be gone from it sooner than what was written last is there.
func (j *Journal) purge(seq uint64) error {
	if err := j.server.Sync(); err != nil {
		return err
	}
	_, life := j.server.Link()
	ctx, cancel := context.WithTimeout(life, commitTimeout)
	defer cancel()
	stop := context.AfterFunc(j.life, cancel)
	defer stop()
	name, _ := j.server.Stream()
	stream, err := j.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSequence(seq))
}
