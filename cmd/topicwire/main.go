// Command topicwire is an MQTT broker bridged to AWS Lambda, and the tools around it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// CLI is the command line: one field a command.
type CLI struct {
	Serve    ServeCmd    `cmd:"" help:"Run the server."`
	Dev      DevCmd      `cmd:"" help:"Run the server and show every message as it passes: publish, rule, function, reply."`
	Check    CheckCmd    `cmd:"" help:"Check a configuration as the server would, and say everything that is wrong with it."`
	Why      WhyCmd      `cmd:"" help:"Say what a client may do by the configuration's policies, and which statement says so."`
	Settings SettingsCmd `cmd:"" help:"Say what the configuration can say: every setting, its meaning and what holds without it."`
	Schema   SchemaCmd   `cmd:"" help:"Print the JSON Schema of the configuration, for editors."`
	Pub      PubCmd      `cmd:"" help:"Publish messages, as mosquitto_pub does."`
	Sub      SubCmd      `cmd:"" help:"Subscribe and print messages, as mosquitto_sub does."`
	Request  RequestCmd  `cmd:"" help:"Publish a request and print the answer, as mosquitto_rr does."`
	Rules    RulesCmd    `cmd:"" help:"List rules, and try statements."`
	Invoke   InvokeCmd   `cmd:"" help:"Invoke a function of the configuration and print its answer."`
	Ready    ReadyCmd    `cmd:"" help:"Ask the running server whether it is ready."`
	Dead     DeadCmd     `cmd:"" help:"Look at the running server's dead letters: what could not be done. Try them again, or drop them."`
	Bench    BenchCmd    `cmd:"" help:"Load a broker and measure it."`
	Passwd   PasswdCmd   `cmd:"" help:"Write the file of users and passwords."`
	Cert     CertCmd     `cmd:"" help:"Make certificates for development."`

	Completion CompletionCmd `cmd:"" help:"Set up your shell to complete topicwire's commands and flags."`
	Version    VersionCmd    `cmd:"" help:"Print the version."`
}

// RulesCmd groups what is done with rules.
type RulesCmd struct {
	List      RulesListCmd      `cmd:"" help:"List the rules of the configuration."`
	Eval      RulesEvalCmd      `cmd:"" help:"Run one statement or template over one message."`
	Explain   RulesExplainCmd   `cmd:"" help:"Say for one message why each rule runs or does not, and what comes of it."`
	Test      RulesTestCmd      `cmd:"" help:"Run the tests that stand beside the rules."`
	Functions RulesFunctionsCmd `cmd:"" help:"Describe the functions of AWS IoT SQL."`
	Import    RulesImportCmd    `cmd:"" help:"Convert rules from CloudFormation, SAM, serverless.yml or Terraform."`
}

// Streams are the program's three streams, so that commands can be tested.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// exitError ends the program with a status of its own. An empty message prints
// nothing.
type exitError struct {
	code int
	msg  string
}

func (e exitError) Error() string { return e.msg }

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], &Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// untilSignal is a context that ends with the first SIGINT or SIGTERM. A second one ends the
// program at once, whatever it still waits for: by then nobody listens to it any more.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan os.Signal, 1)
	signal.Notify(first, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-first
		signal.Stop(first)
		cancel()
	}()
	return ctx
}

// run executes one command line and returns the exit status: 0 done, 2 a command line
// that makes no sense, what the command says, or 1. A command whose output could not be
// written has not done what it was asked for.
func run(ctx context.Context, args []string, s *Streams) int {
	out := &checkedWriter{Writer: s.Out}
	code := execute(ctx, args, &Streams{In: s.In, Out: out, Err: s.Err})
	if err := out.failure(); err != nil && code == 0 {
		fmt.Fprintln(s.Err, "topicwire: the output is not complete:", err)
		return 1
	}
	return code
}

// execute is run without the look at what became of the output.
func execute(ctx context.Context, args []string, s *Streams) (code int) {
	var cli CLI
	type exited int
	defer func() { // kong calls Exit in the middle of parsing for --help
		switch e := recover().(type) {
		case nil:
		case exited:
			code = int(e)
		default:
			panic(e)
		}
	}()
	parser, err := kong.New(&cli,
		kong.Name("topicwire"),
		kong.Description("An MQTT broker, native and over WebSocket, that hands messages to functions and publishes what they answer."),
		kong.UsageOnError(),
		kong.WithHyphenPrefixedParameters(true), // a payload may be -5
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(s.Out, s.Err),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
	if err != nil {
		fmt.Fprintln(s.Err, "topicwire:", err)
		return 1
	}
	// -h is the host in the commands that mosquitto's users know. At the end of a command
	// line it has no host behind it and means what it means everywhere.
	parser.Model.HelpFlag.Short = 0
	args = asMeant(args)
	kongcompletion.Register(parser)
	kctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(s.Err, "topicwire: %v\n", err)
		return 2
	}
	return report(kctx.Run(), s.Err)
}

// asMeant is a command line with what people type everywhere in our own words: no
// arguments, help COMMAND and -h at the end ask for help, --version for the version.
func asMeant(args []string) []string {
	switch n := len(args); {
	case n == 0:
		return []string{"--help"}
	case n == 1 && args[0] == "--version":
		return []string{"version"}
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case args[n-1] == "-h":
		return append(slices.Clone(args[:n-1]), "--help")
	}
	return args
}

// report prints what a command returned and gives its exit status.
func report(err error, w io.Writer) int {
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.msg != "" {
			fmt.Fprintln(w, exit.msg)
		}
		return exit.code
	default:
		fmt.Fprintln(w, "topicwire:", err)
		return 1
	}
}
