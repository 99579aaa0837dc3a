package action

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// RetryConfig says how hard to try an action. What is left out is as with AWS's
// asynchronous invocation, but for shorter waits after a function's own failure.
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html)
type RetryConfig struct {
	MaxAttempts int           `yaml:"max_attempts" jsonschema:"minimum=0,example=5" jsonschema_description:"How many attempts to make at most, whatever they fail of; 1: no retry. Left out, 3 if the function itself fails, and as many as max_age allows for throttles, server errors (5xx) and connections that fail."`
	MaxAge      time.Duration `yaml:"max_age" jsonschema:"example=1h" jsonschema_description:"How long after a message was accepted an attempt may begin; 6 hours if left out. An older message is given up."`
	Backoff     *Backoff      `yaml:"backoff" jsonschema_description:"How long to wait between attempts."`
}

// Backoff bounds the waits between attempts: each is drawn at random from zero up to a
// bound that doubles (full jitter).
type Backoff struct {
	Min time.Duration `yaml:"min" jsonschema:"example=1s" jsonschema_description:"The longest first wait; 1 second if left out. It doubles with every attempt."`
	Max time.Duration `yaml:"max" jsonschema:"example=5m" jsonschema_description:"The longest wait of all; 5 minutes if left out."`
}

// The defaults of retries: AWS's, but for the waits after a function's own failure,
// which are 1 and 2 minutes there. Here somebody may be watching.
const (
	DefaultOwnAttempts = 3
	DefaultMaxAge      = 6 * time.Hour
	DefaultBackoffMin  = time.Second
	DefaultBackoffMax  = 5 * time.Minute

	maxAttempts = 10_000
	longestAge  = 14 * 24 * time.Hour // as dead letters are kept
)

func (r *RetryConfig) check(report Report) {
	if r == nil {
		return
	}
	if r.MaxAttempts < 0 || r.MaxAttempts > maxAttempts {
		report("max_attempts", fmt.Sprintf("%d is out of range", r.MaxAttempts), fmt.Sprintf("use 1 (no retry) to %d", maxAttempts))
	}
	if r.MaxAge < 0 || r.MaxAge > longestAge {
		report("max_age", fmt.Sprintf("%s is out of range", r.MaxAge), "write a duration up to 336h, such as 6h")
	}
	b := r.Backoff
	if b == nil {
		return
	}
	lowest, highest := b.bounds()
	switch {
	case b.Min < 0:
		report("backoff.min", "is negative", "write a duration such as 1s")
	case b.Max < 0:
		report("backoff.max", "is negative", "write a duration such as 5m")
	case lowest > highest:
		report("backoff.min", fmt.Sprintf("%s is longer than max, %s", lowest, highest), "make min the shorter one")
	}
}

func (b *Backoff) bounds() (lowest, highest time.Duration) {
	lowest, highest = DefaultBackoffMin, DefaultBackoffMax
	if b != nil && b.Min > 0 {
		lowest = b.Min
	}
	if b != nil && b.Max > 0 {
		highest = b.Max
	}
	return lowest, highest
}

// The keywords of ordered_by; anything else is an expression.
const (
	orderClient = "client"
	orderTopic  = "topic"
	orderNone   = "none"
)

// Delivery is how an action's jobs are to be worked off. It is plain data, immutable,
// and shared by all jobs of the action. A nil Delivery is the defaults.
type Delivery struct {
	Retry *RetrySpec `json:"retry,omitempty"`
	Batch *BatchSpec `json:"batch,omitempty"`
}

// RetrySpec is a checked RetryConfig.
type RetrySpec struct {
	Attempts int           `json:"attempts,omitempty"` // whatever they fail of; 0: by the kind of failure
	MaxAge   time.Duration `json:"max_age"`            // nanoseconds
	Min      time.Duration `json:"min"`
	Max      time.Duration `json:"max"`
}

// Age is how old a job may become before it is given up; 0 for a nil Delivery, whose
// jobs are as old as the worker lets them.
func (d *Delivery) Age() time.Duration {
	if d == nil || d.Retry == nil {
		return DefaultMaxAge
	}
	return d.Retry.MaxAge
}

// retry is the policy; the default if there is none.
func (d *Delivery) retry() RetrySpec {
	if d == nil || d.Retry == nil {
		return RetrySpec{MaxAge: DefaultMaxAge, Min: DefaultBackoffMin, Max: DefaultBackoffMax}
	}
	return *d.Retry
}

// Retries reports whether retries are asked for, for messages that get none otherwise.
func (d *Delivery) Retries() bool { return d != nil && d.Retry != nil }

// MayTry reports whether another attempt may follow after so many that have failed, and
// so many of those of the function itself. own says that the last one was one of them.
func (d *Delivery) MayTry(tried, ownTried int, own bool) bool {
	switch most := d.retry().Attempts; {
	case most > 0:
		return tried < most
	case own:
		return ownTried < DefaultOwnAttempts
	default:
		return true
	}
}

// Wait is how long to wait after so many failed attempts: at random between zero and
// the doubled minimum, at most the maximum.
func (d *Delivery) Wait(tried int) time.Duration {
	r := d.retry()
	bound := r.Min
	for i := 1; i < tried && bound < r.Max; i++ {
		bound *= 2
	}
	bound = min(bound, r.Max)
	return rand.N(bound) + 1 //nolint:gosec // it spreads load and keeps no secret
}

// delivery makes the plain form of a checked Config's settings; nil if there are none.
func (c Config) delivery(kind string) *Delivery {
	if c.Retry == nil && c.Batch == nil {
		return nil
	}
	d := &Delivery{}
	if r := c.Retry; r != nil {
		d.Retry = &RetrySpec{Attempts: r.MaxAttempts, MaxAge: r.MaxAge}
		if r.MaxAge == 0 {
			d.Retry.MaxAge = DefaultMaxAge
		}
		d.Retry.Min, d.Retry.Max = r.Backoff.bounds()
	}
	if c.Batch != nil {
		d.Batch = c.Batch.spec(kind)
	}
	return d
}

// order compiles ordered_by.
func (c *compiler) order(expression string) (o order) {
	switch expression {
	case "", orderNone:
	case orderClient, orderTopic:
		o.by = expression
	default:
		before := len(c.errs)
		o.by, o.source = "expression", expression
		o.key = c.field("ordered_by", "${"+expression+"}")
		o.outside = c.outside
		for i := before; i < len(c.errs); i++ {
			if e, ok := errors.AsType[*Error](c.errs[i]); ok {
				e.Remedy = "write client, topic, none, or an expression such as device.id"
			}
		}
	}
	return o
}

// order is a compiled ordered_by.
type order struct {
	by      string // empty: none
	source  string // of an expression
	key     field
	outside bool
}
