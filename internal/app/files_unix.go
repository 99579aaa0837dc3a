//go:build unix

package app

import "syscall"

// openFiles is how many files, connections among them, the process may have open; 0 =
// unknown. Go has raised the limit to what the system allows when the program started.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}
