package bridge

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
)

// env is what statements may ask of the world: it implements sql.Env.
type env struct{ b *Bridge }

// Now is the clock.
func (e env) Now() time.Time { return time.Now() }

// AccountID is what accountid() gives.
func (e env) AccountID() string { return e.b.options.AccountID }

// Invoke calls the function that aws_lambda() names.
func (e env) Invoke(ctx context.Context, functionARN string, payload []byte) ([]byte, error) {
	return invoker(e).Invoke(ctx, functionARN, payload)
}

var errNoDescriptors = errors.New("decode() finds no protobuf descriptors: this server has no store of them")

// Descriptors finds what decode() names.
func (e env) Descriptors(ctx context.Context, bucket, key string) ([]byte, error) {
	if e.b.options.Descriptors == nil {
		return nil, errNoDescriptors
	}
	return e.b.options.Descriptors(ctx, bucket, key)
}

// invoker calls the functions of the program that is loaded at the moment of the
// call: it implements action.Invoker.
type invoker struct{ b *Bridge }

// reloadTime is how long a call waits for the program that follows one whose functions
// have ended already. A reload does the two within microseconds of each other; longer
// means that the server shuts down.
const reloadTime = 5 * time.Second

// Invoke looks the function up and calls it. When a reload has ended the instance, the
// call goes to the one that takes its place.
func (v invoker) Invoke(ctx context.Context, nameOrARN string, payload []byte) ([]byte, error) {
	for {
		p := v.b.loaded.Load()
		f, err := p.functions.Lookup(nameOrARN)
		if err != nil {
			return nil, err
		}
		out, err := f.Invoke(ctx, payload)
		if !errors.Is(err, function.ErrRetired) {
			return out, err
		}
		if !await(ctx, p.replaced, reloadTime) {
			return nil, err
		}
	}
}

// await waits for c to be closed and reports whether it was.
func await(ctx context.Context, c <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// poster POSTs over the connections of the functions: it implements action.Poster.
type poster struct{ b *Bridge }

func (p poster) Post(ctx context.Context, url string, header http.Header, body []byte) ([]byte, error) {
	return p.b.hosts.Post(ctx, p.b.loaded.Load().functions.Poster(), url, header, body)
}
