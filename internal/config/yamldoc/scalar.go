package yamldoc

import (
	"math"
	"strconv"
	"strings"
)

// resolve gives a plain scalar the type that YAML's core schema gives it: nil, bool,
// int64, float64 or string (YAML 1.2.2, section 10.3.2).
func resolve(text string) any {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return math.Inf(1)
	case "-.inf", "-.Inf", "-.INF":
		return math.Inf(-1)
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	}
	if i, ok := parseInt(text); ok {
		return i
	}
	if f, ok := parseFloat(text); ok {
		return f
	}
	return text
}

// parseInt reads decimal, 0x and 0o integers. A leading zero does not make it octal.
func parseInt(text string) (int64, bool) {
	base, digits := 10, text
	if rest, ok := strings.CutPrefix(text, "0x"); ok {
		base, digits = 16, rest
	} else if rest, ok := strings.CutPrefix(text, "0o"); ok {
		base, digits = 8, rest
	}
	if digits == "" || base != 10 && (digits[0] == '-' || digits[0] == '+') {
		return 0, false
	}
	i, err := strconv.ParseInt(digits, base, 64)
	return i, err == nil
}

// parseFloat reads decimal numbers with a point or an exponent, and integers that are
// too large for parseInt.
func parseFloat(text string) (float64, bool) {
	digits := false
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			digits = true
		case strings.IndexByte("+-.eE", c) < 0:
			return 0, false // neither hexadecimal, Inf nor underscores
		}
	}
	if !digits {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}
