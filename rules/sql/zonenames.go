package sql

import (
	_ "embed"
	"strings"
	"sync"
	"time"
)

// zoneNames are what people call the zones in English, as the Unicode CLDR and so Java
// has it; a line is
//
//	short|long|short in summer|long in summer|zones of that name
//
//go:embed zonenames.txt
var zoneNames string

// named is a zone's names, in winter and in summer; those in summer may be empty.
type named struct{ short, long, summer, longSummer string }

// zoneNaming has the names by zone, and the first zone by its long names.
type zoneNaming struct {
	byZone map[string]named
	byLong map[string]string
}

var readZoneNames = sync.OnceValue(func() zoneNaming {
	n := zoneNaming{byZone: make(map[string]named, 600), byLong: make(map[string]string, 300)}
	for line := range strings.Lines(zoneNames) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		names := named{f[0], f[1], f[2], f[3]}
		for i, zone := range strings.Fields(f[4]) {
			n.byZone[zone] = names
			for _, long := range [2]string{f[1], f[3]} {
				if _, known := n.byLong[long]; i == 0 && long != "" && !known {
					n.byLong[long] = zone
				}
			}
		}
	}
	return n
})

// zoneName is what people call the zone at that time: CST, or with long Central
// Standard Time; its offset if it has no name.
func zoneName(t time.Time, long bool) string {
	short, _ := t.Zone()
	names, ok := readZoneNames().byZone[t.Location().String()]
	if !ok {
		if short == "" || short[0] == '+' || short[0] == '-' {
			return string(appendOffset(nil, t, true))
		}
		return short
	}
	summer := t.IsDST()
	if short == names.short || short == names.summer {
		summer = short != names.short // Ireland has its standard time in summer
	}
	switch {
	case summer && names.summer != "" && long:
		return names.longSummer
	case summer && names.summer != "":
		return names.summer
	case long:
		return names.long
	}
	return names.short
}

// longNamed reads the longest long name that a text begins with, and gives its zone.
func longNamed(s string) (zone, rest string) {
	const longest = 50
	for end := min(len(s), longest); end > 0; end-- {
		if zone, ok := readZoneNames().byLong[s[:end]]; ok {
			return zone, s[end:]
		}
	}
	return "", s
}
