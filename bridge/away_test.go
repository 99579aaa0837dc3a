package bridge_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// absent is a diary that is away at times: then it takes nothing new.
type absent struct {
	diary
	away atomic.Bool
}

func (d *absent) Put(entries []outbox.Entry, must bool) (outbox.Pending, error) {
	if d.away.Load() && !must {
		return nil, &outbox.Refusal{Err: storeAway{}, Code: 0x83}
	}
	return d.diary.Put(entries, must)
}

// A store that is away when a statement's function has answered costs nothing: the
// message was acknowledged, so its actions are done.
func TestStoreIsAwayWhenAStatementIsEvaluated(t *testing.T) {
	d := &absent{}
	var acted attempts
	f := functions{
		"g": func(_ context.Context, p []byte) ([]byte, error) { d.away.Store(true); return p, nil },
		"f": func(context.Context, []byte) ([]byte, error) { acted.count(); return nil, nil },
	}
	r := []bridge.RuleConfig{rule("r", "SELECT aws_lambda('g', *) AS g FROM 'in'", lambda("f"))}
	virtual(t, bridge.Options{Store: d}, r, f, func(t *testing.T, b *bridge.Bridge, _ *broker) {
		t.Helper()
		accept(t, b, msg("in", "{}"))
		after(time.Minute)
		d.away.Store(false)
		after(time.Hour)
		if n := acted.total(); n != 1 {
			t.Errorf("the action was done %d times", n)
		}
		if n := len(d.copied().kept); n != 0 {
			t.Errorf("%d entries are kept", n)
		}
	})
}

// The same for an error action.
func TestStoreIsAwayWhenAnErrorActionIsDue(t *testing.T) {
	d := &absent{}
	f := functions{"throws": func(context.Context, []byte) ([]byte, error) { d.away.Store(true); return nil, errThrown }}
	r := []bridge.RuleConfig{withError(rule("r", "SELECT * FROM 'in'", once(lambda("throws"))), republish("errors"))}
	virtual(t, bridge.Options{Store: d}, r, f, func(t *testing.T, b *bridge.Bridge, out *broker) {
		t.Helper()
		accept(t, b, msg("in", "{}"))
		after(time.Minute)
		d.away.Store(false)
		after(time.Hour)
		if n := len(out.all()); n != 1 {
			t.Errorf("%d error actions", n)
		}
	})
}

// A job that newer ones push out has ended: for the publisher that waits for it, and for
// the other actions of its rule, whose failure the error action is told.
func TestPushedOutJobHasEnded(t *testing.T) {
	f := functions{"down": throws(errServer), "throws": throws(errThrown)}
	waits := rule("waits", "SELECT * FROM 'waits'", lambda("down"))
	waits.Ack = "done"
	two := withError(rule("two", "SELECT * FROM 'two'", lambda("down"), once(lambda("throws"))), republish("errors"))
	o := bridge.Options{Outbox: outbox.Config{MaxJobs: 2, WhenFull: "drop_oldest"}}
	virtual(t, o, []bridge.RuleConfig{waits, two}, f, func(t *testing.T, b *bridge.Bridge, out *broker) {
		t.Helper()
		acked := make(chan error, 1)
		p, err := b.Accept(t.Context(), msg("waits", "{}"))
		if err != nil {
			t.Fatal(err)
		}
		p.Then(func(err error) { acked <- err })
		synctest.Wait()
		accept(t, b, msg("two", "{}"))
		synctest.Wait()
		select {
		case err := <-acked:
			if why, ok := errors.AsType[*bridge.NotDoneError](err); !ok || why.ReasonCode() != 0x97 {
				t.Errorf("got %v", err)
			}
		default:
			t.Error("its publisher still waits")
		}
		accept(t, b, msg("two", "{}"))
		synctest.Wait()
		if all := out.all(); len(all) != 1 || !strings.Contains(string(all[0].Payload), `"failedResource":"throws"`) {
			t.Errorf("published: %+v", all)
		}
	})
}

// A mistake in a statement that is evaluated later ends its job, and not the program: the
// job would do the same at every start.
func TestPanicInAStatementIsAFailure(t *testing.T) {
	f := functions{"panics": func(context.Context, []byte) ([]byte, error) { panic("on purpose") }, "f": echo}
	r := withError(rule("r", "SELECT aws_lambda('panics', *) AS g FROM 'in'", lambda("f")), republish("errors"))
	virtual(t, bridge.Options{}, []bridge.RuleConfig{r}, f, func(t *testing.T, b *bridge.Bridge, out *broker) {
		t.Helper()
		accept(t, b, msg("in", "{}"))
		after(time.Hour)
		if all := out.all(); len(all) != 1 || !strings.Contains(string(all[0].Payload), "internal error: on purpose") {
			t.Errorf("published: %+v", all)
		}
	})
}
