package sql

import "fmt"

// Version names a version of AWS IoT SQL.
// (https://docs.aws.amazon.com/iot/latest/developerguide/iot-rule-sql-version.html)
type Version string

// The versions. An empty Version means V20160323; AWS's API takes V20151008 instead
// when a rule names none.
const (
	V20151008 Version = "2015-10-08" // no literals of objects and arrays, no nested queries; 10.0 stays a Decimal
	V20160323 Version = "2016-03-23" // the recommended one; a number whose value is whole is an Int
	Beta      Version = "beta"       // AWS's latest; here the same as V20160323
)

// resolve replaces the empty version and refuses an unknown one.
func (v Version) resolve() (Version, error) {
	switch v {
	case "":
		return V20160323, nil
	case V20151008, V20160323, Beta:
		return v, nil
	}
	return "", fmt.Errorf("unknown SQL version %.40q: use %s, %s or %s", string(v), V20160323, V20151008, Beta)
}

// modern reports whether v has what 2016-03-23 added.
func (v Version) modern() bool { return v != V20151008 }
