package auth

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// AuthorizerConfig are the settings of the method authorizer: AWS IoT's custom
// authorizers, each a function that decides.
// (https://docs.aws.amazon.com/iot/latest/developerguide/custom-authentication.html)
type AuthorizerConfig struct {
	Authorizers map[string]Authorizer `yaml:"authorizers" jsonschema_description:"The authorizers by name; clients choose one with x-amz-customauthorizer-name."`
	Default     string                `yaml:"default" jsonschema:"example=main" jsonschema_description:"The authorizer of clients that choose none. Without it, such clients are left to the next method."`
}

// Authorizer is one custom authorizer. The fields are those of AWS's CreateAuthorizer.
type Authorizer struct {
	Function        string   `yaml:"function" jsonschema:"required,example=authorize" jsonschema_description:"The function that decides: one of functions. It gets AWS's event and answers with AWS's result."`
	TokenKey        string   `yaml:"token_key" jsonschema:"example=token" jsonschema_description:"The name under which the token comes: of a header, of a parameter of the URL, or of one behind the user name (AWS: tokenKeyName)."`
	SigningKeys     []string `yaml:"signing_keys" jsonschema:"example=authorizer.pem" jsonschema_description:"Files with RSA public keys (AWS: tokenSigningPublicKeys). The token must be signed with one of them, or the function is not asked; reloaded when they change."`
	SigningDisabled bool     `yaml:"signing_disabled" jsonschema_description:"The token needs no signature. Whoever can connect can then make the function run."`
}

var authorizerName = regexp.MustCompile(`^[\w=,@-]{1,128}$`)

// Check reports authorizers that nobody could use.
func (c AuthorizerConfig) Check(report func(path, problem, remedy string)) {
	if len(c.Authorizers) == 0 {
		report("authorizers", "there is none", "add authorizers: {main: {function: authorize, signing_disabled: true}}")
	}
	if _, ok := c.Authorizers[c.Default]; c.Default != "" && !ok {
		report("default", fmt.Sprintf("there is no authorizer %q", c.Default), "write one of "+strings.Join(slices.Sorted(maps.Keys(c.Authorizers)), ", "))
	}
	for name := range c.Authorizers {
		if !authorizerName.MatchString(name) {
			report("authorizers."+name, "can be no authorizer's name", "use up to 128 letters, digits and _ = , @ -")
		}
	}
}

// Check reports an authorizer that could not check signatures, or was not told whether to.
func (a Authorizer) Check(report func(path, problem, remedy string)) {
	switch {
	case a.SigningDisabled && len(a.SigningKeys) > 0:
		report("signing_keys", "there are keys although signing is disabled", "remove one of the two")
	case !a.SigningDisabled && len(a.SigningKeys) == 0:
		report("", "nobody could sign a token for it", "add signing_keys: [authorizer.pem] and token_key, or signing_disabled: true")
	case !a.SigningDisabled && a.TokenKey == "":
		report("token_key", "is missing", "name the key under which the signed token comes, for example token")
	}
	if strings.ContainsAny(a.TokenKey, " &=?:\t") || strings.HasPrefix(strings.ToLower(a.TokenKey), "x-amz-customauthorizer-") {
		report("token_key", fmt.Sprintf("%q can be no name of a header and a parameter", a.TokenKey), "write for example token")
	}
}

// Functions are the names of the functions that authorizers call, with where they stand.
func (c *Config) Functions() map[string]string {
	names := make(map[string]string)
	for i := range c.Methods {
		if a := c.Methods[i].Authorizer; a != nil {
			for name, one := range a.Authorizers {
				names[fmt.Sprintf("auth.methods[%d].authorizer.authorizers.%s.function", i, name)] = one.Function
			}
		}
	}
	return names
}
