package message

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxTopicBytes is the longest topic name or filter that MQTT can carry: the length
// prefix of a string has two bytes (MQTT 5, section 1.5.4).
const MaxTopicBytes = 65535

// What is wrong with a topic name or filter. The errors that ValidateTopic and
// ValidateFilter return wrap one of these and name the place.
var (
	ErrEmptyTopic   = errors.New("is empty")
	ErrTopicTooLong = errors.New("is longer than 65535 bytes")
	ErrTopicText    = errors.New("is not well-formed UTF-8 text")
	ErrWildcard     = errors.New("contains a wildcard")
	ErrFilterForm   = errors.New("has a misplaced wildcard")
	ErrShareForm    = errors.New("is not a shared subscription")
)

// ValidateTopic reports why name cannot be published to, or nil.
// [MQTT-3.3.2-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-1.5.4-1] [MQTT-1.5.4-2]
func ValidateTopic(name string) error {
	if err := validateText(name); err != nil {
		return fmt.Errorf("topic %.200q %w", name, err)
	}
	if i := strings.IndexAny(name, "+#"); i >= 0 {
		return fmt.Errorf("topic %.200q %w: %q at byte %d", name, ErrWildcard, name[i], i+1)
	}
	return nil
}

// ValidateFilter reports why filter cannot be subscribed to, or nil. A shared
// subscription is validated whole: name and filter.
// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
func ValidateFilter(filter string) error {
	if err := validateText(filter); err != nil {
		return fmt.Errorf("topic filter %.200q %w", filter, err)
	}
	group, rest, shared := SplitShare(filter)
	if shared {
		if group == "" || strings.ContainsAny(group, "+#") || rest == "" {
			return fmt.Errorf("topic filter %.200q %w: write $share/NAME/FILTER, where NAME has no / + #", filter, ErrShareForm)
		}
	}
	for level := range strings.SplitSeq(rest, "/") {
		if len(level) > 1 && strings.ContainsAny(level, "+#") {
			return fmt.Errorf("topic filter %.200q %w: level %q must be the wildcard alone", filter, ErrFilterForm, level)
		}
	}
	if i := strings.IndexByte(rest, '#'); i >= 0 && i != len(rest)-1 {
		return fmt.Errorf("topic filter %.200q %w: # must be the last level", filter, ErrFilterForm)
	}
	return nil
}

func validateText(s string) error {
	switch {
	case s == "":
		return ErrEmptyTopic
	case len(s) > MaxTopicBytes:
		return ErrTopicTooLong
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return ErrTopicText
	}
	return nil
}

// SplitShare takes a shared subscription apart: $share/group/rest. For any other
// filter it returns the filter itself and shared = false.
// (MQTT 5, section 4.8.2)
func SplitShare(filter string) (group, rest string, shared bool) {
	after, ok := strings.CutPrefix(filter, "$share/")
	if !ok {
		if filter == "$share" {
			return "", "", true
		}
		return "", filter, false
	}
	group, rest, _ = strings.Cut(after, "/")
	return group, rest, true
}

// Match reports whether a topic filter matches a topic name, as MQTT has it: +
// stands for one level, # for any number of further levels and the parent itself,
// and neither stands for a first level that begins with $. A shared subscription
// matches as its filter does. [MQTT-4.7.2-1]
func Match(filter, topic string) bool {
	if strings.HasPrefix(filter, "$share/") {
		_, filter, _ = SplitShare(filter)
	}
	if topic != "" && topic[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		if filter == "#" {
			return true
		}
		fl, frest, fmore := strings.Cut(filter, "/")
		tl, trest, tmore := strings.Cut(topic, "/")
		if fl != "+" && fl != tl {
			return false
		}
		switch {
		case !fmore && !tmore:
			return true
		case !tmore:
			return frest == "#"
		case !fmore:
			return false
		}
		filter, topic = frest, trest
	}
}

// Levels counts the levels of a topic name or filter.
func Levels(topic string) int { return strings.Count(topic, "/") + 1 }
