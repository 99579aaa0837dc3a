//go:build unix

package natsd

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock locks the file for this process; the end of the process unlocks it.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// space is how many bytes of the folder's disk are free for us, and how many it has.
func space(dir string) (free, size uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := uint64(s.Bsize)
	return uint64(s.Bavail) * block, uint64(s.Blocks) * block, nil //nolint:unconvert // not of one type on every system
}
