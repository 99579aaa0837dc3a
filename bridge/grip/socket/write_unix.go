//go:build unix

package socket

import "syscall"

func writeFd(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

func readFd(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// rawReads: a socket can be waited for without a buffer.
const rawReads = true
