package listen

import "testing"

// A reader takes its share of a long line and leaves the rest to a worker: others
// may be adding to it all the time.
func TestAReaderDoesNotServeForEver(t *testing.T) {
	const conns = 2 * helpings * takeAtOnce
	f := NewFlusher()
	f.max = 0 // no workers before the reader is done
	f.begin()
	var line []*Conn
	for range conns {
		c := reading(&stream{}, 0)
		c.opts.Flusher = f
		c.writeState = writeLine
		line = append(line, c)
		f.add(c)
	}
	f.mu.Lock()
	f.max = 1
	f.mu.Unlock()
	f.end()
	f.Wait()
	for i, c := range line {
		c.mu.Lock()
		if c.writeState != writeIdle {
			t.Errorf("connection %d of %d was forgotten", i, conns)
		}
		c.mu.Unlock()
	}
	if f.waiting.Load() != 0 || f.reading.Load() != 0 || f.workers != 0 {
		t.Errorf("left: %d waiting, %d reading, %d workers", f.waiting.Load(), f.reading.Load(), f.workers)
	}
}

func TestTheShareOfAReader(t *testing.T) {
	f := NewFlusher()
	f.max = 0 // no workers
	f.begin()
	for range helpings*takeAtOnce + 3 {
		c := reading(&stream{}, 0)
		c.opts.Flusher = f
		c.writeState = writeLine
		f.add(c)
	}
	if left := f.flushSome(); !left || f.waiting.Load() != 3 {
		t.Errorf("left = %v with %d waiting, want 3", left, f.waiting.Load())
	}
	f.end()
	if f.waiting.Load() != 0 {
		t.Errorf("%d are waiting after the next share", f.waiting.Load())
	}
}
