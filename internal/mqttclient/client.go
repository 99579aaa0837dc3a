package mqttclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// What a Client reports besides the connection's own errors and *ReasonError.
var (
	// ErrClosed says that the client was closed by its user.
	ErrClosed = errors.New("the MQTT connection is closed")
	// ErrLost says that the server closed the connection without a DISCONNECT.
	ErrLost = errors.New("the server closed the connection")
	// ErrNoPong says that the server did not answer PINGREQ within the keep alive.
	ErrNoPong = errors.New("the server does not answer pings")
	// ErrProtocol says that the server sent a packet that has no place there.
	ErrProtocol = errors.New("the server broke the MQTT protocol")
)

// Options say how to connect. Only Target is required.
type Options struct {
	Target Target
	Dial   DialOptions
	// Version is V311 or V5; 0 is V5.
	Version Version
	// ClientID may be empty: the server then invents one.
	ClientID string
	// Resume asks for the session of an earlier connection: Clean Start (Clean Session)
	// is then off.
	Resume    bool
	KeepAlive time.Duration // whole seconds; 0 is 60 s, negative is off
	Username  *string       // nil: Target's, if it has one
	Password  []byte        // nil: Target's, if it has one
	Will      *Will
	Props     Properties // of CONNECT
	// Inflight is how many QoS 1 and 2 messages may await their acknowledgement;
	// 0 is 100. The server's Receive Maximum lowers it.
	Inflight int
	// Queue is how many received messages wait for Receive; 0 is 1024. When it is full the
	// client stops reading, acknowledgements and pings included.
	Queue int
	// ManualAck leaves QoS 1 and 2 messages unacknowledged until Ack is called.
	// Otherwise Receive acknowledges what it returns.
	ManualAck bool
	// Trace, if set, is told of every packet: sent by us or received. It is called by several
	// goroutines and must not keep the packet.
	Trace func(sent bool, p Packet)
}

// Client is one MQTT connection. Its methods may be called concurrently.
type Client struct {
	opts    Options
	conn    net.Conn
	in      *Reader
	out     *writer
	connack *Connack

	messages chan *Publish
	quota    chan struct{} // a slot for each message that may await its acknowledgement
	awaiting atomic.Bool   // a PINGRESP is due
	stalled  atomic.Bool   // the reader waits for room in messages
	leaving  atomic.Bool   // DISCONNECT has been queued: the server closes the connection now

	mu      sync.Mutex
	nextID  uint16
	pending map[uint16]*Token
	seen    map[uint16]bool // QoS 2 identifiers received and not yet released

	wg   sync.WaitGroup
	done chan struct{} // closed when the connection has ended
	once sync.Once
	err  error // why; set before done is closed
}

// Open dials, sends CONNECT and waits for CONNACK, as long as ctx allows. A refusal
// is a *ReasonError. The caller must end the client with Disconnect or Close.
func Open(ctx context.Context, o Options) (*Client, error) {
	o.defaults()
	conn, err := Dial(ctx, o.Target, o.Dial)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opts: o, conn: conn, in: NewReader(conn, 4096, 0), out: newWriter(conn),
		messages: make(chan *Publish, o.Queue), pending: map[uint16]*Token{}, seen: map[uint16]bool{},
		done: make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = c.handshake()
	if !stop() && err == nil { // it has been or is being closed
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("no CONNACK from %s: %w", o.Target.String(), ctx.Err())
		}
		return nil, err
	}
	c.start()
	return c, nil
}

func (o *Options) defaults() {
	if o.Version == 0 {
		o.Version = V5
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = time.Minute
	}
	o.KeepAlive = min(max(o.KeepAlive, 0), 65535*time.Second)
	if o.Inflight <= 0 {
		o.Inflight = 100
	}
	if o.Queue <= 0 {
		o.Queue = 1024
	}
	if o.Username == nil && o.Target.HasUser {
		o.Username = &o.Target.User
	}
	if o.Password == nil && o.Target.HasPassword {
		o.Password = []byte(o.Target.Password)
	}
}

func (c *Client) handshake() error {
	o := &c.opts
	hello := &Connect{
		ClientID: o.ClientID, CleanStart: !o.Resume, KeepAlive: uint16(o.KeepAlive / time.Second),
		Username: o.Username, Password: o.Password, Will: o.Will, Props: o.Props,
	}
	b, err := hello.Append(nil, o.Version)
	if err != nil {
		return err
	}
	c.trace(true, hello)
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	p, err := c.read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w before it answered CONNECT: perhaps it speaks no %s, or this is no MQTT port", ErrLost, o.Version)
	}
	if err != nil {
		return err
	}
	ack, ok := p.(*Connack)
	if !ok {
		return fmt.Errorf("%w: %s instead of CONNACK", ErrProtocol, p.Type()) // [MQTT-3.2.0-1]
	}
	if ack.Reason != 0 {
		return &ReasonError{Packet: CONNACK, Version: o.Version, Code: ack.Reason, Text: ack.Props.ReasonString}
	}
	c.connack = ack
	if a := ack.Props.AssignedClientID; a != "" {
		o.ClientID = a
	}
	if k := ack.Props.ServerKeepAlive; k != nil { // [MQTT-3.1.2-21]
		o.KeepAlive = time.Duration(*k) * time.Second
	}
	if r := int(ack.Props.ReceiveMaximum); r > 0 && r < o.Inflight {
		o.Inflight = r
	}
	return nil
}

// start begins the client's goroutines; Disconnect and Close wait for them.
func (c *Client) start() {
	c.quota = make(chan struct{}, c.opts.Inflight)
	c.wg.Go(func() { c.end(c.receive()) })
	c.wg.Go(func() {
		if err := c.out.run(); err != nil {
			c.end(err)
		}
	})
	if c.opts.KeepAlive > 0 {
		c.wg.Go(c.keepAlive)
	}
}

func (c *Client) send(ctx context.Context, p Packet) error {
	err := c.queue(ctx.Done(), p)
	if errors.Is(err, errCanceled) {
		return ctx.Err()
	}
	return err
}

func (c *Client) queue(cancel <-chan struct{}, p Packet) error {
	err := c.out.append(cancel, p, c.opts.Version)
	if err == nil {
		c.trace(true, p)
		return nil
	}
	if errors.Is(err, ErrClosed) {
		return c.Err()
	}
	return err
}

func (c *Client) trace(sent bool, p Packet) {
	if c.opts.Trace != nil {
		c.opts.Trace(sent, p)
	}
}

// end ends the connection once, for the reason err.
func (c *Client) end(err error) {
	c.once.Do(func() {
		if c.leaving.Load() {
			err = ErrClosed
		}
		c.err = err
		close(c.done)
		c.out.stop()
		_ = c.conn.Close()
	})
}

// Connack is the server's answer to CONNECT. It is read-only.
func (c *Client) Connack() *Connack { return c.connack }

// ClientID is the identifier in use, as given or as the server assigned it.
func (c *Client) ClientID() string { return c.opts.ClientID }

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the connection ended, or nil while it lasts: ErrClosed after Disconnect
// and Close, a *ReasonError after the server's DISCONNECT.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Disconnect writes out what has been sent, says goodbye and closes. A DISCONNECT with
// no fields, which d may be nil for, makes the server discard the will.
func (c *Client) Disconnect(ctx context.Context, d *Disconnect) error {
	if d == nil {
		d = &Disconnect{}
	}
	c.leaving.Store(true)
	err := c.send(ctx, d)
	if err == nil {
		err = c.out.flush(ctx.Done())
	}
	switch {
	case errors.Is(err, ErrClosed):
		err = c.Err()
	case errors.Is(err, errCanceled):
		err = ctx.Err()
	}
	_ = c.Close()
	return err
}

// Close cuts the connection without a DISCONNECT, as a crash would: the server publishes
// the will. It returns when the client's goroutines have ended. It never fails.
func (c *Client) Close() error {
	c.end(ErrClosed)
	c.wg.Wait()
	return nil
}
