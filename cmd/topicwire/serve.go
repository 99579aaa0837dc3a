package main

import (
	"context"
	"os"

	"github.com/topicwire/topicwire/internal/app"
	"github.com/topicwire/topicwire/internal/obs"
)

// ConfigFlag is the configuration file, for all commands that read one.
type ConfigFlag struct {
	Config string `short:"c" default:"config.yaml" placeholder:"FILE" env:"TOPICWIRE_CONFIG" help:"The configuration file (${default})."`
}

// ServeCmd runs the server.
type ServeCmd struct {
	ConfigFlag
	LogFormat string `enum:",auto,text,json" default:"" placeholder:"FORMAT" help:"Log as text, json or auto, whatever the configuration says."`
	LogLevel  string `enum:",trace,debug,info,warn,error" default:"" placeholder:"LEVEL" help:"The least severe level to log, whatever the configuration says."`
}

// Help shows an example.
func (ServeCmd) Help() string {
	return `Reads config.yaml in the working folder unless --config names another file, and
reloads it when it changes or on SIGHUP. Ctrl-C or SIGTERM ends the server in order.

Example:
  topicwire serve --config /etc/topicwire/config.yaml`
}

// Run serves until the program is told to end.
func (c ServeCmd) Run(ctx context.Context, s *Streams) error {
	return app.Run(ctx, c.options(s))
}

func (c ServeCmd) options(s *Streams) app.Options {
	return app.Options{Config: c.Config, LogFormat: c.LogFormat, LogLevel: c.LogLevel, Version: buildVersion(), Command: os.Args[0], Out: s.Out, Log: s.Err}
}

// DevCmd runs the server and shows every message.
type DevCmd struct {
	ServeCmd `embed:""`
}

// Help shows an example.
func (DevCmd) Help() string {
	return `Serves as "topicwire serve" does, and prints a line for everything that becomes of
a message: publish → rule → function with its milliseconds → reply. Between them is the
log, with what functions print.

Example:
  topicwire dev`
}

// Run serves until the program is told to end.
func (c DevCmd) Run(ctx context.Context, s *Streams) error {
	o := c.options(s)
	o.Live, o.Color = true, obs.Colors(s.Out)
	return app.Run(ctx, o)
}
