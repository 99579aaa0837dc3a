package sql

import (
	"fmt"
	"time"
	_ "time/tzdata" // zones must be known on a machine that has none installed
)

// timeFunctions tell, write and read times.
func timeFunctions() []Function {
	return []Function{
		{
			Name: "timestamp", Signature: "timestamp()", Text: "The time at which the rule looks at the message, in milliseconds since 1970 in UTC.",
			Examples: []Example{{"timestamp()", "1481825251155"}, {"timestamp() % 1000", "155"}, {"timestamp(1)", ""}},
			context:  true,
			call:     func(in *Input, _ []value, _ *memo) value { return integer(in.time().UnixMilli()) },
		},
		{
			Name: "parse_time", Signature: "parse_time(pattern, milliseconds[, zone])", Since: V20160323,
			Text: "A time, in milliseconds since 1970, written in a Joda-Time pattern; in UTC if no zone is given.",
			Examples: []Example{
				{"parse_time('yyyy.MM.dd G ''at'' HH:mm:ss z', 100000000, 'America/Belize')", `"1970.01.01 AD at 21:46:40 CST"`},
				{"parse_time('yyyy-MM-dd''T''HH:mm:ss.SSSZZ', timestamp())", `"2016-12-15T18:07:31.155+00:00"`},
				{"parse_time('EEEE, d MMMM yyyy', '0')", `"Thursday, 1 January 1970"`},
				{"parse_time('yyyy', 0, 'No/Zone')", ""},
				{"parse_time('yyyy', 'soon')", ""},
			},
			min: 2, max: 3, params: []param{stringOnly, numberArg, stringOnly},
			call: parseTime,
			lint: func(arg int, v value) (string, bool) {
				switch {
				case arg == 0 && v.kind == kindString:
					if _, err := jodaPattern(v.content()); err != nil {
						return fmt.Sprintf("the time pattern is wrong, so the result is always Undefined: %v", err), false
					}
				case arg == 2 && v.kind == kindString && jodaZone(v.content()) == nil:
					return fmt.Sprintf("no time zone is called %s, so the result is always Undefined", quoted(shorten(v.content(), 60))), false
				}
				return "", false
			},
		},
		{
			Name: "time_to_epoch", Signature: "time_to_epoch(text, pattern)", Since: V20160323,
			Text: "The milliseconds since 1970 of a time written in a pattern of the JDK's DateTimeFormatter; in UTC if the text names no zone, at midnight if it names no time.",
			Examples: []Example{
				{"time_to_epoch('2020-04-03 09:45:18 UTC+01:00', 'yyyy-MM-dd HH:mm:ss VV')", "1585903518000"},
				{"time_to_epoch('18 December 2015', 'dd MMMM yyyy')", "1450396800000"},
				{"time_to_epoch('2007-12-03 10:15:30.592 America/Los_Angeles', 'yyyy-MM-dd HH:mm:ss.SSS z')", "1196705730592"},
				{"time_to_epoch('18 Dezember 2015', 'dd MMMM yyyy')", ""},
				{"time_to_epoch(5, 'yyyy')", ""},
			},
			min: 2, max: 2, params: []param{stringOnly},
			call: func(in *Input, a []value, m *memo) value {
				p := recall(in, &m.form, a[1].s, func(s string) timeForm {
					p, err := jdkPattern(s)
					return timeForm{jdk: p, ok: err == nil, zones: new(zoneCache)}
				})
				if !p.ok || len(a[0].s) > maxPattern || !in.spend(16+2*len(p.jdk)) {
					return undefined
				}
				ms, ok := p.jdk.parse(a[0].s, func(name string) *time.Location { return p.zones.find(in, name) })
				if !ok {
					return undefined
				}
				return integer(ms)
			},
			lint: func(arg int, v value) (string, bool) {
				if arg != 1 || v.kind != kindString {
					return "", false
				}
				if _, err := jdkPattern(v.content()); err != nil {
					return fmt.Sprintf("the time pattern is wrong, so the result is always Undefined: %v", err), false
				}
				return "", false
			},
		},
	}
}

// timeForm is a time pattern made ready, of either kind.
type timeForm struct {
	joda  []timeField
	jdk   jdkForm
	ok    bool
	zones *zoneCache // of what jdk reads
}

// The times that can be written and read: the years 0 to 9999, with room for zones.
const (
	minMillis = -62167219200000 - 86400000
	maxMillis = 253402300799999 + 86400000
)

func parseTime(in *Input, a []value, m *memo) value {
	ms, ok := toInt(a[1], towardsZero)
	if !ok || ms < minMillis || ms > maxMillis {
		return undefined
	}
	zone := time.UTC
	if len(a) > 2 {
		if zone = recall(in, &m.zone, a[2].s, jodaZone); zone == nil {
			return undefined
		}
	}
	p := recall(in, &m.form, a[0].s, func(s string) timeForm {
		fields, err := jodaPattern(s)
		return timeForm{joda: fields, ok: err == nil}
	})
	if !p.ok {
		return undefined
	}
	var buf [64]byte
	return in.makeText(string(formatJoda(buf[:0], p.joda, time.UnixMilli(ms).In(zone))))
}
