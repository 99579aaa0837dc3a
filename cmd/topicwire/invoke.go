package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/internal/app"
)

// InvokeCmd invokes one function.
type InvokeCmd struct {
	ConfigFlag
	Function string `arg:"" help:"The function's name in the configuration, or an ARN."`
	Payload  string `xor:"payload" placeholder:"JSON" help:"The event; {} if left out."`
	File     string `short:"f" xor:"payload" placeholder:"FILE" help:"Read the event from a file; - is standard input."`
	LogLevel string `enum:"trace,debug,info,warn,error" default:"warn" placeholder:"LEVEL" help:"The least severe level to log (${default}); info shows what the function prints."`
}

// Help shows an example.
func (InvokeCmd) Help() string {
	return `Starts the function as the server would, and no server. Exit status 1: the function
failed; its error document is printed all the same.

Example:
  topicwire invoke hello --payload '{"name":"ada","message":{"n":1}}'`
}

// Run prints the function's answer.
func (c InvokeCmd) Run(ctx context.Context, s *Streams) error {
	payload := []byte(cmp.Or(c.Payload, "{}"))
	var err error
	switch c.File {
	case "":
	case "-":
		payload, err = io.ReadAll(s.In)
	default:
		payload, err = os.ReadFile(c.File)
	}
	if err != nil {
		return err
	}
	out, err := app.Invoke(ctx, app.InvokeOptions{Config: c.Config, Function: c.Function, Payload: payload, Log: s.Err, LogLevel: c.LogLevel})
	if failed, ok := errors.AsType[*function.Error](err); ok {
		fmt.Fprintf(s.Out, "%s\n", failed.Payload)
		return exitError{code: 1, msg: fmt.Sprintf("topicwire: %v", err)}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "%s\n", out)
	return err
}
