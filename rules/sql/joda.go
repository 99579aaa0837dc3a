package sql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeField is a run of one letter of a time pattern, or literal text.
type timeField struct {
	letter byte // 0 for text
	count  int
	text   string
}

// splitPattern cuts a time pattern into its fields. Text stands between single
// quotes; two of them are one. Letters that are not in known are an error. For the JDK
// brackets are fields of their own, and other characters stand in quotes; for Joda-Time a
// quote need not be closed.
func splitPattern(s, known string, joda bool) ([]timeField, error) {
	if len(s) > maxPattern {
		return nil, fmt.Errorf("it is longer than %d bytes", maxPattern)
	}
	var fields []timeField
	addText := func(t string) {
		if n := len(fields); n > 0 && fields[n-1].letter == 0 {
			fields[n-1].text += t
			return
		}
		fields = append(fields, timeField{text: t})
	}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\'' && strings.HasPrefix(s[i:], "''"):
			addText("'")
			i += 2
		case c == '\'':
			var t strings.Builder
			for i++; ; i++ {
				if i >= len(s) && joda {
					break
				}
				if i >= len(s) {
					return nil, fmt.Errorf("a quote is not closed")
				}
				if s[i] == '\'' {
					if !strings.HasPrefix(s[i:], "''") {
						break
					}
					i++
				}
				t.WriteByte(s[i])
			}
			i++
			addText(t.String())
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			n := 1
			for i+n < len(s) && s[i+n] == c {
				n++
			}
			if strings.IndexByte(known, c) < 0 {
				return nil, fmt.Errorf("the letter %c means nothing; text stands between single quotes", c)
			}
			fields = append(fields, timeField{letter: c, count: n})
			i += n
		case !joda && strings.IndexByte("#{}", c) >= 0:
			return nil, fmt.Errorf("%c stands between single quotes", c)
		case !joda && strings.IndexByte("[]", c) >= 0:
			fields = append(fields, timeField{letter: c, count: 1})
			i++
		default:
			addText(s[i : i+1])
			i++
		}
	}
	return fields, nil
}

// jodaPattern reads a pattern of Joda-Time's DateTimeFormat.
// (https://www.joda.org/joda-time/apidocs/org/joda/time/format/DateTimeFormat.html)
func jodaPattern(s string) ([]timeField, error) {
	if s == "" {
		return nil, fmt.Errorf("it is empty")
	}
	fields, err := splitPattern(s, "GCYxwEeyDMdaKhHkmsSzZ", true)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		if f.letter != 0 && f.count > 64 {
			return nil, fmt.Errorf("%d times the letter %c", f.count, f.letter)
		}
	}
	return fields, nil
}

// formatJoda writes a time.
func formatJoda(dst []byte, fields []timeField, t time.Time) []byte {
	for _, f := range fields {
		dst = appendJoda(dst, f, t)
	}
	return dst
}

func appendJoda(dst []byte, f timeField, t time.Time) []byte {
	hour := t.Hour()
	switch f.letter {
	case 0:
		return append(dst, f.text...)
	case 'G':
		if t.Year() <= 0 {
			return append(dst, "BC"...)
		}
		return append(dst, "AD"...)
	case 'C':
		return appendPadded(dst, eraYear(t.Year())/100, f.count)
	case 'Y':
		return appendYear(dst, eraYear(t.Year()), f.count)
	case 'y':
		return appendYear(dst, t.Year(), f.count)
	case 'x':
		year, _ := t.ISOWeek()
		return appendYear(dst, year, f.count)
	case 'w':
		_, week := t.ISOWeek()
		return appendPadded(dst, week, f.count)
	case 'e':
		return appendPadded(dst, isoWeekday(t), f.count)
	case 'E':
		return appendName(dst, t.Weekday().String(), f.count)
	case 'D':
		return appendPadded(dst, t.YearDay(), f.count)
	case 'M':
		if f.count >= 3 {
			return appendName(dst, t.Month().String(), f.count)
		}
		return appendPadded(dst, int(t.Month()), f.count)
	case 'd':
		return appendPadded(dst, t.Day(), f.count)
	case 'a':
		if hour < 12 {
			return append(dst, "AM"...)
		}
		return append(dst, "PM"...)
	case 'K':
		return appendPadded(dst, hour%12, f.count)
	case 'h':
		return appendPadded(dst, (hour+11)%12+1, f.count)
	case 'H':
		return appendPadded(dst, hour, f.count)
	case 'k':
		return appendPadded(dst, (hour+23)%24+1, f.count)
	case 'm':
		return appendPadded(dst, t.Minute(), f.count)
	case 's':
		return appendPadded(dst, t.Second(), f.count)
	case 'S':
		return appendFraction(dst, t, f.count)
	case 'z':
		return append(dst, zoneName(t, f.count >= 4)...)
	default:
		return appendZone(dst, t, f.count)
	}
}

// eraYear is the year as it is counted within its era.
func eraYear(year int) int {
	if year <= 0 {
		return 1 - year
	}
	return year
}

func isoWeekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

func appendPadded(dst []byte, n, width int) []byte {
	if n < 0 {
		dst = append(dst, '-')
		n = -n
	}
	s := strconv.Itoa(n)
	return append(zeros(dst, max(width-len(s), 0)), s...)
}

// appendYear writes two letters as a year of two digits.
func appendYear(dst []byte, year, count int) []byte {
	if count == 2 {
		return appendPadded(dst, ((year%100)+100)%100, 2)
	}
	return appendPadded(dst, year, count)
}

// appendName writes a name, or with fewer than four letters its first three.
func appendName(dst []byte, name string, count int) []byte {
	if count < 4 {
		name = name[:3]
	}
	return append(dst, name...)
}

// appendFraction writes so many digits of the second's fraction, cut and not rounded.
func appendFraction(dst []byte, t time.Time, count int) []byte {
	digits := fmt.Sprintf("%09d", t.Nanosecond())
	if count <= len(digits) {
		return append(dst, digits[:count]...)
	}
	return zeros(append(dst, digits...), count-len(digits))
}

// appendZone writes the offset: +0100, +01:00, or the zone's name.
func appendZone(dst []byte, t time.Time, count int) []byte {
	if count >= 3 {
		return append(dst, zoneID(t)...)
	}
	return appendOffset(dst, t, count == 2)
}

func appendOffset(dst []byte, t time.Time, colon bool) []byte {
	_, offset := t.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = appendPadded(append(dst, sign), offset/3600, 2)
	if colon {
		dst = append(dst, ':')
	}
	return appendPadded(dst, offset/60%60, 2)
}

// zoneID is the name of the zone; a fixed offset is its own name.
func zoneID(t time.Time) string {
	if name := t.Location().String(); name != "" {
		return name
	}
	return string(appendOffset(nil, t, true))
}
