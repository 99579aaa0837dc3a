package machine

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
)

// source is the content of a file in the machine: of a file of ours, or a text.
type source struct {
	file string
	text string
}

// writeArchive writes files, by their paths in the machine, as the kernel wants its
// first file system: a cpio archive of the form that it calls newc.
func writeArchive(name string, files map[string]source) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	a := &archive{w: bufio.NewWriterSize(f, 1<<20)}
	folders := map[string]bool{"/": true, ".": true}
	for _, at := range slices.Sorted(maps.Keys(files)) {
		a.folder(path.Dir(at), folders)
		a.source(at, files[at])
	}
	a.entry("TRAILER!!!", 0, 0)
	if a.err == nil {
		a.err = a.w.Flush()
	}
	if err := f.Close(); a.err == nil {
		a.err = err
	}
	return a.err
}

type archive struct {
	w   *bufio.Writer
	n   int // bytes written, for the padding
	ino int
	err error
}

const (
	modeFolder  = 0o040755
	modeProgram = 0o100755
)

// entry writes the head of an entry.
func (a *archive) entry(name string, mode, size int) {
	a.ino++
	head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0, name)
	a.write([]byte(head))
	a.pad()
}

func (a *archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
	a.n += len(b)
}

func (a *archive) pad() { a.write(make([]byte, -a.n&3)) }

// folder writes a folder and those above it, each once.
func (a *archive) folder(name string, done map[string]bool) {
	if done[name] {
		return
	}
	done[name] = true
	a.folder(path.Dir(name), done)
	a.entry(name[1:], modeFolder, 0)
}

func (a *archive) source(at string, s source) {
	if a.err != nil {
		return
	}
	if s.file == "" {
		a.entry(at[1:], modeProgram, len(s.text))
		a.write([]byte(s.text))
		a.pad()
		return
	}
	f, err := os.Open(s.file)
	if err != nil {
		a.err = err
		return
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		a.err = err
		return
	}
	a.entry(at[1:], modeProgram, int(info.Size()))
	n, err := io.Copy(a.w, f)
	if a.n += int(n); a.err == nil {
		a.err = err
	}
	a.pad()
}
