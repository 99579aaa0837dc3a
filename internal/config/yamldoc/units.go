package yamldoc

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// parseDuration reads what time.ParseDuration reads, and days: "7d", "1d12h".
func parseDuration(text string) (time.Duration, bool) {
	s, negative := strings.CutPrefix(text, "-")
	if !negative {
		s = strings.TrimPrefix(s, "+")
	}
	if s == "" || s[0] == '-' || s[0] == '+' {
		return 0, false
	}
	var d time.Duration
	if number, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, false
		}
		d, s = time.Duration(n)*24*time.Hour, rest
	}
	if s != "" {
		rest, err := time.ParseDuration(s)
		if err != nil || rest > math.MaxInt64-d {
			return 0, false
		}
		d += rest
	}
	if negative {
		d = -d
	}
	return d, true
}

// parseSize reads a number of bytes: "512", "128KB", "1.5 MB". K, M, G and T are
// powers of 1024, with or without B or iB.
func parseSize(text string) (int64, bool) {
	digits := strings.TrimRight(text, "KMGTBkmgtbi ")
	unit := strings.ToUpper(strings.TrimSpace(text[len(digits):]))
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I")
	power := strings.Index(" KMGT", unit)
	if unit == "" {
		power = 0
	}
	if power < 0 || len(unit) > 1 || digits == "" {
		return 0, false
	}
	f, ok := parseFloat(digits)
	if !ok {
		return 0, false
	}
	f *= math.Pow(1024, float64(power))
	if f != math.Trunc(f) || math.Abs(f) > 1<<62 {
		return 0, false
	}
	return int64(f), true
}
