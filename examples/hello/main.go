// Hello is a Lambda function in Go: it greets whoever a message is for.
package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/lambda"
)

// event is what the rule makes of a message published to hello/NAME:
//
//	SELECT topic(2) AS name, * AS message FROM 'hello/+'
type event struct {
	Name    string          `json:"name"`
	Message json.RawMessage `json:"message"`
}

// answer is published as the reply.
type answer struct {
	Greeting string          `json:"greeting"`
	Name     string          `json:"name"`
	Message  json.RawMessage `json:"message"`
}

func hello(_ context.Context, e event) (answer, error) {
	return answer{Greeting: "Hello, " + e.Name + "!", Name: e.Name, Message: e.Message}, nil
}

func main() {
	lambda.Start(hello)
}
