package sql

import (
	"fmt"
)

// call compiles the call of a function.
func (c *compiler) call(e *call) code {
	f, ok := lookupFunction(e.name)
	switch {
	case !ok:
		c.fail(e.at, "%v", errNoFunction(e.name))
		return fixed(undefined)
	case f.Since != "" && !c.version.modern():
		c.modern(e.at, f.Name+"()")
		return fixed(undefined)
	case f.outside && c.fallback:
		c.fail(e.at, "%s() cannot be the default of get_or_default(): a default must not fail", f.Name)
		return fixed(undefined)
	}
	if n := len(e.args); n < f.min || f.max >= 0 && n > f.max {
		c.warn(e.at, "%s() takes %s, not %d, and is always Undefined: %s", f.Name, f.arity(), n, f.Signature)
		for _, a := range e.args {
			c.expr(a) // what is wrong in them is still wrong
		}
		return fixed(undefined)
	}
	switch f.Name {
	case "get_or_default":
		return c.getOrDefault(e)
	case "encode", "decode":
		if s, ok := e.args[1].(*str); ok && s.text == "proto" && f.Name == "decode" {
			return c.protoCall(e, f)
		}
		if _, ok := e.args[0].(*star); ok && len(c.aliases) == 0 {
			return c.codec(e, f)
		}
	case "transform":
		if _, ok := e.args[0].(*str); !ok {
			c.fail(e.args[0].position(), "the mode of transform() must be a string literal: 'enrichArray'")
		}
	}
	return c.invoke(e, f, c.args(e, f))
}

// arity says how many arguments a function takes.
func (f *Function) arity() string {
	plural := func(n int) string {
		if n == 1 {
			return "1 argument"
		}
		return fmt.Sprintf("%d arguments", n)
	}
	switch {
	case f.max == 0:
		return "no arguments"
	case f.max < 0:
		return "at least " + plural(f.min)
	case f.min == f.max:
		return plural(f.min)
	}
	return fmt.Sprintf("%d to %s", f.min, plural(f.max))
}

// args compiles the arguments and looks at the constant ones.
func (c *compiler) args(e *call, f *Function) []code {
	args := make([]code, len(e.args))
	for i, a := range e.args {
		args[i] = c.expr(a)
		if !args[i].fixed || !args[i].value.defined() {
			continue
		}
		v := args[i].value
		if f.lint != nil {
			if problem, refuse := f.lint(i, v); refuse {
				c.fail(a.position(), "%s", problem)
			} else if problem != "" {
				c.warn(a.position(), "%s", problem)
				args[i].value = undefined // warned of already
				args[i].run = func(*Input) value { return undefined }
				continue
			}
		}
		in := &Input{work: maxWork}
		if !in.convert(v, f.param(i)).defined() {
			c.warn(a.position(), "%s() of a %s is always Undefined", f.Name, v.kind)
			args[i].value = undefined
		}
	}
	return args
}

// invoke compiles the call itself: the arguments go on the input's stack.
func (c *compiler) invoke(e *call, f *Function, args []code) code {
	c.outside = c.outside || f.outside
	m := &memo{}
	run := func(in *Input) value {
		base := len(in.stack)
		for i := range args {
			v := args[i].run(in)
			if p := f.param(i); p != anything {
				if v = in.convert(v, p); !v.defined() {
					in.stack = in.stack[:base]
					return undefined
				}
			}
			in.stack = append(in.stack, v)
		}
		v := f.call(in, in.stack[base:], m)
		in.stack = in.stack[:base]
		return v
	}
	if f.context || f.outside {
		return code{run: run}
	}
	return c.fold(e.at, run, f.Name+"() of this", args...)
}

// getOrDefault compiles get_or_default, which catches what fails outside.
func (c *compiler) getOrDefault(e *call) code {
	x := c.expr(e.args[0])
	otherwise := fixed(undefined)
	if len(e.args) > 1 {
		outer := c.fallback
		c.fallback = true
		otherwise = c.expr(e.args[1])
		c.fallback = outer
	}
	return code{run: func(in *Input) value {
		before := in.err
		v := x.run(in)
		if before == nil && in.err != nil && !in.fatal {
			in.err = nil
			v = undefined
		}
		if v.kind == kindUndefined || v.kind == kindNull {
			return otherwise.run(in)
		}
		return v
	}}
}

// codec compiles encode(*, ...) and decode(*, ...), where * stands for the bytes of
// the payload, JSON or not.
func (c *compiler) codec(e *call, f *Function) code {
	args := c.args(e, f)
	args[0] = code{run: func(in *Input) value { return text(in.payload.text) }}
	return c.invoke(e, f, args)
}
