//go:build !linux

package bench

import "os/exec"

// startPinned starts cmd anywhere: pinning is for Linux.
func startPinned(cmd *exec.Cmd, _ int) error { return cmd.Start() }

// pinSelf does nothing.
func pinSelf(int) (undo func(), err error) { return func() {}, nil }

// cores lists none, so nothing is pinned.
func cores() []int { return nil }

// raiseFileLimit does nothing.
func raiseFileLimit() error { return nil }
