package sql

import (
	"strings"
	"time"
)

// field reads one field.
func (t *jdkTime) field(f timeField, reserve int, s string) (rest string, ok bool) {
	switch f.letter {
	case 0:
		return strings.CutPrefix(s, f.text)
	case 'G':
		return t.eraName(f.count, s)
	case 'u', 'y':
		return t.yearField(f, reserve, s)
	case 'M', 'L':
		if f.count > 2 {
			return readName(s, f.count, &t.month, 1, monthNames())
		}
		return readNumber(s, f.count, f.most(), reserve, &t.month)
	case 'E', 'e':
		return readName(s, max(f.count, 3), &t.weekday, 0, dayNames())
	case 'Q', 'q':
		return t.quarterField(f, reserve, s)
	case 'a':
		return readName(s, 4, &t.half, 0, []string{"AM", "PM"})
	case 'D':
		return readNumber(s, f.count, f.most(), reserve, &t.yearDay)
	case 'd':
		return readNumber(s, f.count, f.most(), reserve, &t.day)
	case 'H':
		return readNumber(s, f.count, f.most(), reserve, &t.hour)
	case 'k':
		return readNumber(s, f.count, f.most(), reserve, &t.ofDay)
	case 'h':
		return readNumber(s, f.count, f.most(), reserve, &t.clock)
	case 'K':
		return readNumber(s, f.count, f.most(), reserve, &t.hourOfHalf)
	case 'm':
		return readNumber(s, f.count, f.most(), reserve, &t.minute)
	case 's':
		return readNumber(s, f.count, f.most(), reserve, &t.second)
	case 'S':
		return t.fraction(f.count, s)
	case 'n':
		return readNumber(s, f.count, f.most(), reserve, &t.nano)
	case 'A':
		return readLong(s, f.count, &t.milliOfDay)
	case 'N':
		return readLong(s, f.count, &t.nanoOfDay)
	default:
		return t.zoneField(f, s)
	}
}

// most is how many digits a number may have: any number if the letter stands alone.
func (f timeField) most() int {
	switch {
	case f.count == 1 || f.letter == 'n':
		return 19
	case f.letter == 'D':
		return 3
	}
	return f.count
}

// yearField reads a year. Two letters are a year between 2000 and 2099.
func (t *jdkTime) yearField(f timeField, reserve int, s string) (string, bool) {
	negative, least, most := false, f.count, 19
	switch after, minus := strings.CutPrefix(s, "-"); {
	case f.count == 2:
		most = 2
	case minus:
		negative, s = true, after
	case f.count >= 4:
		if after, ok := strings.CutPrefix(s, "+"); ok {
			s, least = after, f.count+1
		} else {
			most = f.count // a year with more digits has a sign
		}
	}
	year := -1
	rest, ok := readNumber(s, least, most, reserve, &year)
	if !ok || year > 999999 {
		return s, false
	}
	if f.count == 2 {
		year += 2000
	}
	if negative {
		year = -year
	}
	if t.hasYear && t.year != year {
		return s, false
	}
	t.year, t.hasYear, t.ofEra = year, true, f.letter == 'y'
	return rest, true
}

func (t *jdkTime) eraName(count int, s string) (string, bool) {
	names := []string{"BC", "AD"}
	switch count {
	case 4:
		names = []string{"Before Christ", "Anno Domini"}
	case 5:
		names = []string{"B", "A"}
	}
	return readName(s, 4, &t.era, 0, names)
}

func (t *jdkTime) quarterField(f timeField, reserve int, s string) (string, bool) {
	switch f.count {
	case 1, 2:
		return readNumber(s, f.count, f.most(), reserve, &t.quarter)
	case 3:
		return readName(s, 4, &t.quarter, 1, []string{"Q1", "Q2", "Q3", "Q4"})
	case 4:
		return readName(s, 4, &t.quarter, 1, []string{"1st quarter", "2nd quarter", "3rd quarter", "4th quarter"})
	}
	return readNumber(s, 1, 1, 0, &t.quarter)
}

// fraction reads exactly so many digits of the second's fraction.
func (t *jdkTime) fraction(count int, s string) (string, bool) {
	n := -1
	rest, ok := readNumber(s, count, count, 0, &n)
	if !ok || len(s)-len(rest) != count {
		return s, false
	}
	for range 9 - count {
		n *= 10
	}
	if t.nano >= 0 && t.nano != n {
		return s, false
	}
	t.nano = n
	return rest, true
}

// zoneField reads a zone's name or an offset.
func (t *jdkTime) zoneField(f timeField, s string) (string, bool) {
	how := offsetAny
	switch f.letter {
	case 'V', 'z':
		return t.zoneName(f, s)
	case 'O':
		rest, ok := strings.CutPrefix(s, "GMT")
		if !ok {
			return s, false
		}
		if rest == "" || rest[0] != '+' && rest[0] != '-' {
			t.zone = time.UTC
			return rest, true
		}
		return t.offset(rest, offsetAny)
	case 'X':
		if rest, ok := strings.CutPrefix(s, "Z"); ok {
			t.zone = time.UTC
			return rest, true
		}
		how = [...]offsetForm{offsetHour, offsetPlain, offsetColon, offsetPlain, offsetColon}[f.count-1]
	case 'x':
		how = [...]offsetForm{offsetHour, offsetPlain, offsetColon, offsetPlain, offsetColon}[f.count-1]
	case 'Z':
		switch f.count {
		case 4:
			return t.zoneField(timeField{letter: 'O', count: 4}, s)
		case 5:
			return t.zoneField(timeField{letter: 'X', count: 5}, s)
		}
		how = offsetPlain
	}
	return t.offset(s, how)
}

func (t *jdkTime) offset(s string, how offsetForm) (string, bool) {
	seconds, rest, ok := parseOffset(s, how)
	if ok {
		t.zone = time.FixedZone("", seconds)
	}
	return rest, ok
}

// zoneName reads an offset, UTC with one, or the longest text that names a zone: a name
// of the tz database, for z an abbreviation, and for zzzz a name such as Central European
// Time.
func (t *jdkTime) zoneName(f timeField, s string) (string, bool) {
	for _, prefix := range []string{"", "UTC", "GMT", "UT"} {
		rest, ok := strings.CutPrefix(s, prefix)
		if !ok || rest == "" || rest[0] != '+' && rest[0] != '-' {
			continue
		}
		after, ok := t.offset(rest, offsetColon)
		if !ok && prefix != "" {
			t.zone = time.UTC
			return rest, true
		}
		return after, ok
	}
	if f.count == 4 {
		if place, rest := longNamed(s); place != "" {
			t.zone = t.findZone(place)
			return rest, t.zone != nil
		}
	}
	end := 0
	for end < len(s) && end < maxZoneName && (nameStart(s[end]) || digit(s[end]) || strings.IndexByte("/+-", s[end]) >= 0) {
		end++
	}
	for ; end > 0; end-- {
		name := s[:end]
		var zone *time.Location
		if f.letter == 'z' && f.count < 4 {
			if place := abbreviation(name); place != "" {
				zone = t.findZone(place)
			}
		}
		switch {
		case name == "Z" || name == "UT":
			zone = time.UTC
		case zone == nil && !shortID(name):
			zone = t.findZone(name)
		}
		if zone != nil {
			t.zone = zone
			return s[end:], true
		}
	}
	return s, false
}

// shortID reports whether the JDK takes a name of the tz database for an abbreviation
// and not for a zone.
func shortID(name string) bool { return name == "EST" || name == "MST" || name == "HST" }

// abbreviation gives the name of the zone that the JDK, in English, takes an
// abbreviation for; empty if it is none.
func abbreviation(name string) string {
	switch name {
	case "PST", "PDT", "PT":
		return "America/Los_Angeles"
	case "MST", "MDT", "MT":
		return "America/Denver"
	case "CST", "CDT", "CT":
		return "America/Chicago"
	case "EST", "EDT", "ET":
		return "America/New_York"
	case "HST":
		return "Pacific/Honolulu"
	case "BST":
		return "Europe/London"
	case "CET", "CEST":
		return "Europe/Paris"
	case "EET", "EEST":
		return "Europe/Bucharest"
	case "JST":
		return "Asia/Tokyo"
	case "IST":
		return "Asia/Kolkata"
	}
	return ""
}
