package limitedlog

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
		l := New(zerolog.New(&out))
		lines := func() int { return strings.Count(out.String(), "\n") }
		for range 100 {
			l.Warn("failed", "r", nil, "it failed", "rule", "r")
		}
		l.Warn("failed", "other", nil, "it failed")
		if n := lines(); n != logBurst+1 {
			t.Errorf("%d lines, want %d of one key and one of another:\n%s", n, logBurst, out.String())
		}
		time.Sleep(logInterval) //nolint:forbidigo // virtual time
		out.Reset()
		l.Warn("failed", "r", nil, "it failed")
		if want := fmt.Sprintf(`"suppressed":%d`, 100-logBurst); !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %s", out.String(), want)
		}
		for range 10 {
			l.Warn("failed", "r", nil, "it failed")
		}
		out.Reset()
		l.Flush()
		if want := `"suppressed":6`; lines() != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %s", out.String(), want)
		}
		for i := range 10 * logKeys {
			l.Warn("failed", fmt.Sprint(i), nil, "it failed")
		}
		if n := len(l.keys); n > logKeys {
			t.Errorf("%d keys are kept", n)
		}
	})
}
