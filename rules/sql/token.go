package sql

import "strings"

// tokenKind is what a token is.
type tokenKind uint8

const (
	tokenEnd      tokenKind = iota
	tokenName               // a name, a function or a keyword: see token.keyword
	tokenVariable           // @name
	tokenNumber
	tokenString // its text is without quotes and escapes
	tokenSign   // an operator or a bracket
)

// keyword tells the words of the language from names. Upper and lower case are the
// same.
type keyword uint8

const (
	notKeyword keyword = iota
	kwSelect
	kwValue
	kwFrom
	kwWhere
	kwAs
	kwSet
	kwAnd
	kwOr
	kwNot
	kwIn
	kwExists
	kwCase
	kwWhen
	kwThen
	kwElse
	kwEnd
	kwTrue
	kwFalse
	kwNull
)

// keywordOf looks a name up.
func keywordOf(name string) keyword {
	if len(name) > len("EXISTS") {
		return notKeyword
	}
	switch strings.ToUpper(name) {
	case "SELECT":
		return kwSelect
	case "VALUE":
		return kwValue
	case "FROM":
		return kwFrom
	case "WHERE":
		return kwWhere
	case "AS":
		return kwAs
	case "SET":
		return kwSet
	case "AND":
		return kwAnd
	case "OR":
		return kwOr
	case "NOT":
		return kwNot
	case "IN":
		return kwIn
	case "EXISTS":
		return kwExists
	case "CASE":
		return kwCase
	case "WHEN":
		return kwWhen
	case "THEN":
		return kwThen
	case "ELSE":
		return kwElse
	case "END":
		return kwEnd
	case "TRUE":
		return kwTrue
	case "FALSE":
		return kwFalse
	case "NULL":
		return kwNull
	}
	return notKeyword
}

// token is one piece of the source.
type token struct {
	kind    tokenKind
	keyword keyword
	quote   byte   // of a string
	text    string // the name, the sign, the number as written, the string's content
	at, end int    // bytes of the source
}

// is reports whether the token is the sign s.
func (t token) is(s string) bool { return t.kind == tokenSign && t.text == s }

// show names the token in a message.
func (t token) show() string {
	text := t.text
	if len(text) > 40 {
		text = strings.ToValidUTF8(text[:40], "") + "…"
	}
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenString:
		return "the string " + quoted(text)
	case tokenNumber:
		return "the number " + text
	case tokenVariable:
		return "@" + text
	case tokenName:
		if t.keyword != notKeyword {
			return strings.ToUpper(text)
		}
		return text
	default:
		return text
	}
}

// quoted writes a string as the language does.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
