//go:build unix

package auth

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// giveTo gives a file that takes the place of another one the owner, the group and the
// permissions of that: the server that reads it need not be whoever writes it.
func giveTo(f *os.File, old fs.FileInfo) error {
	if s, ok := old.Sys().(*syscall.Stat_t); ok && (int(s.Uid) != os.Geteuid() || int(s.Gid) != os.Getegid()) {
		if err := f.Chown(int(s.Uid), int(s.Gid)); err != nil {
			return fmt.Errorf("the file belongs to user %d and group %d: do it as that user, or as root: %w", s.Uid, s.Gid, err)
		}
	}
	return f.Chmod(old.Mode().Perm())
}
