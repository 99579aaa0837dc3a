package app

import (
	"context"

	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
)

// durable is what outlives the process: the server that keeps it, the journal on it, and
// the rooms' parts of the journal. With store.dir: memory all of it is nil.
type durable struct {
	server  *natsd.Server
	journal *journal.Journal
	store   *store.Durable
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
	a.durable.store = store.NewDurable(j)
	if err := j.Replay(ctx); err != nil {
		return err
	}
	a.durable.journal = j
	a.log.Info().Str("store", server.Place()).Msg("store opened")
	return nil
}

// closeStore is the last thing the program does: the rooms have ended.
func (a *app) closeStore() {
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

// storeProblem is why the store takes nothing now.
func (a *app) storeProblem() error {
	if a.durable.journal == nil {
		return nil
	}
	return a.durable.journal.Err()
}
