// A handler as people write them for an Amazon API Gateway WebSocket API in Go. Of
// topicwire it knows one header: with it, it puts a connection into a room.
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func handle(_ context.Context, e events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	ok := events.APIGatewayProxyResponse{StatusCode: 200}
	switch e.RequestContext.RouteKey {
	case "$connect":
		if e.QueryStringParameters["name"] == "" {
			return events.APIGatewayProxyResponse{StatusCode: 403, Body: "Who are you?"}, nil
		}
	case "$disconnect":
		fmt.Println("gone:", e.RequestContext.ConnectionID, e.RequestContext.DisconnectStatusCode)
	case "join":
		var m struct{ Room string }
		if err := json.Unmarshal([]byte(e.Body), &m); err != nil || m.Room == "" {
			return events.APIGatewayProxyResponse{StatusCode: 400, Body: "no room"}, nil
		}
		ok.Headers = map[string]string{"Topicwire-Subscribe": "rooms/" + m.Room}
		ok.Body = "joined " + m.Room
	default:
		ok.Body = fmt.Sprintf("%s %s", e.RequestContext.EventType, e.Body)
	}
	return ok, nil
}

func main() { lambda.Start(handle) }
