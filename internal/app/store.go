package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/history"
	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
)

// durable is what outlives the process: the server that keeps it, the journal on it, and
// the rooms' parts of the journal. With store.dir: memory all of it is nil.
type durable struct {
	server  *natsd.Server
	journal *journal.Journal
	store   *store.Durable
	outbox  *outbox.JournalLog
	history *history.Stream // nil without topics that have one
}

// openStore opens what the configuration's store section says and reads it.
func (a *app) openStore(ctx context.Context, cfg *config.Config) error {
	if cfg.Store.InMemory() {
		return nil
	}
	server, err := natsd.Open(ctx, cfg.Store, a.log)
	if err != nil {
		return err
	}
	a.durable.server = server
	j := journal.New(server, journal.Options{Log: a.log, Metrics: a.metrics})
	a.durable.store, a.durable.outbox = store.NewDurable(j), outbox.NewJournalLog(j)
	if err := j.Replay(ctx); err != nil {
		return unusable(server.Place(), err)
	}
	a.durable.journal = j
	if len(cfg.Grip.History.Topics) > 0 {
		if a.durable.history, err = history.Open(ctx, server, history.Options{Config: cfg.Grip.History, Log: a.log, Metrics: a.metrics}); err != nil {
			return err
		}
	}
	a.log.Info().Str("store", server.Place()).Msg("store opened")
	return nil
}

// unusable says which store cannot be used, and what to do about it.
func unusable(place string, err error) error {
	switch {
	case errors.Is(err, journal.ErrVersion):
		return fmt.Errorf("store %s: %w: start the version that wrote it, or move the store away to begin with nothing", place, err)
	case errors.Is(err, journal.ErrCorrupt):
		return fmt.Errorf("store %s: %w: restore the store from a backup, or move it away to begin with nothing", place, err)
	default:
		return fmt.Errorf("store %s: %w", place, err)
	}
}

// closeStore is the last thing the program does: the rooms have ended.
func (a *app) closeStore() {
	if h := a.durable.history; h != nil {
		if err := h.Close(); err != nil {
			a.log.Error().Err(err).Msg("the history was not written to its end")
		}
	}
	if j := a.durable.journal; j != nil {
		if err := j.Close(); err != nil {
			a.log.Error().Err(err).Msg("the store was not closed in good order")
		}
	}
	if s := a.durable.server; s != nil {
		s.Close()
	}
}

// brokerStore is the broker's part of the store; nil means in memory.
func (a *app) brokerStore() store.Store {
	if a.durable.store == nil {
		return nil
	}
	return a.durable.store
}

// bridgeStore is the bridge's part of the store; nil means in memory.
func (a *app) bridgeStore() outbox.Log {
	if a.durable.outbox == nil {
		return nil
	}
	return a.durable.outbox
}

// storeProblem is why the store takes nothing now.
func (a *app) storeProblem() error {
	if a.durable.journal == nil {
		return nil
	}
	if err := a.durable.journal.Err(); err != nil {
		return err
	}
	return a.durable.server.Away() // nobody may have had anything to write since
}
