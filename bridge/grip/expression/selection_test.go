package expression

import (
	"errors"
	"testing"
)

// The document is the one of AWS's page on routes; the values are what that page says, where
// it says anything.
func TestSelection(t *testing.T) {
	const message = `{"service":"chat","action":"join","data":{"room":"room1234","n":7,"list":["a","b"],"ok":true,"no":null,"a b":"c"}}`
	for _, c := range []struct{ expression, key string }{
		{"$request.body.action", "join"},
		{"${request.body.action}", "join"},
		{"${request.body.service}/${request.body.action}", "chat/join"},
		{"${request.body.action}-${request.body.invalidPath}", "join-"},
		{"action", "action"},
		{`\$default`, "$default"},
		{"$request.body.data.room", "room1234"},
		{"$request.body.data.n", "7"},
		{"$request.body.data.ok", "true"},
		{"$request.body.data.no", ""},
		{"$request.body.data.list", "[a, b]"},
		{"$request.body.data.list[1]", "b"},
		{"$request.body.data.list[2]", ""},
		{"$request.body.action.deeper", ""},
		{"$request.body['action']", "join"},
		{`${request.body.data["a b"]}`, "c"},
		{"$request.body.service:$request.body.action", "chat:join"},
		{"$request.body.Action", ""},
	} {
		s, err := ParseSelection(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		if key, ok := s.Key([]byte(message)); key != c.key || !ok {
			t.Errorf("%s: %q, %v, want %q", c.expression, key, ok, c.key)
		}
		if s.String() != c.expression {
			t.Errorf("%s became %s", c.expression, s)
		}
	}
}

func TestSelectionOfWhatIsNoObject(t *testing.T) {
	s, err := ParseSelection(DefaultSelection)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		message, key string
		ok           bool
	}{
		{"hello", "", false},
		{"", "", false},
		{`{"action":"a"} x`, "", false},
		{`"hello"`, "", true},
		{"5", "", true},
		{`["action"]`, "", true},
		{` {"action" : "a"} `, "a", true},
		{`{"action":"a","action":"b"}`, "b", true},
		{`{"action":{"x":1}}`, `{"x":1}`, true},
	} {
		if key, ok := s.Key([]byte(c.message)); key != c.key || ok != c.ok {
			t.Errorf("%s: %q, %v, want %q, %v", c.message, key, ok, c.key, c.ok)
		}
	}
}

func TestWrongSelections(t *testing.T) {
	for source, want := range map[string]string{
		"":                          "is no route selection expression: it is empty",
		"${request.body.action":     "is no route selection expression: ${ has no }",
		"$request.header.x":         "is no route selection expression: $request.header.x is not $request.body.NAME, the only variable there is",
		"$":                         "is no route selection expression: $ is not $request.body.NAME, the only variable there is",
		"$request.bodyguard":        "is no route selection expression: $request.bodyguard is not $request.body.NAME, the only variable there is",
		"$request.body.":            "is no route selection expression: $request.body. is not $request.body.NAME",
		"$request.body..a":          "is no route selection expression: $request.body..a is not $request.body.NAME",
		"$request.body.a[x]":        "is no route selection expression: $request.body.a[x] is not $request.body.NAME",
		"${request.body.a[0}":       "is no route selection expression: $request.body.a[0 is not $request.body.NAME",
		"${request.body.a[0]b}":     "is no route selection expression: $request.body.a[0]b is not $request.body.NAME",
		"${context.routeKey}/x":     "is no route selection expression: $context.routeKey is not $request.body.NAME, the only variable there is",
		"$request.body.action $ask": "is no route selection expression: $ask is not $request.body.NAME, the only variable there is",
	} {
		_, err := ParseSelection(source)
		if !errors.Is(err, errSelection) || err.Error() != want {
			t.Errorf("%q: %v, want %s", source, err, want)
		}
	}
}

func FuzzSelection(f *testing.F) {
	f.Add("$request.body.action", `{"action":"a"}`)
	f.Add("${request.body.a[0]['b']}x", `{"a":[{"b":1}]}`)
	f.Add(`\$default`, "x")
	f.Fuzz(func(_ *testing.T, source, message string) {
		if s, err := ParseSelection(source); err == nil {
			s.Key([]byte(message)) // must not panic, whatever both are
		}
	})
}
