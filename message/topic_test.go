package message_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/message"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/c", false},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"+", "a", true},
		{"+", "a/b", false},
		{"+/+", "a/b", true},
		{"+/+", "/b", true},
		{"/+", "/b", true},
		{"+", "/b", false},
		{"a/+/c", "a//c", true},
		{"#", "a", true},
		{"#", "a/b/c", true},
		{"a/#", "a", true},
		{"a/#", "a/", true},
		{"a/#", "a/b/c", true},
		{"a/#", "ab", false},
		{"+/#", "a", true},
		{"+/+/#", "a", false},
		{"+/+/#", "a/b", true},
		{"#", "$SYS/a", false},
		{"+/a", "$SYS/a", false},
		{"$SYS/#", "$SYS/a", true},
		{"$SYS/+", "$SYS/a", true},
		{"$share/g/a/+", "a/b", true},
		{"$share/g/#", "$SYS/a", false},
		{"a/b/", "a/b", false},
		{"A", "a", false},
	} {
		if got := message.Match(c.filter, c.topic); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.filter, c.topic, got, c.want)
		}
	}
}

func TestValidateTopic(t *testing.T) {
	for _, c := range []struct {
		topic string
		want  error
	}{
		{"a", nil},
		{"/", nil},
		{"a//b", nil},
		{"ä/☃", nil},
		{"", message.ErrEmptyTopic},
		{"a/+", message.ErrWildcard},
		{"a#", message.ErrWildcard},
		{"a\x00", message.ErrTopicText},
		{"a\xff", message.ErrTopicText},
		{strings.Repeat("a", 65535), nil},
		{strings.Repeat("a", 65536), message.ErrTopicTooLong},
	} {
		if got := message.ValidateTopic(c.topic); !errors.Is(got, c.want) {
			t.Errorf("ValidateTopic(%.20q) = %v, want %v", c.topic, got, c.want)
		}
	}
}

func TestValidateFilter(t *testing.T) {
	for _, c := range []struct {
		filter string
		want   error
	}{
		{"a/+/b/#", nil},
		{"#", nil},
		{"+", nil},
		{"$share/g/a/#", nil},
		{"$share/g//", nil},
		{"$shared/a", nil},
		{"", message.ErrEmptyTopic},
		{"a+/b", message.ErrFilterForm},
		{"a/b#", message.ErrFilterForm},
		{"a/#/b", message.ErrFilterForm},
		{"##", message.ErrFilterForm},
		{"$share", message.ErrShareForm},
		{"$share/", message.ErrShareForm},
		{"$share/g", message.ErrShareForm},
		{"$share/g/", message.ErrShareForm},
		{"$share//a", message.ErrShareForm},
		{"$share/+/a", message.ErrShareForm},
		{"$share/g/a#", message.ErrFilterForm},
	} {
		if got := message.ValidateFilter(c.filter); !errors.Is(got, c.want) {
			t.Errorf("ValidateFilter(%q) = %v, want %v", c.filter, got, c.want)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { message.Match("a/+/c/#", "a/b/c/d/e") }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		message.Match("site/+/machine/#", "site/berlin/machine/7/temperature")
	}
}
