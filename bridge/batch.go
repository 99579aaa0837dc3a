package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// batchName names the jobs that may share an invocation: those of one action that go to
// one place.
func batchName(j *outbox.Job, a *action.Action) string {
	name := j.Rule + "/" + a.Path()
	if h := j.Spec.HTTP; h != nil {
		var b strings.Builder
		b.WriteString(name + " " + h.URL)
		for _, key := range slices.Sorted(maps.Keys(h.Headers)) {
			fmt.Fprintf(&b, "\n%s: %q", key, h.Headers[key])
		}
		return b.String()
	}
	return name
}

// doBatch makes one attempt of a batch.
//
// A batch whose function fails as a whole is tried again in halves, down to the single
// message, so that one message cannot take the others with it; only an attempt alone
// counts. What a function reports as failed is tried again as one job is; what has to
// be done again only because it stands behind such a message does not count either.
func (b *Bridge) doBatch(ctx context.Context, batch []*outbox.Work) {
	first := &batch[0].Job
	spec, kind, target := first.Delivery.Batch, first.Spec.Kind(), first.Spec.Resource()
	items := make([]*action.Item, len(batch))
	lanes := make(map[*action.Item]string, len(batch))
	for i, w := range batch {
		items[i] = &action.Item{Task: &w.Job.Task, Seq: w.Seq, Accepted: w.Job.Accepted, Tried: w.State.Tried}
		lanes[items[i]] = w.Job.Lane
		b.observe(Event{Stage: Started, Message: w.Job.Message, Rule: w.Job.Rule, Action: kind, Target: target, RequestID: w.Job.ID})
	}
	started := time.Now()
	err := b.attemptBatch(ctx, spec, items, func(i *action.Item) string { return lanes[i] })
	took := time.Since(started)
	b.metrics.batches.WithLabelValues(first.Rule).Observe(float64(len(batch)))
	for i, w := range batch {
		w.Result.Attempt.Took = took
		switch {
		case err != nil && len(batch) > 1 && takeApart(spec, &w.Job, err) && ctx.Err() == nil:
			b.split(w, err, 0)
			w.Result.Smaller = (len(batch) + 1) / 2
		case err != nil:
			b.conclude(ctx, w, err)
		case items[i].Err != nil && items[i].Behind && mayRetry(&w.Job):
			b.split(w, fmt.Errorf("a message before it in the batch failed: %w", items[i].Err), w.Job.Delivery.Wait(1))
		case items[i].Err != nil:
			b.conclude(ctx, w, items[i].Err)
		default:
			b.succeeded(&w.Job, items[i].Result, took)
			b.observe(Event{
				Stage: Finished, Message: w.Job.Message, Rule: w.Job.Rule, Action: kind, Target: target,
				RequestID: w.Job.ID, Duration: took, ReplyTopic: items[i].Result.ReplyTopic,
			})
			b.conclude(ctx, w, nil)
		}
	}
	if err != nil || spec.Format == action.FormatKinesis {
		together(batch)
	}
}

// takeApart reports whether a failed batch is tried again in smaller ones: if its
// function has failed, which one message may have caused, or if it is too large.
func takeApart(spec *action.BatchSpec, j *outbox.Job, err error) bool {
	return mayRetry(j) && (errors.Is(err, function.ErrPayloadTooLarge) || spec.Bisect && function.Classify(err) == function.Own)
}

// split has a job tried again without counting the attempt.
func (b *Bridge) split(w *outbox.Work, err error, wait time.Duration) {
	took := w.Result.Attempt.Took
	w.Result = outbox.Result{Verdict: outbox.Again, Split: true, Wait: wait, Attempt: attemptOf(err)}
	w.Result.Attempt.Took = took
	b.failedAttempt(w, err)
}

// together gives the jobs of a batch that have to be done again one wait, so that they
// come back as a batch.
func together(batch []*outbox.Work) {
	var longest time.Duration
	for _, w := range batch {
		if w.Result.Verdict == outbox.Again {
			longest = max(longest, w.Result.Wait)
		}
	}
	for _, w := range batch {
		if w.Result.Verdict == outbox.Again {
			w.Result.Wait = longest
		}
	}
}

// attemptBatch makes one attempt; see attempt.
func (b *Bridge) attemptBatch(ctx context.Context, spec *action.BatchSpec, items []*action.Item, inOrder func(*action.Item) string) (err error) {
	defer b.caught(items[0].Task.Rule, &err)
	return b.services.DoBatch(ctx, spec, items, inOrder)
}
