package emulator

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// interpreter is a program that runs scripts, and how to get it.
type interpreter struct {
	name     string   // for people
	programs []string // looked for in PATH, the best first
	// ask makes the program print its own path, which a version manager's stand-in on
	// PATH hides at the cost of a slow start, and its version.
	ask     []string
	flags   []string // between the program and the script
	major   int      // the oldest version that will do
	minor   int
	install string
}

func nodeInterpreter() interpreter {
	return interpreter{
		name: "Node.js", programs: []string{"node", "nodejs"},
		ask:   []string{"-p", `process.execPath + "\n" + process.versions.node`},
		major: 18, install: "install Node.js 18 or later, for instance with: apt install nodejs",
	}
}

// pythonInterpreter prefers the version that the runtime names, python3.12 say.
func pythonInterpreter(runtime string) interpreter {
	programs := []string{"python3", "python"}
	if runtime != "python" {
		programs = append([]string{runtime}, programs...)
	}
	return interpreter{
		name: "Python", programs: programs,
		ask:   []string{"-c", `import sys; print(sys.executable); print("%d.%d" % sys.version_info[:2])`},
		flags: []string{"-u"},
		major: 3, minor: 8, install: "install Python 3.8 or later, for instance with: apt install python3",
	}
}

var errNotInstalled = errors.New("it is not installed")

// find returns the interpreter's own path.
func (in interpreter) find(ctx context.Context) (string, error) {
	err := errNotInstalled
	for _, name := range in.programs {
		path, lookErr := exec.LookPath(name)
		if lookErr != nil {
			continue
		}
		out, runErr := exec.CommandContext(ctx, path, in.ask...).Output() //nolint:gosec // one of our names, from PATH
		if runErr != nil {
			err = fmt.Errorf("%s does not run: %w", path, runErr)
			continue
		}
		real, version, ok := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if !ok || !in.recent(version) {
			err = fmt.Errorf("%s is version %s, which is too old", path, version)
			continue
		}
		return real, nil
	}
	return "", err
}

func (in interpreter) recent(version string) bool {
	parts := strings.Split(strings.TrimSpace(version), ".")
	major, err := strconv.Atoi(parts[0])
	if err != nil || len(parts) < 2 {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	return err == nil && (major > in.major || major == in.major && minor >= in.minor)
}
