package app

import (
	"context"
	"errors"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/message"
)

// newDoor makes the door of plain WebSockets and HTTP streams.
func (a *app) newDoor(cfg *config.Config) error {
	limits := cfg.Limits.Effective()
	d, err := grip.New(grip.Options{
		Config:    cfg.Grip,
		Space:     space{a.broker},
		Functions: byName{a.functions},
		Defaults:  grip.Defaults{MaxMessage: limits.MaxPacketSize, MaxQueued: limits.WriteBuffer},
		Log:       a.log,
		Metrics:   a.metrics,
	})
	if err != nil {
		return err
	}
	d.Load(cfg.Routes)
	a.door = d
	return a.newGateway(cfg)
}

// space is the broker as the door sees it.
type space struct{ b *broker.Broker }

func (s space) Publish(ctx context.Context, m *message.Message) error { return s.b.Publish(ctx, m) }

func (s space) PublishLocal(m *message.Message) error { return s.b.PublishLocal(m) }

func (s space) Subscribers(topic string) int { return s.b.Subscribers(topic) }

func (s space) Subscriber(may func(topic string) bool, receive grip.Receive) grip.Subscriber {
	return s.b.NewLocal(broker.LocalOptions{May: may, Receive: receive})
}

// byName invokes the functions of the configuration that holds now.
type byName struct{ f *functions }

func (n byName) Invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	for tries := 0; ; tries++ {
		f, err := n.f.current().Lookup(name)
		if err != nil {
			return nil, err
		}
		out, err := f.Invoke(ctx, payload)
		if !errors.Is(err, function.ErrRetired) || tries == 3 || ctx.Err() != nil {
			return out, err
		}
		// A reload has replaced it before it began: there is a newer one by now.
	}
}
