package bridge

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func TestLimitedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLimitedLog(zerolog.New(&out))
		lines := func() int { return strings.Count(out.String(), "\n") }
		for range 100 {
			l.warn("failed", "r", nil, "it failed").str("rule", "r").send()
		}
		l.warn("failed", "other", nil, "it failed").send()
		if n := lines(); n != logBurst+1 {
			t.Errorf("%d lines, want %d of one key and one of another:\n%s", n, logBurst, out.String())
		}
		time.Sleep(logInterval) //nolint:forbidigo // virtual time
		out.Reset()
		l.warn("failed", "r", nil, "it failed").send()
		if want := fmt.Sprintf(`"suppressed":%d`, 100-logBurst); !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %s", out.String(), want)
		}
		for range 10 {
			l.warn("failed", "r", nil, "it failed").send()
		}
		out.Reset()
		l.flush()
		if want := `"suppressed":6`; lines() != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %s", out.String(), want)
		}
		for i := range 10 * logKeys {
			l.warn("failed", fmt.Sprint(i), nil, "it failed").send()
		}
		if n := len(l.keys); n > logKeys {
			t.Errorf("%d keys are kept", n)
		}
	})
}
