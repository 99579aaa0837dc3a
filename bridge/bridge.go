// Package bridge takes published messages to functions and their answers back. A
// message goes Accept → outbox → action → function → reply; DESIGN.md beside this
// file tells the way. It knows no MQTT client and no configuration file: messages come
// in through [Bridge.Accept] and leave through a [Publisher].
package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/limitedlog"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
)

// MaxHops is how many rules in a row a message may pass: one that a rule publishes
// may match rules again, and a rule that feeds itself runs this often.
const MaxHops = 8

// Function is something that takes an event and gives an answer.
type Function = function.Function

// Publisher publishes a message as if a client had: replies and republished messages
// go out through it, and come back to [Bridge.Accept] with one hop more.
type Publisher interface {
	Publish(ctx context.Context, m *message.Message) error
}

// Pending tells when an accepted message is safe. Then calls f once: with nil when it
// is, with an error when it could not be made so.
type Pending = outbox.Pending

// Options are what a Bridge needs.
type Options struct {
	// Publisher takes what rules publish. It is needed.
	Publisher Publisher
	// MayReceive says whether the client that sent a message may receive from a
	// topic; asked before a Response Topic is answered. nil means never.
	MayReceive func(o message.Origin, topic string) bool
	// MayPublish says whether a function may publish to a topic that its answer names;
	// nil means that all may.
	MayPublish func(function, topic string, retain bool) bool
	// Store keeps the jobs of QoS 1 and 2 messages and the dead letters; nil: they are in
	// memory alone. The Bridge closes it at the end of Run.
	Store outbox.Log
	// Outbox bounds both queues, that of QoS 1 and 2 and that of QoS 0, and the dead
	// letters.
	Outbox outbox.Config
	// Drain is how long Run goes on with the work in memory after its context has
	// ended; 10 seconds if 0.
	Drain time.Duration
	// AccountID is what accountid() gives in rules; "000000000000" if empty.
	AccountID string
	// Descriptors finds protobuf descriptors for decode() in rules; may be nil.
	Descriptors func(ctx context.Context, bucket, key string) ([]byte, error)
	// Log and Metrics; the zero values discard.
	Log     zerolog.Logger
	Metrics prometheus.Registerer
	// Observe is told of every stage of every message, if it is not nil. It is
	// called from many goroutines, must not block, and must not keep or change the
	// event's Rules.
	Observe func(Event)
}

// Bridge is the way from messages to functions and back. Its methods are safe for
// concurrent use.
type Bridge struct {
	options  Options
	loaded   atomic.Pointer[loaded]
	durable  *outbox.Outbox // QoS 1 and 2
	volatile *outbox.Outbox // QoS 0
	hosts    *function.Hosts
	services *action.Services
	acks     acks
	env      env
	metrics  *metrics
	log      *limitedlog.Log
	ending   atomic.Bool // only what its own jobs cause is still taken
}

// New returns a Bridge without rules. Load gives it some; Run makes it work. The error
// is that of a Log that cannot be read.
func New(ctx context.Context, o Options) (*Bridge, error) {
	if o.MayReceive == nil {
		o.MayReceive = func(message.Origin, string) bool { return false }
	}
	if o.AccountID == "" {
		o.AccountID = "000000000000"
	}
	b := &Bridge{options: o, metrics: newMetrics(o.Metrics), log: limitedlog.New(o.Log), hosts: function.NewHosts(o.Metrics)}
	b.loaded.Store(&loaded{Program: emptyProgram(), replaced: make(chan struct{})})
	var err error
	b.durable, err = outbox.New(ctx, outbox.Options{
		Log: o.Store, Limits: o.Outbox.Limits(), Letters: o.Outbox.LetterLimits(), Gate: b.gate, Drain: o.Drain, Metrics: o.Metrics,
	})
	if err != nil {
		return nil, err
	}
	b.volatile, err = outbox.New(ctx, outbox.Options{
		Name: "qos0", Limits: o.Outbox.QoS0Limits(), Gate: b.gate, Drain: o.Drain, Metrics: o.Metrics,
	})
	if err != nil {
		return nil, err
	}
	b.env = env{b}
	b.services = &action.Services{
		Functions:  invoker{b},
		Poster:     poster{b},
		Publisher:  o.Publisher,
		MayReceive: o.MayReceive,
		MayPublish: o.MayPublish,
		Now:        time.Now,
	}
	return b, nil
}

// Load puts rules and functions in the place of those before, both at once: a message
// sees the old ones or the new ones and never some of each. Jobs that are under way
// keep the actions they were made with, and call the functions of now.
func (b *Bridge) Load(p *Program) {
	old := b.loaded.Swap(&loaded{Program: p, replaced: make(chan struct{})})
	close(old.replaced)
}

// loaded is the program that is in force.
type loaded struct {
	*Program
	replaced chan struct{} // closed when it is no more
}

// Run works the outbox off until ctx ends; then it takes no new messages for rules,
// so that there is an end to it, finishes what runs and, of what waits in memory, what
// it can in Options.Drain. It returns when no worker is left.
func (b *Bridge) Run(ctx context.Context) error {
	boxes := []*outbox.Outbox{b.durable, b.volatile}
	errs := make([]error, len(boxes))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		<-ctx.Done()
		b.ending.Store(true)
	})
	for i, box := range boxes {
		wg.Go(func() {
			defer cancel() // the end of one is the end of both
			errs[i] = box.Run(ctx, worker{b})
		})
	}
	wg.Wait()
	b.acks.close()
	b.log.Flush()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// The queues, by what their jobs wait for, and how many jobs run at once where no
// function says it.
const (
	queueLambda    = "lambda"
	queueHTTP      = "http"
	queueRepublish = "republish"
	queueEvaluate  = "evaluate"

	evaluateConcurrency = 16
)

func queueName(kind, name string) string { return kind + "/" + name }

// gate says how many jobs of a queue may run at once; with 0, until when none may.
func (b *Bridge) gate(queue string) (limit int, until time.Time) {
	kind, name, _ := strings.Cut(queue, "/")
	switch kind {
	case queueLambda:
		return b.loaded.Load().functions.Capacity(name)
	case queueHTTP:
		return b.hosts.Capacity(name)
	case queueEvaluate:
		return evaluateConcurrency, time.Time{}
	default:
		return 1, time.Time{} // republished messages keep their order
	}
}

// Close gives up a Bridge that has not been run.
func (b *Bridge) Close() error { return errors.Join(b.durable.Close(), b.volatile.Close()) }
