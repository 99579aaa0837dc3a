package emulator

import (
	"fmt"
	"strings"
	"time"
)

// Config describes one emulated function, as a user writes it under functions.NAME.
type Config struct {
	Runtime string `yaml:"runtime" jsonschema:"example=go,example=provided,example=nodejs,example=python" jsonschema_description:"What runs the code: go (a package folder, built here), provided (a bootstrap program), nodejs or python. AWS's names such as nodejs20.x, python3.12 and provided.al2023 mean the same."`
	Path    string `yaml:"path" jsonschema:"example=functions/ingest" jsonschema_description:"The code: a folder, a file or a .zip file. A relative path starts at the configuration file's folder."`
	Handler string `yaml:"handler" jsonschema:"example=index.handler" jsonschema_description:"FILE.FUNCTION for nodejs and python; left out: index.handler, and lambda_function.lambda_handler. Other runtimes see it as _HANDLER."`

	Timeout     time.Duration     `yaml:"timeout" jsonschema:"example=30s" jsonschema_description:"How long one invocation may take. An emulated function is given 3s if it is left out and its process is ended then, an http function 30s; a real Lambda function ends by its own timeout."`
	InitTimeout time.Duration     `yaml:"init_timeout" jsonschema:"example=10s" jsonschema_description:"How long a new process may take until it asks for its first event; if left out 10s, or timeout if that is longer."`
	Memory      int               `yaml:"memory" jsonschema:"minimum=1,example=128" jsonschema_description:"Memory in MB that the function is told it has; it is not enforced. 128 if left out."`
	Environment map[string]string `yaml:"environment" jsonschema_description:"Environment variables for the function."`

	Concurrency               int           `yaml:"concurrency" jsonschema:"minimum=1,maximum=1000" jsonschema_description:"How many invocations may run at once; if left out, 10 of an emulated function and 64 of the others."`
	ConcurrencyPerEnvironment int           `yaml:"concurrency_per_environment" jsonschema:"minimum=1,maximum=1000" jsonschema_description:"How many invocations one process runs at once; 1 if left out. For go, provided and nodejs."`
	MaxWait                   time.Duration `yaml:"max_wait" jsonschema:"example=30s" jsonschema_description:"How long an invocation may wait for a free process before it is refused as throttled; 30s if left out."`
	MaxQueue                  int           `yaml:"max_queue" jsonschema:"minimum=1" jsonschema_description:"How many invocations may wait; more are refused as throttled. 1000 if left out."`

	Prewarm     int           `yaml:"prewarm" jsonschema:"minimum=0" jsonschema_description:"How many processes are kept ready before anybody asks; none if left out."`
	IdleTimeout time.Duration `yaml:"idle_timeout" jsonschema:"example=10m" jsonschema_description:"How long a process may have nothing to do before it is ended; 10m if left out."`
	Reload      string        `yaml:"reload" jsonschema:"enum=auto,enum=off" jsonschema_description:"auto, the default, serves new code as soon as the files change; off keeps what was there at the start."`

	User      string `yaml:"user" jsonschema:"example=nobody" jsonschema_description:"Run the function's processes as this user; only root can."`
	LogEvents bool   `yaml:"log_events" jsonschema_description:"Write Lambda's START, END and REPORT lines to the log."`
}

// Lambda's own limits, and our defaults where Lambda has none that would suit one machine.
const (
	defaultTimeout     = 3 * time.Second
	defaultInitTimeout = 10 * time.Second
	defaultMemory      = 128
	defaultConcurrency = 10
	defaultMaxWait     = 30 * time.Second
	defaultMaxQueue    = 1000
	defaultIdleTimeout = 10 * time.Minute

	maxTimeout     = 15 * time.Minute
	maxConcurrency = 1000

	reloadAuto = "auto"
	reloadOff  = "off"
)

// withDefaults returns c with every absent value replaced by its default.
func (c Config) withDefaults() Config {
	setDefault(&c.Timeout, defaultTimeout)
	// AWS gives up after 10 s and begins again, with the function's own time limit.
	setDefault(&c.InitTimeout, max(defaultInitTimeout, c.Timeout))
	setDefault(&c.Memory, defaultMemory)
	setDefault(&c.Concurrency, max(defaultConcurrency, c.ConcurrencyPerEnvironment))
	setDefault(&c.ConcurrencyPerEnvironment, 1)
	setDefault(&c.MaxWait, defaultMaxWait)
	setDefault(&c.MaxQueue, defaultMaxQueue)
	setDefault(&c.IdleTimeout, defaultIdleTimeout)
	setDefault(&c.Reload, reloadAuto)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Check reports what is wrong with c; paths are the YAML names of its fields. What
// depends on the machine, such as a missing interpreter, is not its business: the
// function reports that itself when it is invoked.
func (c Config) Check(report func(path, problem, remedy string)) {
	kind := c.checkRuntime(report)
	if c.Path == "" {
		report("path", "the function has no code", "add path: FOLDER (or a file, or a .zip file)")
	}
	if needsHandler(kind) && c.Handler != "" && !strings.Contains(c.Handler, ".") && !isSourceFile(c.Path) {
		report("handler", fmt.Sprintf("%q names no file", c.Handler), "write FILE.FUNCTION, for instance index.handler")
	}
	c.checkTimes(report)
	c.checkCounts(report)
	if kind == kindPython && c.ConcurrencyPerEnvironment > 1 {
		report("concurrency_per_environment", "python runs one invocation in a process at a time", "remove it, and raise concurrency instead")
	}
	if c.Reload != "" && c.Reload != reloadAuto && c.Reload != reloadOff {
		report("reload", fmt.Sprintf("%q is neither auto nor off", c.Reload), "write reload: auto or reload: off")
	}
	for name, value := range c.Environment {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0):
			report("environment."+name, "is not a possible environment variable", "use a name without = and a value without NUL")
		case reservedVariable(name):
			report("environment."+name, "is set by the emulator", "remove it")
		}
	}
}

func (c Config) checkRuntime(report func(path, problem, remedy string)) kind {
	if c.Runtime == "" {
		report("runtime", "is missing", "write runtime: go, provided, nodejs or python")
		return kindUnknown
	}
	kind := parseRuntime(c.Runtime)
	if kind == kindUnknown {
		report("runtime", fmt.Sprintf("%q is not a runtime we know", c.Runtime),
			"use go, provided, nodejs or python; other languages run as provided, with a bootstrap program")
	}
	return kind
}

func (c Config) checkTimes(report func(path, problem, remedy string)) {
	for _, t := range []struct {
		path  string
		value time.Duration
	}{{"timeout", c.Timeout}, {"init_timeout", c.InitTimeout}} {
		if t.value < 0 || t.value > maxTimeout {
			report(t.path, fmt.Sprintf("%s is out of range", t.value), "use more than 0 and at most 15m")
		}
	}
	for _, t := range []struct {
		path  string
		value time.Duration
	}{{"max_wait", c.MaxWait}, {"idle_timeout", c.IdleTimeout}} {
		if t.value < 0 {
			report(t.path, fmt.Sprintf("%s is negative", t.value), "use a positive duration such as 30s")
		}
	}
}

func (c Config) checkCounts(report func(path, problem, remedy string)) {
	for _, n := range []struct {
		path  string
		value int
		most  int
	}{
		{"memory", c.Memory, 1 << 20},
		{"concurrency", c.Concurrency, maxConcurrency},
		{"concurrency_per_environment", c.ConcurrencyPerEnvironment, maxConcurrency},
		{"max_queue", c.MaxQueue, 1 << 20},
		{"prewarm", c.Prewarm, maxConcurrency},
	} {
		if n.value < 0 || n.value > n.most {
			report(n.path, fmt.Sprintf("%d is out of range", n.value), fmt.Sprintf("use 1 to %d", n.most))
		}
	}
	d := c.withDefaults()
	if d.ConcurrencyPerEnvironment > d.Concurrency {
		report("concurrency_per_environment", fmt.Sprintf("%d is more than concurrency, %d", d.ConcurrencyPerEnvironment, d.Concurrency), "raise concurrency")
	} else if d.Prewarm > d.maxEnvironments() {
		report("prewarm", fmt.Sprintf("%d is more than the %d processes that concurrency allows", d.Prewarm, d.maxEnvironments()), "raise concurrency or lower prewarm")
	}
}

// maxEnvironments is how many processes the function may have at once.
func (c Config) maxEnvironments() int {
	n := max(1, c.ConcurrencyPerEnvironment)
	return (c.Concurrency + n - 1) / n
}
