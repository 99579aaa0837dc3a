package listen

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Whatever is written until the reader comes back leaves in one write.
func TestWritesCoalesce(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	blocked, release := make(chan struct{}), make(chan struct{})
	l := serveTCP(t, Options{Name: "x", Metrics: m}, func(c *Conn) {
		// A stuck flusher stands for a busy processor: what is written meanwhile waits.
		c.mu.Lock()
		c.writeState = writeLine
		c.mu.Unlock()
		for range 1000 {
			if _, err := c.Write(packet(100)); err != nil {
				t.Error(err)
			}
		}
		close(blocked)
		<-release
		c.opts.Flusher.add(c)
		discard(c)
	})
	c := dial(t, l.Addr())
	<-blocked
	close(release)
	if _, err := io.ReadFull(c, make([]byte, 102_000)); err != nil {
		t.Fatal(err)
	}
	if n := m.forListener("x").writes.Load(); n > 5 {
		t.Errorf("1000 packets took %v writes", n)
	}
}

func TestAStuckClientSlowsNobody(t *testing.T) {
	conns := make(chan *Conn, 2)
	l := serveTCP(t, Options{WriteLimit: 1 << 20, Drain: time.Millisecond * 100}, func(c *Conn) {
		c.Established()
		conns <- c
		discard(c)
	})
	stuck := dial(t, l.Addr())
	s := <-conns
	drained := make(chan struct{}, 1)
	s.OnDrain(func() {
		select {
		case drained <- struct{}{}:
		default:
		}
	})
	var err error
	sent := 0
	for err == nil { // never waits, so this ends
		if _, err = s.Write(packet(10_000)); err == nil {
			sent++
		}
	}
	if !errors.Is(err, ErrSlow) {
		t.Errorf("Write = %v, want ErrSlow", err)
	}
	if s.Queued() == 0 {
		t.Error("nothing is queued for a client that does not read")
	}
	// Others of the same flusher are served meanwhile.
	good := dial(t, l.Addr())
	g := <-conns
	for range 100 {
		_, _ = g.Write(packet(10))
		if _, err := io.ReadFull(good, make([]byte, 12)); err != nil {
			t.Fatal(err)
		}
	}
	// When it reads at last, it gets all that was accepted, and OnDrain is called.
	if _, err := io.ReadFull(stuck, make([]byte, sent*10_003)); err != nil {
		t.Fatal(err)
	}
	for s.Congested() {
		<-drained
	}
	if q := s.Queued(); q > s.opts.LowWater {
		t.Errorf("%d bytes are queued when it has read all", q)
	}
}

// Readers flush for everybody when they have done their work. One whose work takes
// for ever must not keep others' bytes back.
func TestABusyReaderHoldsNothingBack(t *testing.T) {
	conns, release := make(chan *Conn, 2), make(chan struct{})
	busy := make(chan struct{}, 1)
	l := serveTCP(t, Options{}, func(c *Conn) {
		c.Established()
		conns <- c
		_ = readPackets(c, func([]byte) {
			busy <- struct{}{}
			<-release
		})
	})
	first := dial(t, l.Addr())
	<-conns
	_, _ = first.Write(packet(1))
	<-busy
	second := dial(t, l.Addr())
	c := <-conns
	for range 20 {
		_, _ = c.Write(packet(10))
		if _, err := io.ReadFull(second, make([]byte, 12)); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
}

// Many writers and many connections: everything arrives, in order, once.
func TestEverythingArrivesInOrder(t *testing.T) {
	const clients, packets = 40, 300
	conns := make(chan *Conn, clients)
	l := serveTCP(t, Options{}, func(c *Conn) {
		c.Established()
		conns <- c
		echo(c)
	})
	var to []*Conn
	var readers errgroup.Group
	for range clients {
		c := dial(t, l.Addr())
		to = append(to, <-conns)
		go func() { _, _ = c.Write(bytes.Repeat([]byte{0xc0, 0}, packets)) }() // its reader is at work meanwhile
		readers.Go(func() error {
			next := map[byte]byte{}
			r := bufio.NewReader(c)
			for range packets * 3 {
				p := make([]byte, 2, 4)
				if _, err := io.ReadFull(r, p); err != nil {
					return err
				}
				if p[0] == 0xc0 {
					continue
				}
				p = p[:4]
				if _, err := io.ReadFull(r, p[2:]); err != nil {
					return err
				}
				if writer, n := p[2], p[3]; next[writer] != n {
					return fmt.Errorf("packet %d of writer %d arrived, want %d", n, writer, next[writer])
				}
				next[p[2]]++
			}
			return nil
		})
	}
	for writer := range byte(2) {
		readers.Go(func() error {
			for n := range packets {
				for _, c := range to {
					if _, err := c.Write([]byte{0x30, 2, writer, byte(n)}); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := readers.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAStuckClientIsCutAfterTheWriteTimeout(t *testing.T) {
	problems := make(chan error, 1)
	l := serveTCP(t, Options{WriteTimeout: 50 * time.Millisecond, WriteLimit: 64 << 20}, func(c *Conn) {
		c.Established()
		c.OnProblem(func(err error) { problems <- err })
		for range 10 { // more than the system keeps for a socket
			_, _ = c.Write(packet(4_000_000))
		}
		discard(c)
	})
	dial(t, l.Addr())
	wants(t, problems, ErrStuck)
}

// A server that closes with unread input resets the connection, and the client
// loses the DISCONNECT that was to say why.
func TestCloseLosesNothing(t *testing.T) {
	last := []byte{0xe0, 2, 0x8b, 0}
	read := make(chan struct{})
	l := serveTCP(t, Options{}, func(c *Conn) {
		c.Established()
		p := make([]byte, 10)
		_, _ = c.Read(p)
		close(read)
		_, _ = c.Write(packet(1 << 20))
		_, _ = c.Write(last)
		_ = c.Close()
		if _, err := c.Write(last); !errors.Is(err, ErrClosed) {
			t.Errorf("Write after Close: %v, want ErrClosed", err)
		}
	})
	c := dial(t, l.Addr())
	_, _ = c.Write(bytes.Repeat(packet(1000), 20)) // most of it stays unread
	<-read
	got := readAll(t, c)
	if !bytes.HasSuffix(got, last) || len(got) != 1<<20+4+len(last) {
		t.Errorf("got %d bytes ending in %x", len(got), got[max(0, len(got)-4):])
	}
}

func TestCloseFromElsewhereEndsTheReader(t *testing.T) {
	conns, errs := make(chan *Conn), make(chan error, 1)
	l := serveTCP(t, Options{}, func(c *Conn) {
		c.OnProblem(func(err error) { t.Errorf("closing is no problem, got %v", err) })
		conns <- c
		errs <- readPackets(c, func([]byte) {})
	})
	c := dial(t, l.Addr())
	_ = (<-conns).Close()
	wants(t, errs, ErrClosed)
	readAll(t, c)
}
