package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"github.com/topicwire/topicwire/internal/testkit"
)

const guardedDoors = `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
auth:
  methods:
    - sigv4: {keys: [{id: AKIAEXAMPLE00000ADA, secret: a-secret-of-at-least-20, principal: ada}]}
  policies:
    ada: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: [iot:Publish], Resource: "arn:aws:iot:*:*:topic/ada/*"},
      {Effect: Allow, Action: lambda:InvokeFunction, Resource: "arn:aws:lambda:*:*:function:publisher"}]}
    out: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: iot:Publish, Resource: "arn:aws:iot:*:*:topic/out/*"}]}
  attach: [{principal: ada, policies: ada}]
functions:
  publisher: {runtime: nodejs, path: code, handler: f.publish, timeout: 20s, policy: out}
  nobody: {runtime: nodejs, path: code, handler: f.publish, timeout: 20s}
`

const guardedCode = `
const { IoTDataPlaneClient, PublishCommand } = require(MODULES + '/@aws-sdk/client-iot-data-plane');
const iot = new IoTDataPlaneClient({ maxAttempts: 1 });
exports.publish = async ({ topic }) => {
  try { await iot.send(new PublishCommand({ topic, qos: 1, payload: 'x' })); return 'published'; } catch (e) { return e.name; }
};
`

// With authentication configured, the doors take signatures of keys that they know, and
// everybody, a function too, may do what his policies allow.
func TestDoorsAskWhoItIs(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	modules := testkit.NeedFile(t, filepath.Join(testkit.Root(), "examples", "talkback", "node_modules"), "npm ci --prefix examples/talkback")
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{
		"code/f.js":   strings.ReplaceAll(guardedCode, "MODULES", "'"+modules+"'"),
		"config.yaml": guardedDoors,
	})
	s := testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"))

	client := func(secret string) *lambda.Client {
		return lambda.New(lambda.Options{
			BaseEndpoint: aws.String("http://" + s.HTTP), Region: "us-east-1", RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE00000ADA", secret, ""),
		})
	}
	ada := client("a-secret-of-at-least-20")
	invoke := func(c *lambda.Client, name, topic string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
		defer cancel()
		out, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"topic":"` + topic + `"}`)})
		var api smithy.APIError
		switch {
		case errors.As(err, &api):
			return api.ErrorCode()
		case err != nil:
			t.Fatal(err)
		}
		return string(out.Payload)
	}
	for _, c := range []struct{ name, topic, want string }{
		{"publisher", "out/1", `"published"`},
		{"publisher", "in/1", `"ForbiddenException"`}, // the function's policy
		{"nobody", "out/1", "AccessDeniedException"},  // ada's
	} {
		if got := invoke(ada, c.name, c.topic); got != c.want {
			t.Errorf("%s for %s: %s, want %s", c.name, c.topic, got, c.want)
		}
	}
	if got := invoke(client("another-secret-of-20-x"), "publisher", "out/1"); got != "InvalidSignatureException" {
		t.Errorf("a wrong signature: %s", got)
	}
	var api smithy.APIError
	if _, err := ada.ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" {
		t.Errorf("list-functions: %v", err)
	}

	for _, c := range []struct {
		topic  string
		signed bool
		status int
	}{{"ada%2F1", true, 200}, {"ada/2", true, 200}, {"bob%2F1", true, 403}, {"ada%2F1", false, 403}} {
		if status, body := post(t, "http://"+s.HTTP+"/topics/"+c.topic+"?qos=1", c.signed); status != c.status {
			t.Errorf("publish to %s, signed: %t: %d %s, want %d", c.topic, c.signed, status, body, c.status)
		}
	}
}

// post publishes with a request that is signed by hand.
func post(t *testing.T, url string, signed bool) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if signed {
		sum := sha256.Sum256([]byte("hello"))
		err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKIAEXAMPLE00000ADA", SecretAccessKey: "a-secret-of-at-least-20"},
			req, hex.EncodeToString(sum[:]), "iotdata", "us-east-1", time.Now())
		if err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
