package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestLimiterCountsByAddress(t *testing.T) {
	l := NewLimiter(Limits{MaxConnections: 5, MaxConnectionsPerAddress: 2})
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.2")
	for i, want := range []error{nil, nil, ErrTooManyFromAddress} {
		if err := l.Acquire(a); !errors.Is(err, want) {
			t.Errorf("%d: Acquire(a) = %v, want %v", i, err, want)
		}
	}
	l.Release(a)
	if err := l.Acquire(a); err != nil {
		t.Errorf("after Release: %v", err)
	}
	for i, want := range []error{nil, nil, ErrTooManyFromAddress} {
		if err := l.Acquire(b); !errors.Is(err, want) {
			t.Errorf("%d: Acquire(b) = %v, want %v", i, err, want)
		}
	}
	loop := netip.MustParseAddr("127.0.0.1")
	for i, want := range []error{nil, ErrTooMany} { // the limit of all counts for loopback too
		if err := l.Acquire(loop); !errors.Is(err, want) {
			t.Errorf("%d: Acquire(loopback) = %v, want %v", i, err, want)
		}
	}
	if l.Open() != 5 {
		t.Errorf("Open = %d, want 5", l.Open())
	}
}

func TestLoopbackHasNoLimitPerAddress(t *testing.T) {
	l := NewLimiter(Limits{MaxConnectionsPerAddress: 1, ConnectRatePerAddress: 0.001})
	for _, s := range []string{"127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"} {
		for range 10 {
			if err := l.Acquire(netip.MustParseAddr(s)); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
	}
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	l := NewLimiter(Limits{MaxConnectionsPerAddress: 1})
	if err := l.Acquire(netip.MustParseAddr("2001:db8::1")); err != nil {
		t.Fatal(err)
	}
	if err := l.Acquire(netip.MustParseAddr("2001:db8::ffff:2%eth0")); !errors.Is(err, ErrTooManyFromAddress) {
		t.Errorf("the same /64: %v, want ErrTooManyFromAddress", err)
	}
	if err := l.Acquire(netip.MustParseAddr("2001:db8:0:1::1")); err != nil {
		t.Errorf("another /64: %v", err)
	}
}

func TestConnectRate(t *testing.T) {
	now := time.Unix(1000, 0)
	l := NewLimiter(Limits{ConnectRatePerAddress: 2})
	l.now = func() time.Time { return now }
	a := netip.MustParseAddr("192.0.2.1")
	connect := func() (n int) {
		for l.Acquire(a) == nil {
			l.Release(a)
			n++
		}
		return n
	}
	if n := connect(); n != 4 {
		t.Errorf("%d at once, want 4", n)
	}
	now = now.Add(500 * time.Millisecond)
	if n := connect(); n != 1 {
		t.Errorf("%d after half a second, want 1", n)
	}
	now = now.Add(time.Hour)
	if n := connect(); n != 4 {
		t.Errorf("%d after an hour, want 4", n)
	}
}

func TestLimiterForgetsVisitors(t *testing.T) {
	l := NewLimiter(Limits{ConnectRatePerAddress: 1, MaxConnectionsPerAddress: 3})
	stays := netip.MustParseAddr("192.0.2.1")
	_ = l.Acquire(stays)
	for i := range 5 * forgetAt {
		a := netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff))
		if err := l.Acquire(a); err != nil {
			t.Fatal(err)
		}
		l.Release(a)
	}
	if len(l.from) > 2*forgetAt {
		t.Errorf("%d addresses are remembered", len(l.from))
	}
	if l.from[stays] == nil {
		t.Error("an address with a connection was forgotten")
	}
	l.Release(stays)
	if l.Open() != 0 {
		t.Errorf("Open = %d, want 0", l.Open())
	}
}
