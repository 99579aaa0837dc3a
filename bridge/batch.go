package bridge

import (
	"context"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
)

func batchName(j *outbox.Job, a *action.Action) string { return j.Rule + "/" + a.Path() }

func (b *Bridge) doBatch(ctx context.Context, batch []*outbox.Work) {
	for _, w := range batch {
		b.conclude(ctx, w, b.act(ctx, w))
	}
}
