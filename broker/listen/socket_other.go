//go:build !unix

package listen

import "syscall"

// rawSocket is not available here: connections are read and written as any net.Conn.
type rawSocket struct{}

func (*rawSocket) open(syscall.Conn)                  {}
func (*rawSocket) available() bool                    { return false }
func (*rawSocket) read([]byte, *buffers) (int, error) { return 0, syscall.EINVAL }
func (*rawSocket) taken() *readBuffer                 { return nil }
func (*rawSocket) tryWrite([]byte) (int, error)       { return 0, syscall.EINVAL }
