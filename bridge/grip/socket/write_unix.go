//go:build unix

package socket

import "syscall"

func writeFd(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
