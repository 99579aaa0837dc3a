package auth

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What is remembered is bounded: the key with most signatures forgets first those that
// expire first, and the counter says so. Where none may be used twice, none is forgotten.
func TestSignaturesAreBounded(t *testing.T) {
	t.Parallel()
	m := newMetrics(nil)
	s := newSignatures(m, "test")
	s.most = 1000
	now, here, there := time.Unix(1_000_000, 0), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	mac := func(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8, 32), n) }
	use := func(key string, n uint64, from netip.Addr, lasts time.Duration, strict bool) (again, full bool) {
		_, again, full = s.use(key, mac(n), from, now.Add(lasts), now, strict)
		return again, full
	}
	if again, full := use("quiet", 0, here, time.Hour, false); again || full {
		t.Fatal(again, full)
	}
	for n := range uint64(100_000) { // each lasts longer than the one before
		if again, full := use("busy", n, here, time.Hour+time.Duration(n)*time.Millisecond, false); again || full {
			t.Fatal(n, again, full)
		}
	}
	forgotten := int(testutil.ToFloat64(m.forgotten.WithLabelValues("test")))
	if s.n > 1000 || s.n < 900 || forgotten != 100_001-s.n || len(s.keys["busy"].first) != s.n-1 || len(s.keys["busy"].due) != s.n-1 {
		t.Errorf("%d are remembered, %d forgotten", s.n, forgotten)
	}
	if again, _ := use("quiet", 0, there, time.Hour, false); !again {
		t.Error("a busy key has pushed out the signature of another")
	}
	if again, _ := use("busy", 99_999, there, time.Hour, false); !again {
		t.Error("the one that lasts longest was forgotten")
	}
	for n := uint64(200_000); s.n < 1000; n++ {
		use("busy", n, here, time.Hour, true)
	}
	if _, full := use("busy", 300_000, here, time.Hour, true); !full {
		t.Error("one was forgotten although none may be used again")
	}
	now = now.Add(3 * time.Hour) // all have expired: there is room
	if again, full := use("other", 1, here, time.Hour, true); again || full || s.n != 1 || len(s.keys) != 1 {
		t.Errorf("again %v, full %v, %d of %d keys are remembered", again, full, s.n, len(s.keys))
	}
}
