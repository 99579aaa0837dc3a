package natsd

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Where the built-in server has its files, in its folder.
const (
	blockFiles = "jetstream/*/streams/*/msgs/*.blk"
	indexFiles = "jetstream/*/streams/*/msgs/index.db"
)

// closed is what stands in the lock file after an end in good order.
const closed = "closed\n"

// wasClosed reports whether the last server has ended in good order, and takes the note
// of it back, on the disk: from now on it has not.
func wasClosed(lock *os.File) (bool, error) {
	note, err := io.ReadAll(lock)
	if err != nil || len(note) == 0 {
		return false, err
	}
	return string(note) == closed, errors.Join(lock.Truncate(0), lock.Sync())
}

// noteClosed is the note.
func noteClosed(lock *os.File) {
	if _, err := lock.WriteAt([]byte(closed), 0); err == nil {
		_ = lock.Sync()
	}
}

// forgetIndexes removes what a server has noted about its streams' files. After a power
// cut the note may be newer than the files, and the next server would take messages for
// deleted that have never reached the disk: a hole where there is only an end. Without
// it the server reads the files, as the journal does anyway.
func (e *embedded) forgetIndexes() error {
	files, err := fs.Glob(os.DirFS(e.dir), indexFiles)
	for _, name := range files {
		err = errors.Join(err, os.Remove(filepath.Join(e.dir, name)))
	}
	return err
}

// condition is how a file was when it was written to the disk.
type condition struct {
	size int64
	at   time.Time
}

// sync writes to the disk what is only in the operating system's memory of the streams'
// messages, of those files that have changed since the last time.
func (e *embedded) sync() error {
	if e.s.config.Durability == Fsync {
		return nil // it is there
	}
	e.syncing.Lock()
	defer e.syncing.Unlock()
	files, err := fs.Glob(os.DirFS(e.dir), blockFiles)
	if err != nil {
		return err
	}
	kept := make(map[string]condition, len(files))
	for _, name := range files {
		at, err := syncFile(filepath.Join(e.dir, name), e.kept[name])
		if errors.Is(err, fs.ErrNotExist) {
			continue // thrown away meanwhile
		}
		if err != nil {
			return err
		}
		kept[name] = at
	}
	e.kept = kept
	return nil
}

func syncFile(name string, last condition) (condition, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return last, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return last, err
	}
	now := condition{info.Size(), info.ModTime()}
	if now == last {
		return now, nil
	}
	return now, f.Sync()
}
