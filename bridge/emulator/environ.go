package emulator

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/message"
)

// functionVersion is the version of a function that has never been published.
const functionVersion = "$LATEST"

// reservedVariable reports whether the emulator alone sets that variable: those
// without which a runtime would not find us or its code
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html).
func reservedVariable(name string) bool {
	switch name {
	case "_HANDLER", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_FUNCTION_NAME",
		"AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_LOG_GROUP_NAME",
		"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_EXECUTION_ENV", "AWS_LAMBDA_MAX_CONCURRENCY":
		return true
	default:
		return false
	}
}

// inherited are the variables a process gets from us. The rest of our environment
// stays ours: it may hold secrets that are none of a function's business.
func inherited() []string {
	return []string{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"}
}

// variables is the environment of a new process, as AWS sets it, then the options',
// then the function's own.
func (e *environment) variables() []string {
	f := e.f
	v := map[string]string{"LANG": "en_US.UTF-8", "TZ": ":UTC"}
	for _, name := range inherited() {
		if value, ok := os.LookupEnv(name); ok {
			v[name] = value
		}
	}
	maps.Copy(v, map[string]string{
		"AWS_REGION":         f.opts.Region,
		"AWS_DEFAULT_REGION": f.opts.Region,
		// No SDK works without; these open nothing at AWS.
		"AWS_ACCESS_KEY_ID":     "topicwire",
		"AWS_SECRET_ACCESS_KEY": "topicwire",
		"AWS_SESSION_TOKEN":     "topicwire",
		// There is no X-Ray daemon: its SDK is to say so in the log, as there, and not to throw.
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
	})
	if e.gen.native {
		// An environment runs one invocation at a time: more threads only cost.
		v["GOMAXPROCS"] = "1"
	}
	if f.kind == kindPython {
		// Not into the user's folder: it is watched, and perhaps under version control.
		v["PYTHONPYCACHEPREFIX"] = filepath.Join(f.opts.CacheDir, "pycache")
	}
	maps.Copy(v, f.opts.Env)
	if f.opts.EnvFor != nil {
		maps.Copy(v, f.opts.EnvFor(f.name, e.token))
	}
	if _, own := f.cfg.Environment["AWS_ACCESS_KEY_ID"]; own { // our token does not belong to its key
		delete(v, "AWS_SECRET_ACCESS_KEY")
		delete(v, "AWS_SESSION_TOKEN")
	}
	maps.Copy(v, f.cfg.Environment)
	maps.Copy(v, map[string]string{
		"_HANDLER":                        e.gen.handler,
		"AWS_LAMBDA_RUNTIME_API":          e.host,
		"LAMBDA_TASK_ROOT":                e.gen.root,
		"LAMBDA_RUNTIME_DIR":              e.gen.runtimeDir,
		"AWS_EXECUTION_ENV":               "AWS_Lambda_" + f.executionEnv(),
		"AWS_LAMBDA_FUNCTION_NAME":        f.name,
		"AWS_LAMBDA_FUNCTION_VERSION":     functionVersion,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.cfg.Memory),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      logStream(),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
	})
	if f.cfg.Prewarm > 0 {
		v["AWS_LAMBDA_INITIALIZATION_TYPE"] = "provisioned-concurrency"
	}
	if n := f.cfg.ConcurrencyPerEnvironment; n > 1 {
		v["AWS_LAMBDA_MAX_CONCURRENCY"] = strconv.Itoa(n)
	}
	list := make([]string, 0, len(v))
	for _, name := range slices.Sorted(maps.Keys(v)) {
		list = append(list, name+"="+v[name])
	}
	return list
}

// executionEnv is the runtime's name as AWS has it: ours get the version that is
// current there.
func (f *Function) executionEnv() string {
	switch name := f.cfg.Runtime; name {
	case "go", "provided":
		return "provided.al2023"
	case "nodejs":
		return "nodejs22.x"
	case "python":
		return "python3.13"
	default:
		return name
	}
}

// logStream is a name such as 2026/01/02/[$LATEST]0123456789abcdef0123456789abcdef.
func logStream() string {
	return time.Now().UTC().Format("2006/01/02/") + "[" + functionVersion + "]" + strings.ReplaceAll(message.NewID(), "-", "")
}
