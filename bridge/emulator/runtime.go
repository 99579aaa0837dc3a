package emulator

import (
	"path/filepath"
	"strings"
)

// kind is what has to be done to run a function's code.
type kind int

const (
	kindUnknown  kind = iota
	kindGo            // a Go package folder: build it
	kindProvided      // a bootstrap program
	kindNode
	kindPython
)

// parseRuntime understands our names and AWS's runtime identifiers
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html).
func parseRuntime(name string) kind {
	switch {
	case name == "go" || name == "go1.x":
		return kindGo
	case name == "provided" || strings.HasPrefix(name, "provided.al"):
		return kindProvided
	case hasVersion(name, "nodejs", ".x"):
		return kindNode
	case hasVersion(name, "python", ""):
		return kindPython
	default:
		return kindUnknown
	}
}

// hasVersion reports whether name is base alone, or base, a version and suffix.
func hasVersion(name, base, suffix string) bool {
	version, ok := strings.CutPrefix(name, base)
	if !ok || version == "" {
		return ok
	}
	version, ok = strings.CutSuffix(version, suffix)
	return ok && version != "" && strings.Trim(version, "0123456789.") == ""
}

func needsHandler(k kind) bool { return k == kindNode || k == kindPython }

// isSourceFile reports whether path names one file of a scripting language rather
// than a folder or an archive.
func isSourceFile(path string) bool {
	switch filepath.Ext(path) {
	case ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".py":
		return true
	default:
		return false
	}
}

// defaultHandler is the _HANDLER of a function whose configuration has handler
// (perhaps none) and whose code is the file (perhaps none).
func defaultHandler(k kind, handler, file string) string {
	stem, function := "", ""
	switch k {
	case kindNode:
		stem, function = "index", "handler"
	case kindPython:
		stem, function = "lambda_function", "lambda_handler"
	case kindGo, kindProvided, kindUnknown:
		stem = "bootstrap"
	}
	if file != "" && needsHandler(k) {
		stem = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	switch {
	case handler == "" && function == "":
		return stem
	case handler == "":
		return stem + "." + function
	case file != "" && needsHandler(k) && !strings.Contains(handler, "."):
		return stem + "." + handler
	default:
		return handler
	}
}
