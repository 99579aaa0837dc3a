package sql

// Quote writes text as this package writes JSON strings.
func Quote(s string) []byte { return appendString(nil, s) }
