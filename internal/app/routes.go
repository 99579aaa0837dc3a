package app

import (
	"context"
	"errors"
	"maps"
	"net"
	"strconv"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/message"
)

// newDoor makes the door of plain WebSockets and HTTP streams.
func (a *app) newDoor(cfg *config.Config) error {
	a.grants = newGrants(a.auth, a.log)
	limits := cfg.Limits.Effective()
	var history grip.History // nil = in memory
	if a.durable.history != nil {
		history = a.durable.history
	}
	d, err := grip.New(grip.Options{
		Config:    cfg.Grip,
		History:   history,
		Space:     space{a.broker},
		Functions: byName{a.functions},
		Authorize: a.grants.authorize,
		Asks:      func() bool { return !a.authority.Open() },
		Defaults:  grip.Defaults{MaxMessage: limits.MaxPacketSize, MaxQueued: limits.WriteBuffer},
		Log:       a.log,
		Metrics:   a.metrics,
	})
	if err != nil {
		return err
	}
	d.Load(cfg.Routes)
	if d.HasHistory() {
		a.broker.Keep(d.Keep)
	}
	a.door = d
	a.tellFunctions(cfg)
	return a.newGateway(cfg)
}

// tellFunctions sees to it that the processes of functions behind the routes of cfg
// know where to publish, and where @connections is.
func (a *app) tellFunctions(cfg *config.Config) {
	a.functions.environ.Store(new(func(function string) map[string]string {
		all := make(map[string]string)
		for _, r := range cfg.Routes {
			if r.Uses(function) {
				maps.Copy(all, a.gripEnviron())
			}
		}
		maps.Copy(all, a.inner.environ(function))
		return all
	}))
}

func (a *app) gripEnviron() map[string]string {
	if a.web == nil {
		return nil
	}
	if len(a.web.listeners) == 0 {
		return nil
	}
	l, scheme := a.web.listeners[0], "http"
	if l.secure {
		scheme = "https"
	}
	return map[string]string{"GRIP_URL": a.door.GripURL(scheme + "://" + reachable(l.Addr()))}
}

// reachable is an address at which a program on this machine reaches a listener.
func reachable(addr net.Addr) string {
	t, ok := addr.(*net.TCPAddr)
	if !ok || !t.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(t.Port))
}

// space is the broker as the door sees it.
type space struct{ b *broker.Broker }

func (s space) Publish(ctx context.Context, m *message.Message) error { return s.b.Publish(ctx, m) }

func (s space) PublishLocal(m *message.Message) error { return s.b.PublishLocal(m) }

func (s space) Watch(f func(*message.Message)) { s.b.Watch(f) }

func (s space) Subscribers(topic string) int { return s.b.Subscribers(topic) }

func (s space) Subscriber(may func(topic string) bool, receive grip.Receive) grip.Subscriber {
	return s.b.NewLocal(broker.LocalOptions{May: may, Receive: receive})
}

func (s space) Holder(may func(topic string) bool, receive grip.Receive) grip.Subscriber {
	return s.b.NewLocal(broker.LocalOptions{May: may, Receive: receive, Signals: true})
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
