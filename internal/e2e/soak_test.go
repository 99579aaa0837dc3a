package e2e

import (
	"bufio"
	bigendian "encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/testkit"
)

// The size of TestEverybodyComesBackAtOnce: a tenth in CI, all of it in `make soak`.
const (
	fullSize  = 20_000
	smallSize = 2_000
	// spareFiles are what a process has open besides connections.
	spareFiles = 100
)

// soakSize is how many clients there are to be, and not more than either process may
// have connections.
func soakSize(t *testing.T) int {
	t.Helper()
	n := smallSize
	if os.Getenv("TOPICWIRE_SOAK") != "" {
		n = fullSize
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if most := int(min(files.Max, 1<<20)) - spareFiles; n > most {
		t.Logf("%d clients instead of %d: a process may have %d files open (ulimit -Hn)", most, n, files.Max)
		n = most
	}
	return n
}

// All clients go at once and come back at once; those with a session find everything
// that was published meanwhile, in order, and nobody is lost. A tenth has a session.
func TestEverybodyComesBackAtOnce(t *testing.T) {
	const waiting = 10
	clients := soakSize(t)
	kept := clients / 10
	config := filepath.Join(t.TempDir(), "config.yaml")
	testkit.WriteFiles(t, filepath.Dir(config), map[string]string{"config.yaml": "listen: {mqtt: 127.0.0.1:0}\n" + os.Getenv("TOPICWIRE_SOAK_CONFIG")})
	s := testkit.Serve(t, binary.Path(t), config)
	crowd := &crowd{t: t, address: s.MQTT, all: make([]*bare, clients), kept: kept}

	began := time.Now()
	crowd.connect(false)
	crowd.each(func(i int, c *bare) error {
		if i >= kept {
			return c.ping()
		}
		return c.subscribe("to/" + strconv.Itoa(i))
	})
	t.Logf("%d clients, %d of them with a session, connected in %v", clients, kept, time.Since(began))
	crowd.each(func(_ int, c *bare) error { return c.conn.Close() })

	publisher, err := dialBare(s.MQTT, 0)
	if err == nil {
		_, err = publisher.hello("publisher", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	for round := range waiting {
		if err := publisher.publishAll(kept, strconv.Itoa(round)); err != nil {
			t.Fatal(err)
		}
	}

	began = time.Now()
	crowd.connect(true)
	crowd.each(func(i int, c *bare) error {
		for round := 0; i < kept && round < waiting; round++ {
			if err := c.take("to/"+strconv.Itoa(i), strconv.Itoa(round)); err != nil {
				return err
			}
		}
		return c.ping() // and nothing else has come
	})
	t.Logf("all were back, with what had waited for them, after %v", time.Since(began))
	crowd.each(func(_ int, c *bare) error { return c.conn.Close() })
	_ = publisher.conn.Close()
}

// crowd are many clients.
type crowd struct {
	t       *testing.T
	address string
	all     []*bare
	kept    int // the first so many have a session that outlives them
}

// connect connects everybody at once.
func (c *crowd) connect(again bool) {
	c.t.Helper()
	c.each(func(i int, _ *bare) error {
		client, err := dialBare(c.address, i)
		if err != nil {
			return err
		}
		c.all[i] = client
		present, err := client.hello("client-"+strconv.Itoa(i), i >= c.kept)
		if err == nil && present != (again && i < c.kept) {
			err = fmt.Errorf("session present: %v", present)
		}
		return err
	})
}

// each does something with every client, a few hundred at a time: so many connections
// may wait to be accepted.
func (c *crowd) each(do func(i int, client *bare) error) {
	c.t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 256 {
		wg.Go(func() {
			for i := range next {
				if err := do(i, c.all[i]); err != nil {
					c.t.Errorf("client %d: %v", i, err)
				}
			}
		})
	}
	for i := range c.all {
		if c.t.Failed() {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// bare is an MQTT 3.1.1 client that costs little more than its socket.
type bare struct {
	conn net.Conn
	r    *bufio.Reader
}

// dialBare connects from one of many addresses of this machine: one alone has not
// enough ports.
func dialBare(address string, i int) (*bare, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%16))}}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	return &bare{conn: conn, r: bufio.NewReaderSize(conn, 64)}, nil
}

func text(s string) []byte {
	return append(bigendian.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func (c *bare) send(first byte, body ...[]byte) error {
	p := []byte{first, 0}
	for _, b := range body {
		p = append(p, b...)
	}
	p[1] = byte(len(p) - 2) // all are short
	_, err := c.conn.Write(p)
	return err
}

// want reads a packet of at most 127 bytes.
func (c *bare) want(first byte) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(c.r, body); err != nil {
		return nil, err
	}
	if head[0] != first {
		return nil, fmt.Errorf("got a packet %x %x, want %x", head, body, first)
	}
	return body, nil
}

func (c *bare) hello(id string, clean bool) (present bool, err error) {
	flags := byte(0)
	if clean {
		flags = 2
	}
	if err := c.send(0x10, text("MQTT"), []byte{4, flags, 0, 0}, text(id)); err != nil {
		return false, err
	}
	ack, err := c.want(0x20)
	if err != nil {
		return false, err
	}
	if ack[1] != 0 {
		return false, fmt.Errorf("CONNACK with code %d", ack[1])
	}
	return ack[0] == 1, nil
}

func (c *bare) subscribe(filter string) error {
	if err := c.send(0x82, []byte{0, 1}, text(filter), []byte{1}); err != nil {
		return err
	}
	_, err := c.want(0x90)
	return err
}

func (c *bare) ping() error {
	if err := c.send(0xC0); err != nil {
		return err
	}
	_, err := c.want(0xD0)
	return err
}

// publishAll publishes to the topics of the first n clients, at QoS 1.
func (c *bare) publishAll(n int, payload string) error {
	failed := make(chan error, 1)
	go func() {
		for i := range n {
			if err := c.send(0x32, text("to/"+strconv.Itoa(i)), []byte{byte((i + 1) >> 8), byte(i + 1)}, []byte(payload)); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	for range n {
		if _, err := c.want(0x40); err != nil {
			return err
		}
	}
	return <-failed
}

// take reads a message and acknowledges it.
func (c *bare) take(topic, payload string) error {
	body, err := c.want(0x32)
	if err != nil {
		return err
	}
	id := body[2+len(topic) : 4+len(topic)]
	if got := string(body[2:2+len(topic)]) + " " + string(body[4+len(topic):]); got != topic+" "+payload {
		return fmt.Errorf("got %q, want %q", got, topic+" "+payload)
	}
	return c.send(0x40, id)
}
