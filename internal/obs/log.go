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

// NewLogger returns a logger that writes to w as c says. Times are UTC with
// milliseconds.
func NewLogger(c Config, w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil || c.Level == "" {
		level = zerolog.InfoLevel
	}
	if c.Format == "text" || (c.Format != "json" && isTerminal(w)) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", TimeLocation: time.Local, NoColor: !isTerminal(w) || os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
