package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/broker/auth"
)

// checkAuth finds authorizers whose function nothing declares.
func (l *loading) checkAuth() {
	called := l.config.Auth.Functions()
	for _, path := range slices.Sorted(maps.Keys(called)) {
		if names := l.functionNames(); called[path] != "" && !slices.Contains(names, called[path]) {
			l.report(path, fmt.Sprintf("there is no %q under functions", called[path]), undeclared(called[path], names))
		}
	}
}

// explainAuth gives an error of [auth.Authenticator.Prepare] its place in the file.
func explainAuth(c *Config, err error) error {
	var problems Problems
	for _, e := range joined(err) {
		wrong, ok := errors.AsType[*auth.MethodError](e)
		if !ok || c.main == nil {
			return err
		}
		path, remedy := at("auth.methods", wrong.Index)+"."+wrong.Method, ""
		if missing, ok := errors.AsType[*fs.PathError](wrong.Err); ok {
			remedy = "correct the path, or make the file readable"
			if wrong.Method == "password" {
				path += ".file"
				remedy = fmt.Sprintf("correct the path, or write the file: topicwire passwd %s USER", missing.Path)
			}
		}
		problems = append(problems, c.main.Described(Problem{
			Position: c.main.At(path), Path: path, Message: fmt.Sprintf("%s: %s", path, strings.TrimPrefix(wrong.Err.Error(), "auth: ")), Remedy: remedy,
		}))
	}
	return problems
}

// joined takes apart what errors.Join has put together.
func joined(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
