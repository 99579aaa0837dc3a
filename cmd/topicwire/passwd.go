package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/term"

	"github.com/topicwire/topicwire/broker/auth"
)

// PasswdCmd writes password files.
type PasswdCmd struct {
	File   string `arg:"" placeholder:"FILE" help:"The password file; made if it is not there."`
	User   string `arg:"" optional:"" placeholder:"USER" help:"The user. Without one, the users are listed."`
	Delete bool   `short:"D" xor:"do" help:"Delete the user."`
	Check  bool   `xor:"do" help:"Say whether the password is the user's; exit status 1 if it is not."`
}

// Help shows examples.
func (PasswdCmd) Help() string {
	return `Adds a user, or gives one another password. The password is asked for on the
terminal, or read as one line of standard input if that is no terminal. The file holds an
argon2id hash of it and is replaced at once: a server that has it under auth.methods reads it
again by itself. A new file can be read by you alone; one that is there keeps its owner and
its permissions. Connections of a user who is deleted or
gets another password end.

Examples:
  topicwire passwd passwords ada
  openssl rand -base64 24 | tee ada.secret | topicwire passwd passwords ada
  topicwire passwd passwords ada --delete`
}

// Run does it.
func (c PasswdCmd) Run(s *Streams) error {
	f, err := auth.ReadPasswordFile(c.File)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && (c.User == "" || c.Delete || c.Check):
		return fmt.Errorf("there is no file %s", c.File)
	case missing:
		f = auth.NewPasswordFile(c.File)
	case err != nil:
		return err
	}
	switch {
	case c.User == "" && (c.Delete || c.Check):
		return exitError{code: 2, msg: "topicwire: name the user"}
	case c.User == "":
		for _, u := range f.Users() {
			fmt.Fprintln(s.Out, u)
		}
		return nil
	case c.Delete:
		if !f.Delete(c.User) {
			return fmt.Errorf("there is no user %q in %s", c.User, c.File)
		}
		if err := f.Write(); err != nil {
			return err
		}
		fmt.Fprintf(s.Err, "%s was deleted\n", c.User)
		return nil
	}
	password, err := readPassword(s, !c.Check)
	if err != nil {
		return err
	}
	if c.Check {
		if !f.Matches(c.User, password) {
			return exitError{code: 1, msg: "topicwire: that is not the password of a user of this name"}
		}
		fmt.Fprintln(s.Err, "the password is right")
		return nil
	}
	existed, err := f.Set(c.User, password)
	if err != nil {
		return err
	}
	if err := f.Write(); err != nil {
		return err
	}
	switch {
	case missing:
		fmt.Fprintf(s.Err, "%s was made, with %s in it; configure it: auth: {methods: [{password: {file: %s}}]}\n", c.File, c.User, c.File)
	case existed:
		fmt.Fprintf(s.Err, "%s has another password\n", c.User)
	default:
		fmt.Fprintf(s.Err, "%s was added\n", c.User)
	}
	return nil
}

var (
	errDifferent = errors.New("the two passwords differ: nothing was changed")
	errNoLine    = errors.New("there is no password on standard input")
)

// maxPasswordLine bounds what is read; MQTT carries 65,535 bytes.
const maxPasswordLine = 65535

// readPassword asks on the terminal, twice for a new one, or reads a line.
func readPassword(s *Streams, twice bool) ([]byte, error) {
	if f, ok := s.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		ask := func(prompt string) ([]byte, error) {
			fmt.Fprint(s.Err, prompt)
			defer fmt.Fprintln(s.Err)
			return term.ReadPassword(int(f.Fd()))
		}
		first, err := ask("Password: ")
		if err != nil || !twice {
			return first, err
		}
		second, err := ask("Again: ")
		if err == nil && !bytes.Equal(first, second) {
			err = errDifferent
		}
		return first, err
	}
	line, err := bufio.NewReader(io.LimitReader(s.In, maxPasswordLine+2)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return nil, errNoLine
	}
	return line, nil
}
