package machine

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

func newBlank(blocks int64) *Disk {
	return &Disk{size: blocks * block, kept: map[int64][]byte{}, cache: map[int64][][]byte{}}
}

// What was flushed, or written through, survives every power cut; what was not is as
// one of the writes since has left it, or as it was, each block for itself.
func TestDiskAfterAPowerCut(t *testing.T) {
	fill := func(b byte) []byte { return bytes.Repeat([]byte{b}, block) }
	seen := map[byte]bool{}
	for seed := range uint64(64) {
		d := newBlank(4)
		d.write(0, fill('a'), false)
		d.write(2*block, fill('a'), false)
		d.flush()
		d.write(0, fill('b'), false)
		d.write(0, fill('c'), false)
		d.write(block, fill('d'), true)
		d.write(3*block-1, []byte("xy"), false) // across a border
		b := make([]byte, 4*block)
		if d.read(0, b); b[0] != 'c' || b[block] != 'd' || b[3*block-1] != 'x' || b[3*block] != 'y' {
			t.Fatal("what was written is not read")
		}
		d.cut(rand.New(rand.NewPCG(seed, 0)))
		d.read(0, b)
		seen[b[0]] = true
		if !slices.Contains([]byte("abc"), b[0]) || !bytes.Equal(b[:block], fill(b[0])) {
			t.Fatalf("block 0 begins with %q", b[:8])
		}
		if !bytes.Equal(b[block:2*block], fill('d')) || !bytes.Equal(b[2*block:3*block-1], fill('a')[1:]) {
			t.Fatal("what was flushed has changed")
		}
		if x, y := b[3*block-1], b[3*block]; !slices.Contains([]byte("ax"), x) || y != 0 && y != 'y' {
			t.Fatalf("%q, %q", x, y)
		}
	}
	if len(seen) != 3 {
		t.Errorf("block 0 was one of %v", seen)
	}
}
