package function

import (
	"fmt"
	"regexp"
	"strings"
)

// target is a Lambda function's address taken apart.
type target struct {
	arn       string // without the qualifier; empty unless a full ARN was written
	region    string // empty unless an ARN names it
	account   string // empty unless an ARN names it
	name      string
	qualifier string // version or alias; may be empty
}

// The forms that Lambda's Invoke takes: name, name:qualifier, account:function:name
// and full ARNs.
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html)
var (
	fullARN    = regexp.MustCompile(`^arn:(aws[a-zA-Z-]*):lambda:([a-z0-9-]+):(\d{12}):function:([a-zA-Z0-9_-]{1,140})(?::(\$LATEST|[a-zA-Z0-9_-]{1,128}))?$`)
	partialARN = regexp.MustCompile(`^(\d{12}):(?:function:)?([a-zA-Z0-9_-]{1,140})(?::(\$LATEST|[a-zA-Z0-9_-]{1,128}))?$`)
	plainName  = regexp.MustCompile(`^([a-zA-Z0-9_-]{1,140})(?::(\$LATEST|[a-zA-Z0-9_-]{1,128}))?$`)
)

// CheckName reports why a function cannot be declared as name, or nil. The form is
// Lambda's, so that an ARN can end in every declared name.
func CheckName(name string) error {
	if t, err := parseTarget(name); err != nil || t.name != name {
		return fmt.Errorf("%q is not a function name: use 1 to 140 letters, digits, - and _", name)
	}
	return nil
}

// SplitName takes a name as Lambda's interface takes it apart: NAME, a partial or a full
// ARN, each with :QUALIFIER if its writer likes.
func SplitName(s string) (name, qualifier string, err error) {
	t, err := parseTarget(s)
	return t.name, t.qualifier, err
}

// parseTarget reads what a `lambda:` or `functionArn:` says.
func parseTarget(s string) (target, error) {
	if m := fullARN.FindStringSubmatch(s); m != nil {
		arn := strings.Join([]string{"arn", m[1], "lambda", m[2], m[3], "function", m[4]}, ":")
		return target{arn: arn, region: m[2], account: m[3], name: m[4], qualifier: m[5]}, nil
	}
	if strings.HasPrefix(s, "arn:") {
		return target{}, fmt.Errorf("%q is not the ARN of a Lambda function: write arn:aws:lambda:REGION:ACCOUNT:function:NAME, with :VERSION or :ALIAS if you like", s)
	}
	if m := partialARN.FindStringSubmatch(s); m != nil {
		return target{account: m[1], name: m[2], qualifier: m[3]}, nil
	}
	if m := plainName.FindStringSubmatch(s); m != nil {
		return target{name: m[1], qualifier: m[2]}, nil
	}
	return target{}, fmt.Errorf("%q is neither a Lambda function's name (letters, digits, - and _) nor an ARN", s)
}

// call is the name to give to Lambda's Invoke, without the qualifier, which travels on
// its own. Emulators want the bare name: some answer 404 to an ARN.
func (t target) call(emulator bool) string {
	switch {
	case emulator:
		return t.name
	case t.arn != "":
		return t.arn
	case t.account != "":
		return t.account + ":function:" + t.name
	default:
		return t.name
	}
}

// arnFunction cuts NAME or NAME:QUALIFIER out of an ARN, without a look at the form of
// the rest. It runs for every message of a rule that names its function by ARN.
func arnFunction(s string) (qualified string, ok bool) {
	if !strings.HasPrefix(s, "arn:") {
		return "", false
	}
	for part := range 6 { // arn:PARTITION:lambda:REGION:ACCOUNT:function:
		var field string
		if field, s, ok = strings.Cut(s, ":"); !ok || part == 2 && field != "lambda" || part == 5 && field != "function" {
			return "", false
		}
	}
	return s, true
}
