package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// The http action posts to a URL and its answer is published like a function's; what
// fails reaches the error action in AWS's words.
func TestHTTPAction(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/broken" {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, `{"path":%q,"kind":%q,"sent":%s}`, r.URL.Path, r.Header.Get("X-Kind"), body)
	}))
	t.Cleanup(web.Close)
	s := testkit.Start(t, binary.Path(t), strings.ReplaceAll(`
listen: {mqtt: 127.0.0.1:0}
rules:
  - name: good
    sql: SELECT v * 2 AS twice FROM 'in/+'
    actions:
      - http:
          url: URL/${topic(2)}
          headers: [{key: X-Kind, value: "${kind}"}]
          reply: {topic: "out/${topic(2)}", qos: 1}
  - name: bad
    sql: SELECT * FROM 'in/+'
    actions:
      - http: {url: URL/broken}
        retry: {max_attempts: 1}
      - republish: {topic: copied}
    errorAction: {republish: {topic: errors}}
`, "URL", web.URL))
	out := subscribe(t, s.MQTT, "-t", "out/#")
	failures := subscribe(t, s.MQTT, "-t", "errors")
	copied := subscribe(t, s.MQTT, "-t", "copied")
	publish(t, s.MQTT, "-q", "1", "-t", "in/a", "-m", `{"v":21,"kind":"k"}`)

	sameJSON(t, `{"path":"/a","kind":"k","sent":{"twice":42}}`, strings.TrimPrefix(out.waitFor("out/a {"), "out/a "))
	copied.waitFor(`copied {"v":21,"kind":"k"}`) // one action's failure is not the other's
	var document struct {
		RuleName, Topic, Base64OriginalPayload string
		Failures                               []struct{ FailedAction, FailedResource, ErrorMessage string }
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(failures.waitFor("errors {"), "errors ")), &document); err != nil {
		t.Fatal(err)
	}
	if document.RuleName != "bad" || document.Topic != "in/a" || document.Base64OriginalPayload != "eyJ2IjoyMSwia2luZCI6ImsifQ==" ||
		len(document.Failures) != 1 || document.Failures[0].FailedAction != "HttpAction" || !strings.Contains(document.Failures[0].ErrorMessage, "500") {
		t.Errorf("the error action received %+v", document)
	}
}
