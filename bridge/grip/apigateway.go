package grip

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/expression"
)

// APIGatewayConfig are the settings of mode apigateway.
type APIGatewayConfig struct {
	Stage      string                     `yaml:"stage" jsonschema:"example=prod" jsonschema_description:"The stage's name in events and in the URL of @connections; by default the route's path if that has one level, else prod."`
	DomainName string                     `yaml:"domain_name" jsonschema:"example=ws.example.com" jsonschema_description:"What events call domainName: handlers post to https://{domainName}/{stage}/@connections. By default an address of this machine for functions that run here, and for others the host that the client asked for."`
	Selection  string                     `yaml:"route_selection" jsonschema:"example=$request.body.action" jsonschema_description:"The route selection expression: what of a message names its route. $request.body.action by default."`
	Routes     map[string]APIGatewayRoute `yaml:"routes" jsonschema_description:"The API's routes by their keys: what the expression gives, $connect, $disconnect and $default. The route's function stands behind those three and behind every key here that names none."`
	Authorizer string                     `yaml:"authorizer" jsonschema:"example=authorize" jsonschema_description:"A REQUEST authorizer: a function that allows or refuses a connection before $connect, and whose context every event carries."`
	Subscribe  []string                   `yaml:"subscribe" jsonschema:"example=rooms/${query.room}" jsonschema_description:"Topics that every connection gets the messages of, from the beginning. ${query.NAME}, ${header.NAME}, ${authorizer.NAME} and ${connectionId} stand for what they say."`
	Variables  map[string]string          `yaml:"stage_variables" jsonschema_description:"The stage variables in events."`

	MaxInFlight int           `yaml:"max_in_flight" jsonschema:"minimum=0,example=16" jsonschema_description:"How many messages of one connection may be with functions at once. 1 by default, which keeps their order; API Gateway itself keeps none."`
	Limits      string        `yaml:"limits" jsonschema:"enum=topicwire,enum=aws" jsonschema_description:"aws: API Gateway's own limits, 32 KB a frame, 128 KB a message, 10 minutes without messages, 2 hours a connection. topicwire (default) has only those that are set here and max_message."`
	MaxFrame    int           `yaml:"max_frame" unit:"bytes" jsonschema:"minimum=0,example=32KB" jsonschema_description:"Largest frame of a client; one more ends the connection with code 1009."`
	IdleTimeout time.Duration `yaml:"idle_timeout" jsonschema:"example=10m" jsonschema_description:"How long a connection may carry no message before it is closed with code 1001; -1s = for ever."`
	MaxLifetime time.Duration `yaml:"max_lifetime" jsonschema:"example=2h" jsonschema_description:"How long a connection may last before it is closed with code 1001; -1s = for ever."`
	Timeout     time.Duration `yaml:"timeout" jsonschema:"example=29s" jsonschema_description:"How long a function may take with an event; 29s by default, as in API Gateway."`
}

// APIGatewayRoute is one route of an API: what happens with the messages of its key. A
// route with neither a function nor one for the whole API is worked off here.
type APIGatewayRoute struct {
	Function    string   `yaml:"function" jsonschema:"example=send" jsonschema_description:"The function behind this key; the API's by default."`
	Response    bool     `yaml:"response" jsonschema_description:"Send the body that the function returns to the client: a route response. Without it the body is ignored."`
	Subscribe   []string `yaml:"subscribe" jsonschema:"example=rooms/${request.body.room}" jsonschema_description:"Topics that the connection gets the messages of from then on, once the function has succeeded."`
	Unsubscribe []string `yaml:"unsubscribe" jsonschema:"example=rooms/${request.body.room}" jsonschema_description:"Topics that it no longer gets the messages of."`
	Publish     string   `yaml:"publish" jsonschema:"example=rooms/${request.body.room}" jsonschema_description:"A topic to which the message is published as it is, once the function has succeeded."`
}

// The predefined routes of an API.
const (
	RouteConnect    = "$connect"
	RouteDisconnect = "$disconnect"
	RouteDefault    = "$default"
)

// The sets of limits.
const (
	LimitsTopicwire = "topicwire"
	LimitsAWS       = "aws"
)

// FunctionsOf are the functions that a route names, with where it does.
func (c RouteConfig) FunctionsOf() map[string]string {
	all := map[string]string{"function": c.Function}
	if c.Mode == ModeAPIGateway {
		all["apigateway.authorizer"] = c.APIGateway.Authorizer
		for key, r := range c.APIGateway.Routes {
			all["apigateway.routes."+key+".function"] = r.Function
		}
	}
	maps.DeleteFunc(all, func(_, name string) bool { return name == "" })
	return all
}

// IsZero reports whether nothing is set.
func (c APIGatewayConfig) IsZero() bool { return reflect.ValueOf(c).IsZero() }

// checkAPIGateway reports what is wrong with a route of mode apigateway.
func (c RouteConfig) checkAPIGateway(report func(path, problem, remedy string)) {
	a := c.APIGateway
	if c.Function == "" && len(a.Routes) == 0 {
		report("function", "is missing", "name a function of the section functions, or one for each of apigateway.routes")
	}
	for _, f := range [...]struct {
		key string
		set bool
	}{
		{"url", c.URL != ""},
		{"stream", c.Stream != ""},
		{"forward_pings", c.ForwardPings},
		{"one_event", c.OneEvent},
		{"forwarded_headers", c.Headers != ""},
	} {
		if f.set {
			report(f.key, "has no meaning in mode apigateway", "remove it")
		}
	}
	if strings.ContainsAny(a.Stage, "/?#%@ ") {
		report("apigateway.stage", fmt.Sprintf("%q is no stage", a.Stage), "use letters, digits, - and _")
	}
	if strings.ContainsAny(a.DomainName, "/?#@ ") {
		report("apigateway.domain_name", fmt.Sprintf("%q is no domain name", a.DomainName), "write HOST or HOST:PORT, without https://")
	}
	if a.Timeout < 0 {
		report("apigateway.timeout", "is negative", "write a duration such as 29s")
	}
	if a.Selection != "" {
		if _, err := expression.ParseSelection(a.Selection); err != nil {
			report("apigateway.route_selection", fmt.Sprintf("%q %v", a.Selection, err), "write $request.body.NAME, for example $request.body.action")
		}
	}
	connection := expression.Scope{Request: true}
	for i, s := range a.Subscribe {
		reportTopic(fmt.Sprintf("apigateway.subscribe[%d]", i), s, connection, true, report)
	}
	for _, key := range slices.Sorted(maps.Keys(a.Routes)) {
		c.checkAPIRoute("apigateway.routes."+key, key, a.Routes[key], report)
	}
}

func (c RouteConfig) checkAPIRoute(path, key string, r APIGatewayRoute, report func(path, problem, remedy string)) {
	scope := RouteScope(key)
	for _, list := range []struct {
		name   string
		topics []string
	}{{"subscribe", r.Subscribe}, {"unsubscribe", r.Unsubscribe}} {
		for i, s := range list.topics {
			reportTopic(fmt.Sprintf("%s.%s[%d]", path, list.name, i), s, scope, true, report)
		}
	}
	if r.Publish != "" {
		reportTopic(path+".publish", r.Publish, scope, false, report)
	}
	works := len(r.Subscribe)+len(r.Unsubscribe) > 0 || r.Publish != ""
	switch {
	case key == "":
		report(path, "the route has no key", "write what the route selection expression gives, or $default")
	case key == RouteDisconnect && works:
		report(path, "nothing is left to subscribe or publish for when a connection has ended", "remove subscribe, unsubscribe and publish")
	case strings.HasPrefix(key, "$") && key != RouteConnect && key != RouteDisconnect && key != RouteDefault:
		report(path, fmt.Sprintf("%q is not one of $connect, $disconnect and $default", key), "choose one of them, or a key without $")
	case r.Function == "" && c.Function == "" && !works:
		report(path, "nothing stands behind the route", "add a function, or subscribe or publish")
	case r.Response && r.Function == "" && c.Function == "":
		report(path+".response", "there is no function that answers", "add a function, or remove response")
	}
}

// RouteScope is what the topics of a route may refer to.
func RouteScope(key string) expression.Scope {
	return expression.Scope{Request: key == RouteConnect, Body: key != RouteConnect && key != RouteDisconnect}
}

func reportTopic(path, source string, scope expression.Scope, filter bool, report func(path, problem, remedy string)) {
	if _, err := expression.ParseTopic(source, scope, filter); err != nil {
		report(path, fmt.Sprintf("%q %v", source, err), "write a topic such as rooms/${"+scope.Example()+"}")
	}
}
