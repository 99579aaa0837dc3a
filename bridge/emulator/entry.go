package emulator

import (
	"strings"

	"github.com/rs/zerolog"
)

// entry is one log line of a function, taken apart if a runtime made it.
type entry struct {
	level     zerolog.Level
	requestID string
	message   string
}

// parseEntry understands the lines of Node's console, "TIME\tID\tLEVEL\tTEXT", and of
// Python's logging, "[LEVEL]\tTIME\tID\tTEXT" and "[ERROR] TEXT". Anything else is a
// message at info level.
func parseEntry(line string) entry {
	plain := entry{level: zerolog.InfoLevel, message: line}
	if rest, ok := strings.CutPrefix(line, "["); ok {
		name, text, ok := strings.Cut(rest, "]")
		level, known := parseLevel(name)
		if !ok || !known {
			return plain
		}
		if fields := strings.SplitN(strings.TrimPrefix(text, "\t"), "\t", 3); len(fields) == 3 && looksLikeTime(fields[0]) {
			return entry{level: level, requestID: fields[1], message: fields[2]}
		}
		return entry{level: level, message: strings.TrimSpace(text)}
	}
	fields := strings.SplitN(line, "\t", 4)
	if len(fields) != 4 || !looksLikeTime(fields[0]) {
		return plain
	}
	level, known := parseLevel(fields[2])
	if !known {
		return plain
	}
	id := fields[1]
	if id == "undefined" { // before the first invocation
		id = ""
	}
	return entry{level: level, requestID: id, message: fields[3]}
}

// looksLikeTime accepts 2006-01-02T15:04:05.000Z.
func looksLikeTime(s string) bool {
	return len(s) == len("2006-01-02T15:04:05.000Z") && s[4] == '-' && s[10] == 'T' && s[len(s)-1] == 'Z'
}

func parseLevel(name string) (zerolog.Level, bool) {
	switch name {
	case "TRACE":
		return zerolog.TraceLevel, true
	case "DEBUG":
		return zerolog.DebugLevel, true
	case "INFO":
		return zerolog.InfoLevel, true
	case "WARN", "WARNING":
		return zerolog.WarnLevel, true
	case "ERROR", "FATAL", "CRITICAL": // the function's end is not ours
		return zerolog.ErrorLevel, true
	default:
		return zerolog.NoLevel, false
	}
}
