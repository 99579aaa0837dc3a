package machine

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// block is what a disk writes at once: a power cut leaves it as it was or as it is to
// be.
const block = 4096

// Disk is a disk with a write cache. What the machine has flushed survives a power cut;
// of what it has only written any part may survive, in any order, as with the disks
// that one can buy. Make one with NewDisk.
type Disk struct {
	size int64

	mu     sync.Mutex
	kept   map[int64][]byte   // blocks that were flushed; one that is not there is zero
	cache  map[int64][][]byte // what was written since, each block's versions in their order
	stats  Stats
	served sync.WaitGroup
}

// Stats are what a disk has done.
type Stats struct {
	Writes, Flushes int // requests
	Dropped         int // blocks whose last version a power cut has lost
}

// NewDisk makes a disk with an ext4 file system of that many MB, with its defaults.
func NewDisk(tb testing.TB, megabytes int64) *Disk {
	tb.Helper()
	mkfs := testkit.Need(tb, "mkfs.ext4", "e2fsprogs")
	image := filepath.Join(tb.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Truncate(image, megabytes<<20); err != nil {
		tb.Fatal(err)
	}
	if r := testkit.Command(tb, nil, mkfs, "-q", "-F", image); r.Code != 0 {
		tb.Fatalf("%s: %s", mkfs, r.Stderr)
	}
	f, err := os.Open(image)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	d := &Disk{size: megabytes << 20, kept: map[int64][]byte{}, cache: map[int64][][]byte{}}
	var zero [block]byte
	for n := range d.size / block {
		b := make([]byte, block)
		if _, err := io.ReadFull(f, b); err != nil {
			tb.Fatal(err)
		}
		if [block]byte(b) != zero {
			d.kept[n] = b
		}
	}
	_ = os.Remove(image)
	return d
}

// Stats are those of the disk's life.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// read is the present content, of the cache or what is kept; the lock is held.
func (d *Disk) block(n int64) []byte {
	if versions := d.cache[n]; len(versions) > 0 {
		return versions[len(versions)-1]
	}
	return d.kept[n]
}

func (d *Disk) read(at int64, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(b) > 0 {
		from := at % block
		n := min(len(b), int(block-from))
		if have := d.block(at / block); have != nil {
			copy(b[:n], have[from:])
		} else {
			clear(b[:n])
		}
		b, at = b[n:], at+int64(n)
	}
}

// write puts b into the cache; with through it is kept at once.
func (d *Disk) write(at int64, b []byte, through bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Writes++
	for len(b) > 0 {
		from, number := at%block, at/block
		n := min(len(b), int(block-from))
		version := make([]byte, block)
		copy(version, d.block(number))
		copy(version[from:], b[:n])
		if through {
			d.kept[number] = version
			delete(d.cache, number)
		} else {
			d.cache[number] = append(d.cache[number], version)
		}
		b, at = b[n:], at+int64(n)
	}
}

func (d *Disk) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Flushes++
	for n, versions := range d.cache {
		d.kept[n] = versions[len(versions)-1]
	}
	clear(d.cache)
}

// cut is what a power cut does: nothing of the cache survives, or all of it, or some
// version of some of its blocks.
func (d *Disk) cut(rng *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	survive := []float64{0, 0.5, 1}[rng.IntN(3)]
	for n := range d.size / block { // in an order that a seed repeats
		versions := d.cache[n]
		if len(versions) == 0 {
			continue
		}
		last := len(versions) - 1
		switch {
		case survive == 1:
			d.kept[n] = versions[last]
		case rng.Float64() < survive:
			v := rng.IntN(len(versions))
			d.kept[n] = versions[v]
			if v != last {
				d.stats.Dropped++
			}
		default:
			d.stats.Dropped++
		}
	}
	clear(d.cache)
}
