package main

import kongcompletion "github.com/jotaen/kong-completion"

// CompletionCmd says how a shell learns of the commands and flags.
type CompletionCmd struct {
	kongcompletion.Completion `embed:""`
}

// Help shows examples.
func (*CompletionCmd) Help() string {
	return `Prints the command that turns completion on in this session, and the file of the shell's
into which it goes for all sessions; with --code, the code itself. Without a shell's name it
takes yours.

Examples:
  topicwire completion
  topicwire completion bash --code >> ~/.bashrc`
}
