package function

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/emulator"
)

func problems(c Config) []string {
	got := []string{}
	c.Check(func(path, problem, remedy string) {
		got = append(got, path+": "+problem+" ("+remedy+")")
	})
	return got
}

func TestConfigCheck(t *testing.T) {
	const arn = "arn:aws:lambda:eu-central-1:123456789012:function:f"
	for name, c := range map[string]struct {
		config Config
		want   []string
	}{
		"http":             {Config{HTTP: "https://example.com/x", Headers: map[string]string{"X-A": "b"}, Config: emulator.Config{Concurrency: 1000}}, nil},
		"lambda":           {Config{Lambda: arn + ":live", Endpoint: "http://127.0.0.1:4566"}, nil},
		"lambda by name":   {Config{Lambda: "f:$LATEST"}, nil},
		"both":             {Config{Lambda: "f", HTTP: "http://h"}, []string{"http: the function has both lambda and http (keep one of them, or make two functions)"}},
		"no URL":           {Config{HTTP: "localhost:80"}, []string{`http: "localhost:80" is not an http or https URL (write http://HOST:PORT/PATH or https://...)`}},
		"no host":          {Config{HTTP: "http:///x"}, []string{`http: "http:///x" names no host (write http://HOST:PORT/PATH or https://...)`}},
		"header name":      {Config{HTTP: "http://h", Headers: map[string]string{"a b": "c"}}, []string{`headers.a b: "a b" is not a header name (use letters, digits and hyphens)`}},
		"header value":     {Config{HTTP: "http://h", Headers: map[string]string{"A": "b\r\nC: d"}}, []string{`headers.A: the value has control characters (write it on one line)`}},
		"empty auth":       {Config{HTTP: "http://h", Auth: &Auth{}}, []string{"auth: is empty (add basic: {username, password}, bearer: TOKEN or sigv4: {})"}},
		"two auths":        {Config{HTTP: "http://h", Auth: &Auth{Basic: &BasicAuth{Username: "u"}, Bearer: "t"}}, []string{"auth: has more than one of basic, bearer and sigv4 (keep one of them)"}},
		"auth of nothing":  {Config{Lambda: "f", Auth: &Auth{Bearer: "t"}}, []string{"auth: has no meaning without http (add http: URL, or remove auth)"}},
		"region of http":   {Config{HTTP: "http://h", Region: "eu-west-1"}, []string{"region: has no meaning without lambda (add lambda: NAME, or remove region)"}},
		"not a name":       {Config{Lambda: "a b"}, []string{`lambda: "a b" is neither a Lambda function's name (letters, digits, - and _) nor an ARN (write the function's name or its ARN)`}},
		"not a lambda ARN": {Config{Lambda: "arn:aws:s3:::bucket"}, []string{`lambda: "arn:aws:s3:::bucket" is not the ARN of a Lambda function: write arn:aws:lambda:REGION:ACCOUNT:function:NAME, with :VERSION or :ALIAS if you like (write the function's name or its ARN)`}},
		"two regions":      {Config{Lambda: arn, Region: "us-east-1"}, []string{"region: is us-east-1, and the ARN says eu-central-1 (remove region: the ARN's counts)"}},
		"of the emulator":  {Config{HTTP: "http://h", Config: emulator.Config{Timeout: 1, Path: "x", Prewarm: 1}}, []string{"path: is for functions that run here (remove it: lambda and http functions run elsewhere)", "prewarm: is for functions that run here (remove it: lambda and http functions run elsewhere)"}},
		"runtime and http": {Config{HTTP: "http://h", Config: emulator.Config{Runtime: "go"}}, []string{"runtime: the function has a runtime, and lambda or http beside it (keep one of runtime, lambda and http)"}},
		"concurrency":      {Config{HTTP: "http://h", Config: emulator.Config{Concurrency: 2000}}, []string{"concurrency: 2000 is out of range (use 1 to 1000)"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == nil {
				c.want = []string{}
			}
			if diff := cmp.Diff(c.want, problems(c.config)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
