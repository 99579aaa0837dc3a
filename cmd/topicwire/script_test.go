package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The command runs inside the test binary, so that scripts need no build.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"topicwire": main})
}

// Every script in testdata/script is one command's contract: what it prints, where,
// and its exit status.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}
