package function

import (
	"fmt"
	"time"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// Description is a declared function as Lambda's interface shows one.
type Description struct {
	// Name is the declared name, ARN the function's ARN: AWS's for a real function, else
	// one of this server's making.
	Name, ARN string
	// Runtime and Handler are empty for what does not run here.
	Runtime, Handler string
	// Timeout is how long an invocation may take, Memory what it is told it has, in MB.
	Timeout time.Duration
	Memory  int
	// Concurrency is how many invocations may run at once now.
	Concurrency int
	// Emulated tells that it runs here.
	Emulated bool
}

// Describe describes a declared function, found as [Registry.Lookup] finds it; false for
// any other.
func (r *Registry) Describe(nameOrARN string) (Description, bool) {
	i := r.find(nameOrARN)
	if i == nil {
		return Description{}, false
	}
	d := Description{Name: i.name, Timeout: i.timeout, Concurrency: cap(i.slots)}
	e, ok := i.inner.(emulated)
	if !ok {
		d.ARN = r.arn(i)
		return d, true
	}
	c := e.function.Config()
	d.ARN, d.Emulated = e.function.ARN(), true
	d.Runtime, d.Handler, d.Timeout, d.Memory = c.Runtime, c.Handler, c.Timeout, c.Memory
	d.Concurrency = e.function.Concurrency()
	return d, true
}

// arn is the ARN of a function that runs elsewhere.
func (r *Registry) arn(i *instance) string {
	t, _ := parseTarget(i.config.Lambda)
	if t.arn != "" {
		return t.arn
	}
	region, account := r.options.Emulator.Region, r.options.Emulator.AccountID
	if i.config.Region != "" {
		region = i.config.Region
	}
	if region == "" {
		region = emulator.DefaultRegion
	}
	if account == "" {
		account = emulator.DefaultAccount
	}
	return "arn:aws:lambda:" + region + ":" + account + ":function:" + i.name
}

// SetConcurrency changes how many invocations of an emulated function may run at once,
// until its configuration changes or the server ends. It cannot be more than the
// configuration says. -1 goes back to that.
func (r *Registry) SetConcurrency(nameOrARN string, n int) (int, error) {
	i := r.find(nameOrARN)
	if i == nil {
		return 0, fmt.Errorf("%w: %s", ErrNotFound, nameOrARN)
	}
	e, ok := i.inner.(emulated)
	if !ok {
		return 0, fmt.Errorf("%w: %s runs elsewhere: set its concurrency in the configuration", ErrUnavailable, i.name)
	}
	most := e.function.Config().Concurrency
	if n < 0 {
		n = most
	}
	if n > most {
		return 0, fmt.Errorf("%w: %s has concurrency: %d in the configuration: raise it there", ErrUnavailable, i.name, most)
	}
	return e.function.SetConcurrency(n), nil
}

// Hops is how many rules and functions have passed what a process of an emulated
// function works on; false if there is no such process. See [emulator.Function.Hops].
func (r *Registry) Hops(name, token string) (uint8, bool) {
	i := r.declared[name]
	if i == nil {
		return 0, false
	}
	e, ok := i.inner.(emulated)
	if !ok {
		return 0, false
	}
	return e.function.Hops(token)
}
