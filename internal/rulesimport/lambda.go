package rulesimport

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
)

// lambda is a function of a file that was read.
type lambda struct {
	name   string
	at     *node
	config function.Config
	// vars are the environment variables in their order.
	vars []string
	// notes say what is left out of it; why says why it cannot be declared at all.
	notes []string
	why   string
	used  bool
}

// settings are a function's settings, resolved; a nil one is not there.
type settings struct {
	runtime, handler, path, timeout, memory *node
	env                                     *node
	why                                     string
	// names are what else the function is called in ARNs.
	names []*node
}

// declare takes a function.
func (im *importer) declare(name string, at *node, s settings) *lambda {
	f := &lambda{name: name, at: at, why: s.why}
	if err := function.CheckName(name); err != nil {
		f.why = err.Error()
	}
	if other, ok := im.locals[name]; ok && other.name == name {
		im.problem(at, "there are two functions named "+name, "import the files one by one: the other is at "+other.at.position().String())
	}
	im.locals[name] = f
	for _, n := range s.names {
		if n.kind == scalarKind && im.locals[n.text] == nil {
			im.locals[n.text] = f
		}
	}
	im.functions = append(im.functions, f)
	f.config.Runtime = f.text("Runtime", s.runtime)
	f.config.Handler = f.text("Handler", s.handler)
	if path := f.text("code", s.path); path != "" {
		f.config.Path = im.relative(path)
	}
	if t := f.number("Timeout", s.timeout); t > 0 {
		f.config.Timeout = time.Duration(t) * time.Second
	}
	f.config.Memory = f.number("MemorySize", s.memory)
	f.environment(s.env)
	if f.why == "" {
		f.check()
	}
	return f
}

// text is a setting's text. A function whose setting is unknown cannot be declared.
func (f *lambda) text(what string, n *node) string {
	if n == nil || !n.given() {
		return ""
	}
	if wants := lacks(n); len(wants) > 0 {
		f.why = "its " + what + " " + wants[0].describe()
		return ""
	}
	return n.text
}

// number is a setting's number; 0, and a note, if it is unknown.
func (f *lambda) number(what string, n *node) int {
	if n == nil || !n.given() {
		return 0
	}
	i, err := strconv.Atoi(n.text)
	if n.kind != scalarKind || err != nil {
		f.notes = append(f.notes, what+" is left out: its value is not in the file")
		return 0
	}
	return i
}

func (f *lambda) environment(env *node) {
	if env == nil {
		return
	}
	for _, e := range env.entries {
		if wants := lacks(e.value); len(wants) > 0 {
			f.notes = append(f.notes, "environment."+e.key.text+" is left out: it "+wants[0].describe())
			continue
		}
		f.set(e.key.text, e.value.text)
	}
}

func (f *lambda) set(name, value string) {
	if f.config.Environment == nil {
		f.config.Environment = make(map[string]string)
	}
	if _, ok := f.config.Environment[name]; !ok {
		f.vars = append(f.vars, name)
	}
	f.config.Environment[name] = value
}

// check leaves out what the emulator would refuse.
func (f *lambda) check() {
	type refused struct{ path, problem, remedy string }
	var all []refused
	f.config.Check(func(path, problem, remedy string) { all = append(all, refused{path, problem, remedy}) })
	for _, p := range all {
		name, isVariable := strings.CutPrefix(p.path, "environment.")
		switch {
		case isVariable:
			delete(f.config.Environment, name)
			f.notes = append(f.notes, p.path+" is left out: it "+p.problem)
		case p.path == "path":
			f.why = "its code is not in a folder that the file names"
		case f.why == "":
			f.why = fmt.Sprintf("its %s: %s; %s", p.path, p.problem, p.remedy)
		}
	}
}

// relative is a path of the file that is read as it is written from the result's folder.
func (im *importer) relative(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	path = filepath.Join(im.dir, path)
	dir := im.options.Dir
	if dir == "" {
		dir = "."
	}
	if filepath.IsAbs(path) != filepath.IsAbs(dir) {
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
	}
	if r, err := filepath.Rel(dir, path); err == nil {
		path = r
	}
	return filepath.ToSlash(path)
}

// describe says what is missing.
func (w want) describe() string {
	if w.name == "" {
		return w.reason + "; " + w.remedy
	}
	return "needs " + w.name + ", which is not in the file; give " + w.flag()
}

// flag is what to write on the command line.
func (w want) flag() string {
	if strings.ContainsAny(w.name, " '()*$&|;<>\"\\") {
		return "--param '" + strings.ReplaceAll(w.name, "'", `'\''`) + "=VALUE'"
	}
	return "--param " + w.name + "=VALUE"
}
