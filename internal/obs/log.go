// Package obs holds what an operator looks at: the log and the metrics endpoint.
package obs

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// Config is the log section of the configuration.
type Config struct {
	Level  string `yaml:"level" jsonschema:"enum=trace,enum=debug,enum=info,enum=warn,enum=error" jsonschema_description:"The least severe level that is logged; info if left out."`
	Format string `yaml:"format" jsonschema:"enum=auto,enum=text,enum=json" jsonschema_description:"text for people, json for machines, auto (the default): text on a terminal, json elsewhere."`
}

// Check reports what the loader cannot see from the types alone.
func (c Config) Check(report func(path, problem, remedy string)) {
	if _, err := zerolog.ParseLevel(c.Level); err != nil {
		report("level", "unknown level \""+c.Level+"\"", "use trace, debug, info, warn or error")
	}
	switch c.Format {
	case "", "auto", "text", "json":
	default:
		report("format", "unknown format \""+c.Format+"\"", "use auto, text or json")
	}
}

// IsText reports whether a log that is written to w as c says is for people.
func (c Config) IsText(w io.Writer) bool {
	return c.Format == "text" || c.Format != "json" && IsTerminal(w)
}

// NewLogger returns a logger that writes to w as c says. Times are UTC with milliseconds
// in JSON, and the time of the day where the machine is in text.
func NewLogger(c Config, w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil || c.Level == "" {
		level = zerolog.InfoLevel
	}
	if c.IsText(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", TimeLocation: time.Local, NoColor: !Colors(w)}
	}
	return zerolog.New(w).Level(level).Hook(clock{})
}

// clock puts the time into a line. zerolog's own is that of the machine's time zone, in
// whole seconds, unless a global says otherwise.
type clock struct{}

// Run implements [zerolog.Hook].
func (clock) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w any) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colors reports whether w is a terminal whose user wants colours: NO_COLOR is not set
// (https://no-color.org), and the terminal is not one without any.
func Colors(w any) bool {
	return IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
