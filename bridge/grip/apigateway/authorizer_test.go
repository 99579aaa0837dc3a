package apigateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
)

// policy is an authorizer's answer.
func policy(effect, action, resource string) string {
	return fmt.Sprintf(`{"principalId":"ada","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":%q,"Action":%q,"Resource":%q}]},"context":{"role":"admin","level":3,"on":true,"none":null}}`, effect, action, resource)
}

func TestAuthorizer(t *testing.T) {
	for _, c := range []struct {
		name, out string
		err       error
		status    int // 101: connected
	}{
		{"allowed", policy("Allow", "execute-api:Invoke", "*"), nil, 101},
		{"this API", policy("Allow", "execute-api:*", "arn:aws:execute-api:*:*:*/dev/$connect"), nil, 101},
		{"its own ARN", `{"principalId":"a","policyDocument":{"Statement":{"Effect":"Allow","Action":["x","execute-api:Invoke"],"Resource":["y","arn:aws:execute-api:us-east-1:123456789012:*"]}}}`, nil, 101},
		{"denied", policy("Deny", "execute-api:Invoke", "*"), nil, 403},
		{"another API", policy("Allow", "execute-api:Invoke", "arn:aws:execute-api:*:*:*/prod/*"), nil, 403},
		{"nothing allowed", `{"principalId":"a","policyDocument":{"Statement":[]}}`, nil, 403},
		{"allowed and denied", `{"principalId":"a","policyDocument":{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*"}]}}`, nil, 403},
		{"no principal", `{"policyDocument":{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}}`, nil, 500},
		{"a context that is no text", `{"principalId":"a","policyDocument":{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]},"context":{"a":{}}}`, nil, 500},
		{"no policy", `null`, nil, 500},
		{"no JSON", `x`, nil, 500},
		{"Unauthorized", "", &function.Error{Type: "Error", Message: "Unauthorized"}, 401},
		{"it fails", "", errors.New("no such host"), 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(chan event, 2)
			w := serve(t, grip.RouteConfig{APIGateway: grip.APIGatewayConfig{Authorizer: "auth", Subscribe: []string{"users/${authorizer.principalId}"}}}, map[string]fn{"f": func(e event) (any, error) {
				got <- e
				return answer(200, ""), nil
			}})
			asked := make(chan []byte, 1)
			w.fns.raw["auth"] = func(payload []byte) ([]byte, error) { asked <- payload; return []byte(c.out), c.err }
			ws, resp, err := w.try("?token=1", nil)
			if resp == nil || resp.StatusCode != c.status {
				t.Fatalf("%v %v, want %d", resp, err, c.status)
			}
			var e events.APIGatewayCustomAuthorizerRequestTypeRequest
			if err := json.Unmarshal(<-asked, &e); err != nil || e.Type != "REQUEST" || e.QueryStringParameters["token"] != "1" || e.Headers["Host"] == "" {
				t.Errorf("%+v, %v", e, err)
			}
			if c.status != 101 {
				if len(got) != 0 {
					t.Error("$connect is asked nevertheless")
				}
				return
			}
			ws.Close()
			for range 2 { // CONNECT and DISCONNECT both carry it
				context, ok := (<-got).RequestContext.Authorizer.(map[string]any)
				if !ok || context["principalId"] == "" {
					t.Errorf("context %v", context)
				}
				if c.name == "allowed" && (context["role"] != "admin" || context["level"] != "3" || context["on"] != "true" || context["none"] != nil) {
					t.Errorf("context %v", context)
				}
			}
		})
	}
}
