package sql

import (
	"strings"
	"time"
)

// readNumber reads a number of min to most digits into field. It leaves reserve digits
// for the fields behind it, which have no separator. A field that was read before must
// agree.
func readNumber(s string, min, most, reserve int, field *int) (rest string, ok bool) {
	end := 0
	for end < len(s) && end < most && digit(s[end]) {
		end++
	}
	if reserve > 0 {
		run := pastDigits(s, 0)
		if end = run - reserve; end > most {
			end = most
		}
	}
	if end < min {
		return s, false
	}
	digits := s[:end]
	if digits = strings.TrimLeft(digits, "0"); len(digits) > 9 {
		return s, false
	}
	n := 0
	for _, c := range []byte(digits) {
		n = n*10 + int(c-'0')
	}
	if *field >= 0 && *field != n {
		return s, false
	}
	*field = n
	return s[end:], true
}

func readLong(s string, min int, field *int64) (rest string, ok bool) {
	end := 0
	var n int64
	for end < len(s) && end < 18 && digit(s[end]) {
		n = n*10 + int64(s[end]-'0')
		end++
	}
	if end < min || end == 0 {
		return s, false
	}
	*field = n
	return s[end:], true
}

// readName reads a name into field; count tells the form: 3 its first three letters,
// 4 all of it, 5 the first letter. The first name is number from. Upper and lower
// case differ, as for the JDK.
func readName(s string, count int, field *int, from int, names []string) (rest string, ok bool) {
	for i, name := range names {
		switch count {
		case 1, 2, 3:
			name = name[:3]
		case 5:
			name = name[:1]
		}
		if after, ok := strings.CutPrefix(s, name); ok {
			if *field >= 0 && *field != i+from {
				return s, false
			}
			*field = i + from
			return after, true
		}
	}
	return s, false
}

func monthNames() []string {
	names := make([]string, 12)
	for i := range names {
		names[i] = time.Month(i + 1).String()
	}
	return names
}

func dayNames() []string {
	names := make([]string, 7)
	for i := range names {
		names[i] = time.Weekday(i).String()
	}
	return names
}

// offsetForm is how an offset from UTC is written.
type offsetForm uint8

const (
	offsetAny   offsetForm = iota // +h, +hh, +hhmm, +hh:mm, +hh:mm:ss
	offsetHour                    // +hh or +hhmm
	offsetPlain                   // +hhmm
	offsetColon                   // +hh:mm
)

// parseOffset reads an offset of at most 18 hours and gives its seconds.
func parseOffset(s string, how offsetForm) (seconds int, rest string, ok bool) {
	if s == "" || s[0] != '+' && s[0] != '-' {
		return 0, s, false
	}
	negative := s[0] == '-'
	rest = s[1:]
	two := func(text string) (int, bool) {
		if len(text) < 2 || !digit(text[0]) || !digit(text[1]) {
			return 0, false
		}
		return int(text[0]-'0')*10 + int(text[1]-'0'), true
	}
	hours, ok := two(rest)
	switch {
	case ok:
		rest = rest[2:]
	case how == offsetAny && rest != "" && digit(rest[0]):
		hours, rest = int(rest[0]-'0'), rest[1:]
	default:
		return 0, s, false
	}
	minutes := 0
	switch after, colon := strings.CutPrefix(rest, ":"); {
	case colon && (how == offsetAny || how == offsetColon):
		if minutes, ok = two(after); !ok {
			return 0, s, false
		}
		rest = after[2:]
	case how == offsetColon:
		return 0, s, false
	default:
		if m, ok := two(rest); ok {
			minutes, rest = m, rest[2:]
		} else if how == offsetPlain {
			return 0, s, false
		}
	}
	seconds = hours*3600 + minutes*60
	if minutes > 59 || seconds > 18*3600 {
		return 0, s, false
	}
	if negative {
		seconds = -seconds
	}
	return seconds, rest, true
}

// resolve makes a time of the fields, as the JDK's smart resolver does: a day beyond
// its month's end but not beyond 31 is the month's last, 24:00 is the next midnight.
// Without a date there is no time.
func (t *jdkTime) resolve() (int64, bool) {
	if !t.hasYear {
		return 0, false
	}
	if t.ofEra {
		if t.era == 0 {
			t.year = 1 - t.year
		} else if t.year < 1 {
			return 0, false
		}
	}
	date, ok := t.date()
	if !ok || t.weekday >= 0 && int(date.Weekday()) != t.weekday%7 {
		return 0, false
	}
	if t.quarter >= 0 && t.quarter != (int(date.Month())+2)/3 {
		return 0, false
	}
	nanos, ok := t.clockTime()
	if !ok {
		return 0, false
	}
	zone := t.zone
	if zone == nil {
		zone = time.UTC
	}
	whole, part := nanos/int64(time.Second), nanos%int64(time.Second)
	at := time.Date(date.Year(), date.Month(), date.Day(), int(whole/3600), int(whole/60%60), int(whole%60), int(part), time.UTC)
	return instant(at, zone).UnixMilli(), true
}

func (t *jdkTime) date() (time.Time, bool) {
	if t.yearDay >= 0 && t.month < 0 {
		d := time.Date(t.year, 1, t.yearDay, 0, 0, 0, 0, time.UTC)
		return d, t.yearDay >= 1 && d.Year() == t.year
	}
	if t.month < 1 || t.month > 12 || t.day < 1 || t.day > 31 {
		return time.Time{}, false
	}
	last := time.Date(t.year, time.Month(t.month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	d := time.Date(t.year, time.Month(t.month), min(t.day, last), 0, 0, 0, 0, time.UTC)
	return d, t.yearDay < 0 || t.yearDay == d.YearDay()
}

// clockTime gives the nanoseconds of the day; midnight if the text has no time.
func (t *jdkTime) clockTime() (int64, bool) {
	const day = int64(24 * time.Hour)
	switch {
	case t.nanoOfDay >= 0:
		return t.nanoOfDay, t.nanoOfDay < day
	case t.milliOfDay >= 0:
		return t.milliOfDay * 1e6, t.milliOfDay < day/1e6
	}
	hour, ok := t.hours()
	minute, second, nano := max(t.minute, 0), max(t.second, 0), max(t.nano, 0)
	if !ok || minute > 59 || second > 59 || nano > 999999999 {
		return 0, false
	}
	if hour < 0 {
		return 0, t.minute < 0 && t.second < 0 && t.nano < 0 // minutes without an hour say nothing
	}
	if hour == 24 && (minute > 0 || second > 0 || nano > 0) {
		return 0, false
	}
	return int64(hour)*int64(time.Hour) + int64(minute)*int64(time.Minute) + int64(second)*int64(time.Second) + int64(nano), true
}

// hours gives the hour of the day from whichever field has it, -1 if none has.
func (t *jdkTime) hours() (int, bool) {
	hour := t.hour
	if t.ofDay >= 0 {
		if t.ofDay > 24 {
			return 0, false
		}
		hour = t.ofDay % 24
	}
	if t.clock >= 0 {
		if t.clock > 12 {
			return 0, false
		}
		t.hourOfHalf = t.clock % 12
	}
	if t.hourOfHalf >= 0 && t.half >= 0 {
		if t.hourOfHalf > 11 {
			return 0, false
		}
		hour = t.half*12 + t.hourOfHalf
	} else if t.hourOfHalf >= 0 && hour < 0 {
		return 0, false // an hour of which nobody knows the half of the day
	}
	return hour, hour <= 24
}
