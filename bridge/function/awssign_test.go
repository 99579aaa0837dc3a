package function

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func TestHTTPIsSigned(t *testing.T) {
	noCredentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	var got *http.Request
	var body []byte
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	})
	if _, err := invoke(t, Config{HTTP: url + "/a b?x=1", Auth: &Auth{SigV4: &SigV4{Service: "lambda", Region: "eu-central-1"}}}, `{"a":1}`); err != nil {
		t.Fatal(err)
	}
	authorization := got.Header.Get("Authorization")
	m := regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-central-1/lambda/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=`).FindStringSubmatch(authorization)
	if m == nil || !strings.Contains(m[1], "content-type") || string(body) != `{"a":1}` {
		t.Fatalf("signed as %q, body %s", authorization, body)
	}
	// What arrived has that signature.
	again, _ := http.NewRequest(http.MethodPost, "http://"+got.Host+got.URL.RequestURI(), nil)
	for name := range strings.SplitSeq(m[1], ";") {
		if name != "host" && name != "content-length" {
			again.Header[http.CanonicalHeaderKey(name)] = got.Header[http.CanonicalHeaderKey(name)]
		}
	}
	again.ContentLength = got.ContentLength
	at, err := time.Parse("20060102T150405Z", got.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"},
		again, got.Header.Get("X-Amz-Content-Sha256"), "lambda", "eu-central-1", at); err != nil {
		t.Fatal(err)
	}
	if want := again.Header.Get("Authorization"); want != authorization {
		t.Errorf("signed as %s\nwant      %s", authorization, want)
	}
}

func TestFunctionURLNeedsNoSettings(t *testing.T) {
	for _, c := range []struct {
		url, service, region string
	}{
		{"https://abc.lambda-url.eu-west-1.on.aws/", "lambda", "eu-west-1"},
		{"https://abc.execute-api.us-east-2.amazonaws.com/prod/x", "execute-api", "us-east-2"},
		{"https://example.com/", "", ""},
		{"::", "", ""},
	} {
		if got := (SigV4{}).filledFor(c.url); got.Service != c.service || got.Region != c.region {
			t.Errorf("%s: %+v", c.url, got)
		}
	}
	if got := (SigV4{Service: "s", Region: "r"}).filledFor("https://abc.lambda-url.eu-west-1.on.aws/"); got != (SigV4{"s", "r"}) {
		t.Errorf("what is configured was replaced: %+v", got)
	}
	var problems []string
	Config{HTTP: "https://example.com/", Auth: &Auth{SigV4: &SigV4{}}}.Check(func(path, problem, _ string) { problems = append(problems, path+" "+problem) })
	if len(problems) != 1 || !strings.HasPrefix(problems[0], "auth.sigv4.service ") {
		t.Errorf("reported %q", problems)
	}
}
