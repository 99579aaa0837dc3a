package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/topicwire/topicwire/internal/natsd"
)

const (
	// linger is how far apart commits are while several wait for each: what comes
	// meanwhile goes into the same one.
	linger = 400 * time.Microsecond
	// lazy is how long a record waits that nobody waits for.
	lazy = 5 * time.Millisecond
	// fullPause is how often it is looked whether a full disk has room again.
	fullPause = 100 * time.Millisecond
	// commitTimeout is how long the server may take to say that something is written.
	commitTimeout = 20 * time.Second
	// The pause before another attempt after one has failed.
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// notice is the outcome of a batch, for those who wait.
type notice struct {
	waiters []func(error)
	err     error
}

// Run is what writes; Replay starts it.
func (j *Journal) run() {
	_, _ = rand.Read(j.writer[:]) // it never fails
	j.running.Go(j.notify)
	j.running.Go(j.keepTidy)
	j.running.Go(func() {
		defer close(j.notices)
		spare := &batch{}
		var last time.Time
		crowd := false // whether several waited for the last batch
		for {
			var b *batch
			if b, crowd = j.take(spare, last, crowd); b == nil {
				return
			}
			last = time.Now()
			if !j.write(b) {
				return
			}
			j.metrics.commit.Observe(time.Since(last).Seconds())
			spare = b
		}
	})
}

// notify calls those who wait, so that the next batch is written meanwhile.
func (j *Journal) notify() {
	for n := range j.notices {
		for _, done := range n.waiters {
			done(n.err)
		}
	}
}

// take waits for something to write and takes it, nil when there is nothing more to
// come, and reports whether several wait for it.
func (j *Journal) take(spare *batch, last time.Time, crowd bool) (*batch, bool) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	since := time.Time{} // since when something waits
	for {
		j.look()
		j.mu.Lock()
		p := j.pending
		wait := time.Hour
		switch now := time.Now(); {
		case len(p.buf) == 0 && len(p.waiters) == 0:
			if j.closed {
				j.mu.Unlock()
				return nil, false
			}
		case j.closed, len(p.buf) > 1<<20:
			wait = 0
		case len(p.waiters) > 0:
			wait = 0
			if crowd {
				wait = time.Until(last.Add(linger))
			}
		default:
			if since.IsZero() {
				since = now
			}
			wait = time.Until(since.Add(lazy))
		}
		if wait <= 0 {
			j.mu.Unlock()
			j.groups.Lock() // until no group is half done
			j.mu.Lock()
			spare.reset()
			j.pending, j.flight = spare, p
			p.end, p.safe = j.next, j.next
			if oldest := j.live.front(); oldest != nil {
				p.safe = oldest.id
			}
			several := len(p.waiters) > 1
			j.mu.Unlock()
			j.groups.Unlock()
			return p, several
		}
		if j.full != nil {
			wait = min(wait, fullPause)
		}
		j.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-j.wake:
		case <-timer.C:
		case <-j.closing:
		}
	}
}

// look finds out whether the disk is full.
func (j *Journal) look() {
	err := j.server.Room(0, false)
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case err != nil && j.full == nil:
		j.log.Error().Err(err).Msg("the store takes nothing new: messages that need it are refused until there is room")
		j.full = &Refusal{Err: err, Code: codeQuotaExceeded}
		j.wakeTidy()
	case err == nil && j.full != nil:
		j.log.Info().Msg("the store has room again")
		j.full = nil
	}
}

// write writes a batch, however long it takes, and gives up only when Close does: then
// nothing may be written any more, because what comes later leans on it.
func (j *Journal) write(b *batch) bool {
	first := j.done
	from := 0
	for i := 0; i <= len(b.cuts); i++ {
		to, next := len(b.buf), b.end
		if i < len(b.cuts) {
			to, next = b.cuts[i].at, b.cuts[i].next
		}
		if to > from && !j.writeChunk(b, b.buf[from:to], first, next) {
			return false
		}
		from, first = to, next
	}
	j.mu.Lock()
	j.done, j.flight = b.end, nil
	wake := j.ledger.release(b.safe, j.options.Tidy, j.live.bytes, j.live.front()) || j.full != nil
	done := notice{waiters: append([]func(error){}, b.waiters...)}
	j.mu.Unlock()
	j.metrics.batches.Add(1)
	if len(done.waiters) > 0 {
		j.notices <- done
	}
	if wake {
		j.wakeTidy()
	}
	return true
}

// writeChunk writes the records from number first to next, and reports whether it
// did; that it did not is the end.
func (j *Journal) writeChunk(b *batch, records []byte, first, next uint64) bool {
	j.number++
	pause := firstPause
	sent, unsure := 0, false // whether the last message may be in the stream
	at := first              // the number of the next message's first record
	for sent < len(records) {
		n, err, seq := 0, error(nil), j.seq
		if unsure {
			n, unsure, err = j.settle(records[sent:], first)
		} else {
			n, unsure, err = j.publish(records[sent:], sent > 0)
		}
		if j.seq < seq {
			sent, at = 0, first // the stream has lost its end: a piece without those before it is none
		}
		if err == nil {
			if n > 0 {
				j.written(chunk{first: at, size: n})
				sent += n
				at = next // what is thrown away up to a further piece includes the first
			}
			continue
		}
		if !j.failed(b, err) {
			return false
		}
		select {
		case <-j.life.Done():
			j.failed(b, err) // this time without hope
			return false
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
		j.server.Mend(j.life)
	}
	return true
}

// written enters a message into the books and ends a time of failure.
func (j *Journal) written(c chunk) {
	j.seq++
	c.seq = j.seq
	j.metrics.bytes.Add(int64(c.size))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ledger.add(c)
	if j.err != nil {
		j.log.Info().Msg("the store takes changes again")
		j.err, j.failing, j.kept = nil, false, 0
	}
}

// failed notes why nothing is written, so that nothing new is taken, and reports whether
// to go on trying. Those who wait go on waiting: what they wait for is written as soon
// as anything is. They are told when there is no hope of that.
func (j *Journal) failed(b *batch, err error) bool {
	refusal := &Refusal{Err: err, Code: codeOf(err)}
	j.metrics.failures.Add(1)
	j.mu.Lock()
	if j.err == nil {
		j.log.Error().Err(err).Msg("the store takes no changes: messages that need it are refused until it does")
	}
	j.err, j.failing = refusal, true
	j.hopeless = j.life.Err() != nil || errors.Is(err, ErrTakenOver)
	var waiters []func(error)
	if j.hopeless {
		waiters = append(b.giveUp(), j.pending.giveUp()...)
		for _, l := range j.late {
			waiters = append(waiters, l.done)
		}
		j.late = nil
	}
	j.mu.Unlock()
	if len(waiters) > 0 {
		j.notices <- notice{waiters: waiters, err: refusal}
	}
	j.wakeTidy()
	return j.life.Err() == nil
}

// The error codes of a NATS server that has no room for a message.
// (https://github.com/nats-io/nats-server/blob/main/server/errors.json)
const (
	apiAccountLimit = 10002
	apiNoResources  = 10023
	apiMemoryLimit  = 10028
	apiStorageLimit = 10047
	apiStoreFailed  = 10077
)

// codeOf is the reason code for those who need a store that does not write because of
// err.
func codeOf(err error) byte {
	full := errors.Is(err, natsd.ErrFull)
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch int(api.ErrorCode) {
		case apiAccountLimit, apiNoResources, apiMemoryLimit, apiStorageLimit:
			full = true
		case apiStoreFailed: // for whatever reason: of a stream at its limit "maximum bytes exceeded"
			full = strings.HasPrefix(api.Description, "maximum ")
		}
	}
	if full {
		return codeQuotaExceeded
	}
	return codeImplementation
}

// The forms of a chunk, in its second byte: whole records, or a piece of one that is
// too large for a message.
const (
	version   = 1
	formWhole = 0
	formFirst = 1
	formNext  = 2
	formLast  = 3

	headSize = 18
)

// room is how many bytes of records fit into one message.
func (j *Journal) room() int {
	conn, _ := j.server.Link()
	most := int(conn.MaxPayload())
	if most <= 0 {
		most = 1 << 20
	}
	return most - 1024 // for the head and the message's headers
}

// publish writes records, or as much of them as fits into a message, and returns how
// much that was. After an error that leaves it unsure it may be there or not.
func (j *Journal) publish(records []byte, further bool) (n int, unsure bool, err error) {
	n = min(len(records), j.room())
	form := byte(formWhole)
	switch {
	case further && n == len(records):
		form = formLast
	case further:
		form = formNext
	case n < len(records):
		form = formFirst
	}
	_, life := j.server.Link()
	if err := context.Cause(life); err != nil {
		return 0, false, err
	}
	if err := j.server.Room(n, true); err != nil {
		return 0, false, err
	}
	ctx, cancel := context.WithTimeout(life, commitTimeout)
	defer cancel()
	stop := context.AfterFunc(j.life, cancel)
	defer stop()
	msg := &nats.Msg{Subject: j.subject(), Data: make([]byte, headSize, headSize+n)}
	msg.Data[0], msg.Data[1] = version, form
	copy(msg.Data[2:], j.writer[:])
	binary.LittleEndian.PutUint64(msg.Data[10:], j.number)
	msg.Data = append(msg.Data, records[:n]...)
	// Nobody else may write, and what is sent again after an answer was lost must not
	// be there twice.
	ack, err := j.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequence(j.seq), jetstream.WithRetryAttempts(0))
	if err != nil {
		if cause := context.Cause(life); cause != nil {
			err = cause
		}
		return 0, true, fmt.Errorf("the NATS server did not write: %w", err)
	}
	if ack.Sequence != j.seq+1 {
		return 0, true, fmt.Errorf("%w: message %d instead of %d", ErrTakenOver, ack.Sequence, j.seq+1)
	}
	return n, false, nil
}

// settle finds out whether the message whose answer did not come is in the stream,
// before it is sent again: then n is what it held. An error leaves it unsure.
func (j *Journal) settle(records []byte, first uint64) (n int, unsure bool, err error) {
	if _, life := j.server.Link(); life.Err() != nil {
		return 0, true, context.Cause(life)
	}
	if err := j.server.Room(0, true); err != nil {
		return 0, true, err
	}
	// What is thrown away under the number of a message must not be one that is written
	// anew under that number.
	j.cutting.Lock()
	defer j.cutting.Unlock()
	ctx, cancel := context.WithTimeout(j.life, commitTimeout)
	defer cancel()
	stream, err := j.stream(ctx)
	if err != nil {
		return 0, true, err
	}
	last := stream.CachedInfo().State.LastSeq
	switch {
	case last == j.seq:
		return 0, false, nil
	case last < j.seq:
		j.shorter(last, first)
		return 0, false, nil
	}
	msg, err := stream.GetMsg(ctx, j.seq+1)
	if err != nil {
		return 0, true, err
	}
	if len(msg.Data) < headSize || [8]byte(msg.Data[2:10]) != j.writer || binary.LittleEndian.Uint64(msg.Data[10:]) != j.number || last > j.seq+1 {
		return 0, true, ErrTakenOver
	}
	return min(len(msg.Data)-headSize, len(records)), false, nil
}

// shorter is called when the stream has lost its end, as a server without fsync may
// after a power cut: what it held is still known here, and written anew.
func (j *Journal) shorter(last, first uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	lost := j.ledger.cutOff(last)
	if lost == 0 {
		lost = first
	}
	j.log.Error().Uint64("stream", last).Uint64("expected", j.seq).Msg("the NATS server has lost what it had acknowledged: it is written anew")
	j.seq = last
	j.putAgain(lost, first)
}

func (j *Journal) wakeTidy() {
	select {
	case j.tidy <- struct{}{}:
	default:
	}
}
