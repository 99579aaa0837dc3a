package app

import (
	"errors"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/obs"
)

// newLogger makes the log, and says whether people read it.
func newLogger(o Options, c obs.Config) (log zerolog.Logger, text bool) {
	if o.LogFormat != "" {
		c.Format = o.LogFormat
	}
	if o.LogLevel != "" {
		c.Level = o.LogLevel
	}
	return obs.NewLogger(c, o.Log), c.IsText(o.Log)
}

// warn logs what works but hardly as meant: for people with the line of the file, for
// machines with its place in fields of their own.
func (a *app) warn(p *config.Problem) {
	if a.text {
		a.log.Warn().Msg(p.String())
		return
	}
	a.log.Warn().Str("file", p.File).Int("line", p.Line).Int("column", p.Column).Str("path", p.Path).Str("remedy", p.Remedy).Msg(p.Message)
}

// refuseConfig logs why a configuration is not put in force.
func (a *app) refuseConfig(err error) {
	const text = "the new configuration is wrong, the one before stays in force"
	var problems config.Problems
	switch {
	case a.text:
		a.log.Error().Msg(text + ":\n" + err.Error())
	case errors.As(err, &problems):
		a.log.Error().Interface("problems", problems).Msg(text)
	default:
		a.log.Error().Err(err).Msg(text)
	}
}
