package sql

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// findZone gives a time zone by its name in the tz database; nil if there is none.
func findZone(name string) *time.Location {
	if len(name) > maxZoneName || !zoneLike(name) {
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return zone
}

const maxZoneName = 64

// jodaZone gives the zone that Joda-Time has for an id: a name of the tz database or an
// offset such as +02:00 or -0730; nil if there is none.
func jodaZone(id string) *time.Location {
	if id == "" || id[0] != '+' && id[0] != '-' {
		return findZone(id)
	}
	seconds, rest := 0, id[1:]
	for i, part := range [...]struct{ unit, most int }{{3600, 23}, {60, 59}, {1, 59}} {
		if i > 0 && rest == "" {
			break
		}
		if i > 0 {
			rest = strings.TrimPrefix(rest, ":")
		}
		if len(rest) < 2 || !digit(rest[0]) || !digit(rest[1]) {
			return nil
		}
		n := int(rest[0]-'0')*10 + int(rest[1]-'0')
		if n > part.most {
			return nil
		}
		seconds, rest = seconds+n*part.unit, rest[2:]
	}
	switch {
	case rest != "":
		return nil
	case seconds == 0:
		return time.UTC
	case id[0] == '-':
		seconds = -seconds
	}
	return time.FixedZone("", seconds)
}

// zoneLike reports whether a name has the form of one in the tz database. Nothing else
// is looked for: a look-up reads files, and on some machines there are more of them,
// such as localtime, which is the machine's own zone.
func zoneLike(name string) bool {
	area, _, divided := strings.Cut(name, "/")
	list := zonesAlone()
	if divided {
		list = zoneAreas()
	}
	return slices.Contains(list, area)
}

// zoneAreas are what stands before the slash in the names of zones.
func zoneAreas() []string {
	return []string{
		"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Brazil", "Canada", "Chile",
		"Etc", "Europe", "Indian", "Mexico", "Pacific", "US",
	}
}

// zonesAlone are the names of zones without a slash.
func zonesAlone() []string {
	return []string{
		"CET", "CST6CDT", "Cuba", "EET", "EST", "EST5EDT", "Egypt", "Eire", "GB", "GB-Eire", "GMT", "GMT0", "Greenwich",
		"HST", "Hongkong", "Iceland", "Iran", "Israel", "Jamaica", "Japan", "Kwajalein", "Libya", "MET", "MST", "MST7MDT",
		"NZ", "NZ-CHAT", "Navajo", "PRC", "PST8PDT", "Poland", "Portugal", "ROC", "ROK", "Singapore", "Turkey", "UCT",
		"UTC", "Universal", "W-SU", "WET", "Zulu",
	}
}

// zoneCache remembers the zones that the texts of one pattern named, and the names that
// are no zone's. It is safe for concurrent use.
type zoneCache struct {
	known atomic.Pointer[map[string]*time.Location]
}

const maxZones = 64

// find is findZone. To look a name up for the first time is charged to the run.
func (z *zoneCache) find(in *Input, name string) *time.Location {
	const lookup = 8 << 10
	if !zoneLike(name) {
		return nil
	}
	known := z.known.Load()
	if known != nil {
		if zone, ok := (*known)[name]; ok {
			return zone
		}
	}
	if !in.spend(lookup) {
		return nil
	}
	zone := findZone(name)
	next := make(map[string]*time.Location, maxZones)
	if known != nil && len(*known) < maxZones {
		maps.Copy(next, *known)
	}
	next[strings.Clone(name)] = zone
	z.known.Store(&next)
	return zone
}

// instant is when it is that local time in a zone. As for Java, a time that the zone
// has twice is the earlier one, and a time that it leaves out is later by what it
// leaves out.
func instant(local time.Time, zone *time.Location) time.Time {
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	const day = 24 * time.Hour // no zone changes twice in two days
	before, after := offset(local.Add(-day)), offset(local.Add(day))
	if then := local.Add(-after); before != after && offset(local.Add(-before)) != before && offset(then) == after {
		return then
	}
	return local.Add(-before)
}
