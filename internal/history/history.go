// Package history keeps the history of the topics that have one in JetStream, in a
// stream of its own: what a client has missed can be had after a restart too. Reading
// goes to memory; the stream is read once, at the start, and written behind: a crash
// loses what was published in the last moments, and a place that a client remembers
// stays good.
package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// Server is the NATS server that keeps the stream; *natsd.Server is one.
type Server interface {
	// Link is the connection, and a context that ends when it is lost.
	Link() (*nats.Conn, context.Context)
	// Stream is the name of the server's main stream and the number of its replicas.
	Stream() (name string, replicas int)
}

// Options are what a Stream needs beside its server.
type Options struct {
	Config  grip.HistoryConfig
	Log     zerolog.Logger
	Metrics prometheus.Registerer // may be nil
}

// Stream is a [grip.History]. Make one with Open and close it after the door has ended.
type Stream struct {
	server  Server
	memory  *grip.Memory
	log     zerolog.Logger
	failed  prometheus.Counter
	subject string

	mu     sync.Mutex
	conn   *nats.Conn
	js     jetstream.JetStream
	logged time.Time // when the log was last told of a failure
}

// record is a message as the stream has it.
type record struct {
	Seq     uint64           `json:"seq"`
	Message *message.Message `json:"message"`
	Item    *wire.Item       `json:"item,omitempty"`
}

const (
	// readWait bounds the wait for the next messages while the stream is read.
	readWait = 10 * time.Second
	// closeWait bounds the wait for what is still to be written.
	closeWait = 5 * time.Second
	// logEvery is how often the log is told of failures.
	logEvery = time.Minute
	// readAtOnce is how many messages are asked for at a time.
	readAtOnce = 1000
)

// Open finds the stream, or makes it, and reads it.
func Open(ctx context.Context, server Server, o Options) (*Stream, error) {
	name, replicas := server.Stream()
	s := &Stream{
		server: server, memory: grip.NewMemory(o.Config), log: o.Log.With().Str("part", "history").Logger(),
		subject: "topicwire.history." + name,
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "topicwire_history_failed_total", Help: "Messages that are in the history only until the server ends: the store did not take them.",
		}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(s.failed)
	}
	js, err := s.jetStream()
	if err != nil {
		return nil, fmt.Errorf("the history could not be opened: %w", err)
	}
	most, bytes, age := o.Config.Bounds()
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: name + "_history", Subjects: []string{s.subject}, Description: "topicwire's history of topics",
		Storage: jetstream.FileStorage, Replicas: replicas, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxMsgs: int64(most), MaxBytes: 2 * int64(bytes), // the records have more to them than the messages
		MaxAge: age, AllowDirect: true,
	})
	if err != nil {
		return nil, fmt.Errorf("the history could not be opened: %w", err)
	}
	list, err := read(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("the history could not be read: %w", err)
	}
	s.memory.Restore(list)
	return s, nil
}

// jetStream is the interface to the server on its present connection.
func (s *Stream) jetStream() (jetstream.JetStream, error) {
	conn, _ := s.server.Link()
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn == s.conn {
		return s.js, nil
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
		s.fails(err)
	}), jetstream.WithPublishAsyncTimeout(readWait))
	if err != nil {
		return nil, err
	}
	s.conn, s.js = conn, js
	return js, nil
}

// read reads the whole stream.
func read(ctx context.Context, stream jetstream.Stream) ([]grip.Kept, error) {
	info, err := stream.Info(ctx)
	if err != nil || info.State.Msgs == 0 {
		return nil, err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	list := make([]grip.Kept, 0, info.State.Msgs)
	for last := uint64(0); last < info.State.LastSeq; {
		batch, err := consumer.Fetch(readAtOnce, jetstream.FetchMaxWait(readWait))
		if err != nil {
			return nil, err
		}
		before := last
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return nil, err
			}
			last = meta.Sequence.Stream
			var r record
			if json.Unmarshal(m.Data(), &r) == nil && r.Message != nil { // one that cannot be read is as good as forgotten
				list = append(list, grip.Kept{Seq: r.Seq, Message: r.Message, Item: r.Item})
			}
			if last >= info.State.LastSeq {
				break
			}
		}
		if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return nil, err
		}
		if last == before {
			return nil, fmt.Errorf("%d of its messages did not come", info.State.LastSeq-last)
		}
	}
	return list, nil
}

// Append adds a message and returns its place. It waits for no disk: the message is in
// memory at once and in the stream soon after.
func (s *Stream) Append(ctx context.Context, m *message.Message, i *wire.Item) (uint64, error) {
	seq, err := s.memory.Append(ctx, m, i)
	if err != nil {
		return 0, err
	}
	data, err := json.Marshal(record{seq, m, i})
	if err == nil {
		var js jetstream.JetStream
		if js, err = s.jetStream(); err == nil {
			_, err = js.PublishAsync(s.subject, data, jetstream.WithStallWait(time.Millisecond))
		}
	}
	if err != nil {
		s.fails(err)
	}
	return seq, nil
}

// fails takes note of a message that did not reach the stream.
func (s *Stream) fails(err error) {
	s.failed.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.logged) >= logEvery { // the metric counts them all
		s.logged = now
		s.log.Error().Err(err).Msg("the store does not take the history: what is published now is kept in memory only")
	}
}

// After returns what comes after a place.
func (s *Stream) After(ctx context.Context, filters []string, seq uint64, most int) ([]grip.Kept, bool, error) {
	return s.memory.After(ctx, filters, seq, most)
}

// Close waits until what was appended has been written, within a limit.
func (s *Stream) Close() error {
	s.mu.Lock()
	js := s.js
	s.mu.Unlock()
	limit := time.NewTimer(closeWait)
	defer limit.Stop()
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-limit.C:
		return fmt.Errorf("history: %d messages were not written in time", js.PublishAsyncPending())
	}
}
