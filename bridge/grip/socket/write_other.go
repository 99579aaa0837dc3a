//go:build !unix

package socket

import "syscall"

func writeFd(uintptr, []byte) (int, error) { return 0, syscall.EAGAIN }
