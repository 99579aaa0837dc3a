package function

import (
	"context"
	"errors"
	"fmt"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// EmulatorOptions are what every emulated function shares: where relative paths begin,
// where builds are kept, extra environment variables.
type EmulatorOptions = emulator.Options

// emulated is a Lambda function that the emulator runs.
type emulated struct{ function *emulator.Function }

func (r *Registry) buildEmulated(name string, c Config) (*instance, error) {
	var i *instance
	options := r.options.Emulator
	options.Renewed = func() { i.health.renew() } // it runs not before there is i
	f, err := emulator.New(name, c.Config, options)
	if err != nil {
		return nil, err
	}
	i = newInstance(name, c, emulated{f}, f.Run, r.metrics)
	i.slots = nil // it has a queue of its own, with max_wait and max_queue
	i.health = newHealth(name, f.Config().Concurrency, r.metrics)
	return i, nil
}

// Invoke implements [Function].
func (e emulated) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	call := CallFrom(ctx)
	inv := emulator.Invocation{
		RequestID:     call.RequestID,
		Payload:       payload,
		ClientContext: clientContext(call),
		TraceID:       call.trace().XRay(),
		ARN:           e.arn(call.Qualifier),
		Hops:          call.Hops,
		LogTail:       call.Tail != nil,
	}
	text := wholeRunes{take: call.Stream}
	var refused error // by who takes the stream
	if call.Stream != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		inv.Stream = func(data []byte) {
			if refused == nil {
				if refused = text.piece(data); refused != nil {
					cancel()
				}
			}
		}
	}
	result, err := e.function.Invoke(ctx, inv)
	if refused == nil {
		refused = text.end()
	}
	switch {
	case refused != nil:
		return nil, refused
	case err != nil:
		return nil, emulatorError(err)
	}
	if call.Tail != nil {
		call.Tail(result.LogTail)
	}
	if result.FunctionError != "" {
		own := parseError(result.Payload)
		if own.Type == "" {
			own.Type = result.ErrorType
		}
		return nil, own
	}
	return result.Payload, nil
}

// arn is the ARN by which the function was invoked; empty for its own.
func (e emulated) arn(qualifier string) string {
	if qualifier == "" {
		return ""
	}
	return e.function.ARN() + ":" + qualifier
}

// emulatorError turns the emulator's errors into those of this room.
func emulatorError(err error) error {
	if throttled, ok := errors.AsType[*emulator.ThrottledError](err); ok {
		return &ThrottledError{Reason: throttled.Reason, here: true}
	}
	if lacks, ok := errors.AsType[*emulator.UnavailableError](err); ok {
		if lacks.Remedy == "" {
			return fmt.Errorf("%w: %s", ErrUnavailable, lacks.Problem)
		}
		return fmt.Errorf("%w: %s; %s", ErrUnavailable, lacks.Problem, lacks.Remedy)
	}
	switch {
	case errors.Is(err, emulator.ErrPayloadTooLarge):
		return fmt.Errorf("%w: %w", ErrPayloadTooLarge, err)
	case errors.Is(err, emulator.ErrClosed):
		return fmt.Errorf("%w: %w", ErrRetired, err)
	default:
		return err
	}
}
