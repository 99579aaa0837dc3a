package listen

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// piped runs h on one end of a pipe, in the bubble's time, and returns the other.
func piped(opts Options, h Handler) (peer net.Conn, done chan struct{}) {
	server, peer := net.Pipe()
	r := newRunner(opts)
	c := newConn(server, Info{}, &r.opts, r.stats)
	done = make(chan struct{})
	r.start(c, h, nil, func() { close(done) })
	return peer, done
}

func TestNoConnectInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 1)
		start := time.Now()
		peer, done := piped(Options{}, func(c *Conn) { errs <- readPackets(c, func([]byte) {}) })
		_, _ = peer.Write([]byte{0x10}) // a byte of a CONNECT does not help
		if err := <-errs; !errors.Is(err, ErrConnectTimeout) {
			t.Errorf("Read = %v, want ErrConnectTimeout", err)
		}
		if got := time.Since(start); got != DefaultConnectTimeout {
			t.Errorf("after %v, want %v", got, DefaultConnectTimeout)
		}
		_ = peer.Close()
		<-done
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 1)
		told := make(chan error, 1)
		peer, done := piped(Options{}, func(c *Conn) {
			c.OnProblem(func(err error) { told <- err })
			errs <- readPackets(c, func(p []byte) {
				if p[0] == 0x10 {
					c.Established()
					c.SetKeepAlive(90 * time.Second)
				}
			})
		})
		_, _ = peer.Write([]byte{0x10, 0})
		synctest.Wait()
		for range 5 {
			<-time.After(80 * time.Second)
			if _, err := peer.Write([]byte{0xc0, 0}); err != nil {
				t.Fatalf("the connection ended although it sent PINGREQ in time: %v", err)
			}
		}
		last := time.Now()
		if err := <-errs; !errors.Is(err, ErrKeepAlive) {
			t.Errorf("Read = %v, want ErrKeepAlive", err)
		}
		if got := time.Since(last); got != 90*time.Second {
			t.Errorf("%v after the last packet, want 90s", got)
		}
		if err := <-told; !errors.Is(err, ErrKeepAlive) {
			t.Errorf("OnProblem got %v", err)
		}
		_ = peer.Close()
		<-done
	})
}

// A keep alive of 65535 s is 27 hours with its half, and 0 is for ever.
func TestKeepAliveOfAnyLength(t *testing.T) {
	for _, keepAlive := range []time.Duration{65535 * 3 * time.Second / 2, 0} {
		synctest.Test(t, func(t *testing.T) {
			peer, done := piped(Options{}, func(c *Conn) {
				c.Established()
				c.SetKeepAlive(keepAlive)
				echo(c)
			})
			<-time.After(27 * time.Hour)
			go func() { _, _ = peer.Write([]byte{0xc0, 0}) }()
			if _, err := io.ReadFull(peer, make([]byte, 2)); err != nil {
				t.Errorf("keep alive %v: the connection has ended: %v", keepAlive, err)
			}
			_ = peer.Close()
			<-done
		})
	}
}

// A handler that does not return after the end of its connection cannot keep the
// socket, nor can a peer that neither reads nor hangs up.
func TestTheSocketIsClosedAtTheLatestAfterLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		start := time.Now()
		peer, done := piped(Options{}, func(c *Conn) {
			c.Established()
			_, _ = c.Write(packet(100)) // nobody reads it
			c.CloseAfterFlush(3 * time.Second)
			<-release
		})
		if _, err := peer.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write = %v, want a closed pipe", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("closed after %v, want 3s", got)
		}
		close(release)
		<-done
	})
}
