package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// subject is what the stream's messages are published to.
func (j *Journal) subject() string {
	name, _ := j.server.Stream()
	return "topicwire.journal." + name
}

// stream finds the stream, or makes it.
func (j *Journal) stream(ctx context.Context) (jetstream.Stream, error) {
	name, replicas := j.server.Stream()
	stream, err := j.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = j.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: name, Subjects: []string{j.subject()}, Description: "topicwire's sessions, messages and outbox",
			Storage: jetstream.FileStorage, Replicas: replicas, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
			MaxMsgs: -1, MaxBytes: -1, MaxConsumers: -1, AllowDirect: true, Duplicates: time.Second,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	config := stream.CachedInfo().Config
	if subjects := config.Subjects; len(subjects) != 1 || subjects[0] != j.subject() {
		return nil, fmt.Errorf("stream %s is not topicwire's: it takes %s: set store.nats.stream to another name", name, strings.Join(subjects, ", "))
	}
	if what := forgets(&config); what != "" {
		return nil, fmt.Errorf("stream %s throws messages away by itself (%s), and with them what was promised: change that with nats stream edit", name, what)
	}
	return stream, nil
}

// forgets is what makes a stream lose messages that nobody has thrown away; empty if
// nothing does.
func forgets(c *jetstream.StreamConfig) string {
	bounded := c.MaxMsgs > 0 || c.MaxBytes > 0 || c.MaxMsgsPerSubject > 0
	switch {
	case c.MaxAge > 0:
		return "max_age " + c.MaxAge.String()
	case c.Retention != jetstream.LimitsPolicy:
		return "retention " + c.Retention.String()
	case bounded && c.Discard == jetstream.DiscardOld:
		return "discard old"
	default:
		return ""
	}
}

// fetchBytes is how much of the stream is under way at a time while it is read.
const fetchBytes = 32 << 20

// Replay reads the journal and hands every record to its owner. From then on the
// journal takes records; Close has to be called.
func (j *Journal) Replay(ctx context.Context) error {
	conn, _ := j.server.Link()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("the store could not be opened: %w", err)
	}
	j.js = js
	stream, err := j.stream(ctx)
	if err != nil {
		return fmt.Errorf("the store could not be opened: %w", err)
	}
	state := stream.CachedInfo().State
	j.mu.Lock()
	err = j.readAll(ctx, stream, state)
	for p := 0; err == nil && p < len(j.owners); p++ {
		if j.owners[p] != nil {
			err = j.owners[p].Replayed()
		}
	}
	j.mu.Unlock()
	if err != nil {
		return fmt.Errorf("the store could not be read: %w", err)
	}
	j.seq = state.LastSeq
	j.done = j.next
	j.run() //nolint:contextcheck // what writes lives until Close
	// A record of nobody's: whoever has written here before learns that it is over, and
	// not only when there is something to write.
	j.mu.Lock()
	j.End(j.Begin(Bodies))
	j.mu.Unlock()
	j.wakeTidy()
	return nil
}

func (j *Journal) readAll(ctx context.Context, stream jetstream.Stream, state jetstream.StreamState) error {
	if state.Msgs == 0 {
		return nil
	}
	if n := state.LastSeq - state.FirstSeq + 1; n != state.Msgs {
		return fmt.Errorf("%w: %d of its %d messages are missing", ErrCorrupt, n-state.Msgs, n)
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxBytes(fetchBytes))
	if err != nil {
		return err
	}
	defer messages.Stop()
	r := replay{j: j}
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("at message %d of %d: %w", seq, state.LastSeq, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if at := meta.Sequence.Stream; at != seq {
			if info, err := stream.Info(ctx); err != nil || info.State.FirstSeq != at {
				return errors.Join(fmt.Errorf("%w: message %d is missing", ErrCorrupt, seq), err)
			}
			seq = at // what the process before was about to throw away has gone meanwhile
		}
		if err := r.chunk(seq, msg.Data()); err != nil {
			return fmt.Errorf("message %d: %w", seq, err)
		}
	}
	return nil
}

// replay puts records together again.
type replay struct {
	j     *Journal
	piece []byte // of a record that spans several messages
	parts bool   // piece has begun
	began int    // the second of its messages in the ledger
}

func (r *replay) chunk(seq uint64, data []byte) error {
	j := r.j
	if len(data) < headSize {
		return fmt.Errorf("%w: it is too short", ErrCorrupt)
	}
	if data[0] != version {
		return fmt.Errorf("%w: it is %d, and this version knows %d", ErrVersion, data[0], version)
	}
	l := &j.ledger
	l.add(chunk{seq: seq, first: j.next, size: len(data) - headSize})
	body := data[headSize:]
	switch data[1] {
	case formWhole:
		r.parts = false // a record without an end was never acknowledged
		return r.records(body)
	case formFirst:
		r.piece, r.parts, r.began = append(r.piece[:0], body...), true, len(l.chunks)
		return nil
	case formNext, formLast:
		if !r.parts {
			return fmt.Errorf("%w: the beginning of a record is missing", ErrCorrupt)
		}
		r.piece = append(r.piece, body...)
		if data[1] == formNext {
			return nil
		}
		r.parts = false
		err := r.records(r.piece)
		for i := r.began; i < len(l.chunks); i++ {
			l.chunks[i].first = j.next // as when they were written: see writeChunk
		}
		return err
	default:
		return fmt.Errorf("%w: form %d", ErrVersion, data[1])
	}
}

func (r *replay) records(b []byte) error {
	j := r.j
	for len(b) > 0 {
		if len(b) < lengthSize+1 {
			return fmt.Errorf("%w: a record ends too early", ErrCorrupt)
		}
		n := int(binary.LittleEndian.Uint32(b))
		b = b[lengthSize:]
		if n < 1 || n > len(b) {
			return fmt.Errorf("%w: a record of %d bytes where %d are left", ErrCorrupt, n, len(b))
		}
		if n == 1 && Part(b[0]) == Bodies { // see Replay
			j.next++
			b = b[n:]
			continue
		}
		part := Part(b[0])
		if part >= parts || j.owners[part] == nil {
			return fmt.Errorf("%w: a record of part %d", ErrVersion, part)
		}
		j.start = n + lengthSize // what Restored takes for its size
		if err := j.owners[part].Replay(b[1:n]); err != nil {
			return fmt.Errorf("part %d: %w", part, err)
		}
		j.next++
		b = b[n:]
	}
	return nil
}
