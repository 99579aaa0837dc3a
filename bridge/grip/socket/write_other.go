//go:build !unix

package socket

import "syscall"

func writeFd(uintptr, []byte) (int, error) { return 0, syscall.EAGAIN }

func readFd(uintptr, []byte) (int, error) { return 0, syscall.EAGAIN }

// rawReads: a socket cannot be waited for without a buffer.
const rawReads = false
