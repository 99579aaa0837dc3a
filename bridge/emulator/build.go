package emulator

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const installGo = "install Go from https://go.dev/dl/, or build the function elsewhere and use runtime: provided"

// prepareGo builds the package folder. A file or an archive is a program that was
// built before, as AWS's go1.x had it.
func (f *Function) prepareGo(ctx context.Context, src code, g *generation) error {
	if src.file != "" {
		return f.program(src.file, g)
	}
	if src.zip != "" {
		return f.program(filepath.Join(src.root, g.handler), g)
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return f.unusable("runtime "+f.cfg.Runtime+" needs the Go tool, which is not installed", installGo)
	}
	// Every generation has a folder of its own: a program that runs cannot be overwritten.
	dir := filepath.Join(f.opts.CacheDir, "go")
	if err = os.MkdirAll(dir, 0o755); err == nil { //nolint:gosec // the function's user must get at the program
		dir, err = os.MkdirTemp(dir, fileName(f.name)+"-*")
	}
	if err == nil {
		err = os.Chmod(dir, 0o755) //nolint:gosec // as above
	}
	if err != nil {
		return f.unusable(err.Error(), "make the cache directory writable")
	}
	remove := func() { _ = os.RemoveAll(dir) }
	program := filepath.Join(dir, "bootstrap")
	started := time.Now()
	f.log.Info().Str("path", src.root).Msg("building the function")
	out, err := runTool(ctx, src.root, tool, "build", "-buildvcs=false", "-o", program, ".")
	if err != nil {
		remove()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return f.unusable("it does not build:\n"+out, "")
	}
	f.log.Info().Dur("took", time.Since(started)).Msg("the function is built")
	g.argv, g.native, g.cleanup = []string{program}, true, remove
	return nil
}

// fileName makes a function's name fit a file's.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\*:`, r) {
			return '-'
		}
		return r
	}, name)
}

// goSources lists the files that the package folder is built from, those of other
// packages in the same module (or in a replacement on disk) included. It does what it
// can with code that does not build.
func goSources(ctx context.Context, root string) []string {
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil
	}
	const format = `{{if and .Module (not .Standard)}}{{if or .Module.Main (and .Module.Replace (not .Module.Replace.Version))}}` +
		`{{.Dir}}{{"\n"}}{{.Module.GoMod}}{{"\n"}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`
	cmd := exec.CommandContext(ctx, tool, "list", "-e", "-deps", "-f", format, ".") //nolint:gosec // tool is the Go tool of PATH
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

// runTool runs a program in dir and returns what it printed.
func runTool(ctx context.Context, dir, tool string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, tool, args...) //nolint:gosec // tool is the Go tool of PATH
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	text := strings.TrimSpace(out.String())
	var exit *exec.ExitError
	if err != nil && (text == "" || !errors.As(err, &exit)) {
		text = strings.TrimSpace(text + "\n" + err.Error())
	}
	return text, err
}
