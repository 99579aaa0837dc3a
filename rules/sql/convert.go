package sql

import "strings"

// The standard conversions, applied where an operator or function wants another type
// than it gets. Nothing is ever converted to an Array, an Object or Null.
// (https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-data-types.html)

// toNumber converts to a number. A String becomes a Decimal. What is no number, or
// one out of range, becomes Undefined; so does Null, since no function computes with it.
func toNumber(v value) value {
	switch v.kind {
	case kindInt, kindDecimal:
		if v.form != formWild {
			return v
		}
	case kindString:
		if s := v.content(); numeric(s) {
			n := parseNumber(s, false)
			if n.form == formWild {
				return undefined
			}
			n.kind, n.s = kindDecimal, ""
			return n
		}
	default: // not a number, nor text of one
	}
	return undefined
}

// number converts to a number as toNumber does, and charges the run for reading it.
func (in *Input) number(v value) value {
	switch {
	case v.small():
		return v
	case (v.kind == kindString || v.isNumber()) && !in.spend(16+min(len(v.s), maxNumber)/4):
		return undefined
	}
	return toNumber(v)
}

// plain is a number as something gives it that calculates: an Int without the text it
// had.
func plain(v value) value {
	if v.kind == kindInt {
		v.s = ""
	}
	return v
}

// toInt converts to an Int by the given rounding; Undefined if it does not fit in an
// int64, which no index or bit pattern needs.
func toInt(v value, how rounding) (int64, bool) {
	if v.kind == kindInt && v.form == formSmall {
		return v.n, true
	}
	n := toNumber(v)
	if !n.defined() {
		return 0, false
	}
	n = rounded(n, how)
	return n.n, n.kind == kindInt && n.form == formSmall
}

// toBoolean converts to a Boolean: only a Boolean itself and the Strings "true" and
// "false", in any case, are one.
func toBoolean(v value) value {
	switch v.kind {
	case kindBoolean:
		return v
	case kindString:
		switch s := v.content(); {
		case len(s) == 4 && strings.EqualFold(s, "true"):
			return yes
		case len(s) == 5 && strings.EqualFold(s, "false"):
			return no
		}
	default: // no Boolean
	}
	return undefined
}

// toText converts to a String. ok is false if there is none: for Null and Undefined.
func (in *Input) toText(v value) (s string, ok bool) {
	switch v.kind {
	case kindString:
		return v.content(), true
	case kindBoolean:
		if v.n != 0 {
			return "true", true
		}
		return "false", true
	case kindInt, kindDecimal:
		return numberString(v), true
	case kindArray, kindObject:
		if v.form == formTidy {
			return v.s, true
		}
		s := string(in.appendJSON(nil, v))
		return s, in.err == nil
	default:
		return "", false
	}
}

// content is the text of a String.
func (v value) content() string {
	if v.form == formEscaped {
		return unescape(v.s)
	}
	return v.s
}

// castType is a type that cast() can convert to.
type castType uint8

const (
	castUnknown castType = iota
	castString
	castInt
	castDecimal
	castDouble
	castBoolean
)

// castTypes are the names of the types, and what each means.
func castTypeOf(name string, v Version) castType {
	switch strings.ToLower(name) {
	case "string", "nvarchar", "text", "ntext", "varchar":
		return castString
	case "int", "integer":
		return castInt
	case "double":
		return castDouble
	case "decimal":
		if v.modern() {
			return castDecimal
		}
	case "bool", "boolean":
		if v.modern() {
			return castBoolean
		}
	}
	return castUnknown
}

// cast converts as cast(value AS type) does, which is more than the standard
// conversions do: between Booleans and numbers, and an Int is rounded down.
func (in *Input) cast(v value, to castType) value {
	if v.kind == kindUndefined || v.kind == kindNull {
		return undefined
	}
	switch to {
	case castString:
		s, ok := in.toText(v)
		if !ok {
			return undefined
		}
		return text(s)
	case castInt:
		if n := castNumber(v, ""); n.defined() {
			return rounded(n, down)
		}
	case castDecimal:
		if n := castNumber(v, ".0"); n.defined() {
			if n.kind == kindInt {
				n.kind, n.s = kindDecimal, "" // "a decimal with no decimal point" [AWS]
			}
			return n
		}
	case castDouble:
		if n := castNumber(v, ".0"); n.defined() {
			d := fromDouble(n.double())
			if n.s == "" || n.kind == kindInt {
				d.s = ""
			}
			return d
		}
	case castBoolean:
		if v.isNumber() {
			return boolean(!isZero(v))
		}
		return toBoolean(v)
	default: // no such conversion
	}
	return undefined
}

// castNumber converts to a number; a Boolean is 1 or 0, written with the suffix.
func castNumber(v value, suffix string) value {
	if v.kind != kindBoolean {
		return toNumber(v)
	}
	n := integer(v.n)
	if suffix != "" {
		n.kind, n.s = kindDecimal, string(appendNumber(nil, n))+suffix
	}
	return n
}
