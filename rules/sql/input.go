package sql

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/topicwire/topicwire/message"
)

// Env is what a statement may ask of the world around it.
type Env interface {
	// Now is the engine's clock. It is asked once per Input, so that all rules see
	// a message at the same time.
	Now() time.Time
	// AccountID is what accountid() gives: the AWS account, or what stands for it.
	AccountID() string
	// Invoke calls the function that aws_lambda() names, waits for it and returns
	// its answer. ctx ends after two seconds, AWS's limit.
	Invoke(ctx context.Context, functionARN string, payload []byte) ([]byte, error)
	// Descriptors returns a serialised protobuf FileDescriptorSet, which decode()
	// names by an S3 bucket and key.
	Descriptors(ctx context.Context, bucket, key string) ([]byte, error)
}

// Input is one message as rules see it: its payload is looked at when a rule first
// needs it, and at most once however many rules run over it. It also holds the
// memory that a run works in. It is not safe for concurrent use.
type Input struct {
	m   *message.Message
	env Env

	payload payload
	now     time.Time
	trace   string
	sets    []variableSet // the SET variables of the programs that have run

	// What follows belongs to the run under way.
	ctx       context.Context
	whole     bool // a number whose value is whole is an Int
	version   Version
	variables []value
	err       error // the first failure; it ends the run
	fatal     bool  // err cannot be caught by get_or_default
	work      int   // how much work is left
	scopes    []scope
	stack     []value // arguments of the calls under way
	buffer    []byte  // of the output under way
	scratch   []byte  // of what is measured meanwhile
}

// scope is one element that a nested query looks at.
type scope struct {
	alias string
	item  value
}

// variableSet are the values of a program's SET variables for this message.
type variableSet struct {
	of     *Program
	values []value
}

// inputs saves the memory of one message for the next. What is in it cannot be seen
// from outside.
var inputs = sync.Pool{New: func() any { return new(Input) }}

// NewInput prepares a message for the rules it matches. The message must not change
// as long as the input is in use. Call Release when the last rule and template have
// run; to forget it costs speed and nothing else.
func NewInput(m *message.Message, env Env) *Input {
	in, _ := inputs.Get().(*Input)
	in.m, in.env = m, env
	in.payload.reset(m.Payload)
	return in
}

// Release gives the input's memory back. The input must not be used after that;
// what its runs returned stays valid.
func (in *Input) Release() {
	// Do not hold on to the memory of a giant.
	const keep, manyArguments = 64 << 10, 256
	in.m, in.env, in.ctx, in.err = nil, nil, nil, nil
	in.payload.reset(nil)
	in.now, in.trace = time.Time{}, ""
	in.variables = nil
	clear(in.sets)
	in.sets = in.sets[:0]
	clear(in.scopes[:cap(in.scopes)])
	if clear(in.stack[:cap(in.stack)]); cap(in.stack) > manyArguments {
		in.stack = nil
	}
	if cap(in.buffer) > keep {
		in.buffer = nil
	}
	if cap(in.scratch) > keep {
		in.scratch = nil
	}
	inputs.Put(in)
}

// begin starts a run.
func (in *Input) begin(ctx context.Context, v Version) {
	in.ctx, in.version, in.whole = ctx, v, v.modern()
	in.err, in.fatal, in.work = nil, false, maxWork
	in.scopes, in.stack, in.variables = in.scopes[:0], in.stack[:0], nil
}

// spend takes units of work and reports whether there is any left.
func (in *Input) spend(units int) bool {
	if in.work -= units; in.work < 0 && !in.fatal {
		in.err, in.fatal = ErrTooMuchWork, true
	}
	return in.err == nil
}

// fail ends the run with an error, unless get_or_default catches it, and is
// Undefined. Nothing catches the end of the run's context.
func (in *Input) fail(err error) value {
	if in.err == nil {
		in.err, in.fatal = err, in.ctx.Err() != nil
	}
	return undefined
}

// lookup gives a member of the payload.
func (in *Input) lookup(name string) value {
	in.spend(1 + len(in.payload.members)/16)
	return in.payload.lookup(name, in.whole)
}

// time is when the message is looked at.
func (in *Input) time() time.Time {
	if in.now.IsZero() {
		in.now = in.env.Now()
	}
	return in.now
}

// ingestPrefix begins a Basic Ingest topic; the rule's name and a slash follow.
const ingestPrefix = "$aws/rules/"

// topic is the message's topic without a Basic Ingest prefix.
// (https://docs.aws.amazon.com/iot/latest/developerguide/iot-basic-ingest.html)
func (in *Input) topic() string {
	rest, ok := strings.CutPrefix(in.m.Topic, ingestPrefix)
	if !ok {
		return in.m.Topic
	}
	_, rest, _ = strings.Cut(rest, "/")
	return rest
}

// makeText makes a String that a statement built, and charges it to the run.
func (in *Input) makeText(s string) value {
	if !in.spend(len(s)) {
		return undefined
	}
	return text(s)
}
