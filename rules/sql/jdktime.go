package sql

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// jdkForm is a pattern of the JDK's java.time.format.DateTimeFormatter (JDK 11),
// ready to read texts with. It knows the letters of dates, times and zones in
// English; those that need a locale's week or calendar are refused.
// (https://docs.oracle.com/en/java/javase/11/docs/api/java.base/java/time/format/DateTimeFormatter.html)
type jdkForm []timeField

// jdkPattern reads a pattern.
func jdkPattern(s string) (jdkForm, error) {
	if s == "" {
		return nil, errors.New("it is empty")
	}
	fields, err := splitPattern(s, "GuyDMLdQqEeaKhkHmsSAnNVzOXxZ", false)
	if err != nil {
		return nil, err
	}
	depth := 0
	for _, f := range fields {
		switch {
		case f.letter == '[':
			depth++
		case f.letter == ']':
			if depth--; depth < 0 {
				return nil, errors.New("] without [")
			}
		case f.letter != 0 && !jdkCount(f.letter, f.count):
			return nil, fmt.Errorf("%d times the letter %c", f.count, f.letter)
		}
	}
	if depth > maxOptional {
		return nil, errors.New("too many [ inside each other")
	}
	return fields, nil
}

// maxOptional bounds how deep optional parts may stand inside each other.
const maxOptional = 16

// jdkCount tells how often a letter may stand in a row.
func jdkCount(letter byte, n int) bool {
	switch letter {
	case 'd', 'h', 'H', 'k', 'K', 'm', 's':
		return n <= 2
	case 'D':
		return n <= 3
	case 'a':
		return n == 1
	case 'V':
		return n == 2
	case 'z':
		return n <= 4
	case 'O':
		return n == 1 || n == 4
	case 'e':
		return n >= 3 && n <= 5 // as a number it depends on where a week begins
	case 'G', 'M', 'L', 'Q', 'q', 'E', 'X', 'x', 'Z':
		return n <= 5
	case 'S':
		return n <= 9
	default:
		return n <= 19
	}
}

// jdkTime collects what a text says. A field that is not there is -1 or unset.
type jdkTime struct {
	year, month, day, yearDay, quarter   int
	hour, clock, half, hourOfHalf, ofDay int
	minute, second, nano                 int
	milliOfDay, nanoOfDay                int64
	era, weekday                         int
	hasYear, ofEra                       bool
	zone                                 *time.Location
	findZone                             func(name string) *time.Location
}

// parse reads a text and gives the milliseconds since 1970. findZone finds the zones
// that it names.
func (p jdkForm) parse(s string, findZone func(name string) *time.Location) (int64, bool) {
	t := jdkTime{
		findZone: findZone,
		month:    -1, day: -1, yearDay: -1, quarter: -1, hour: -1, clock: -1, half: -1, hourOfHalf: -1, ofDay: -1,
		minute: -1, second: -1, nano: -1, milliOfDay: -1, nanoOfDay: -1, era: -1, weekday: -1,
	}
	rest, _, ok := t.read(p, s, 0)
	if !ok || rest != "" {
		return 0, false
	}
	return t.resolve()
}

// read reads fields until a closing bracket and returns how many it used. What stands
// in brackets may be missing.
func (t *jdkTime) read(p jdkForm, s string, depth int) (rest string, used int, ok bool) {
	for i := 0; i < len(p); i++ {
		f := p[i]
		switch f.letter {
		case '[':
			if depth >= maxOptional {
				return s, i, false
			}
			attempt := *t
			after, n, ok := attempt.read(p[i+1:], s, depth+1)
			if ok {
				*t, s = attempt, after
				i += n + 1
			} else {
				i += closing(p[i+1:]) + 1
			}
		case ']':
			return s, i, true
		default:
			if s, ok = t.field(f, adjacent(p[i+1:]), s); !ok {
				return s, i, false
			}
		}
	}
	return s, len(p), true
}

// closing finds the bracket that closes the one before p.
func closing(p jdkForm) int {
	depth := 1
	for i, f := range p {
		switch f.letter {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(p)
}

// adjacent counts the digits of numbers of fixed width that follow without anything
// between: a number before them must leave them their digits. A year of other than two
// letters has no fixed width.
func adjacent(p jdkForm) int {
	n := 0
	for _, f := range p {
		if !strings.ContainsRune("uyMLdDHhkKmsSQq", rune(f.letter)) || f.letter == 0 ||
			strings.ContainsRune("MLQq", rune(f.letter)) && f.count > 2 || f.count == 1 && f.letter != 'S' ||
			strings.ContainsRune("uy", rune(f.letter)) && f.count != 2 {
			break
		}
		n += f.count
	}
	return n
}
