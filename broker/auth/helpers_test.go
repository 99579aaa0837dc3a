package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/broker/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an authenticator under test, with its log and its clock.
type bench struct {
	*auth.Authenticator
	t   testing.TB
	log *logged

	mu  sync.Mutex
	now time.Time
}

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (b *bench) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// start makes an authenticator with one configuration in force.
func start(tb testing.TB, cfg auth.Config, o auth.Options) *bench {
	tb.Helper()
	b := &bench{t: tb, log: &logged{}, now: time.Now()}
	o.Log = zerolog.New(b.log).Level(zerolog.DebugLevel)
	b.Authenticator = auth.New(o)
	b.SetNow(b.Now)
	b.load(cfg)
	return b
}

func (b *bench) load(cfg auth.Config) {
	b.t.Helper()
	set, err := b.Prepare(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Load(set)
}

// lets expects a principal of that name.
func (b *bench) lets(c *auth.Credentials, name string) *auth.Principal {
	b.t.Helper()
	p, err := b.Authenticate(b.t.Context(), c)
	if err != nil {
		b.t.Fatalf("%v is refused: %v", c, err)
	}
	if p.Name != name || !p.May(auth.Publish, "a") {
		b.t.Fatalf("the principal is %q, want %q", p.Name, name)
	}
	return p
}

// refuses expects an error that is want.
func (b *bench) refuses(c *auth.Credentials, want error) error {
	b.t.Helper()
	p, err := b.Authenticate(b.t.Context(), c)
	if err == nil {
		b.t.Fatalf("%q got in", p.Name)
	}
	if !errors.Is(err, want) {
		b.t.Fatalf("got %v, want %v", err, want)
	}
	return err
}

// run runs the authenticator until the test ends.
func (b *bench) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
}

// login is what a client with a user name and password shows, from an address of the
// network.
func login(user, password string) *auth.Credentials {
	return from("192.0.2.7", user, password)
}

func from(addr, user, password string) *auth.Credentials {
	return &auth.Credentials{
		ClientID: "c", Username: user, HasUsername: true, Password: []byte(password),
		Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 4711),
	}
}

func write(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	rewrite(tb, path, text)
	return path
}

func rewrite(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// refuseAll refuses everybody whom a method has let in.
func refuseAll(err error) func(context.Context, *auth.Principal, *auth.Credentials) (*auth.Principal, error) {
	return func(context.Context, *auth.Principal, *auth.Credentials) (*auth.Principal, error) {
		return nil, fmt.Errorf("%w: %w", auth.ErrRefused, err)
	}
}
