package emulator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/topicwire/topicwire/bridge/emulator/runtimes"
)

// generation is one state of a function's code, ready to be run. The fields from
// current on are guarded by Function.mu.
type generation struct {
	argv       []string // what a process runs
	dir        string   // its working directory
	root       string   // LAMBDA_TASK_ROOT
	runtimeDir string
	handler    string
	native     bool   // a program rather than a script
	ours       bool   // run by one of our own runtime clients
	cleanup    func() // removes what was made for it; may be nil

	current   bool // new environments are of this generation
	live      int  // environments that are to stay
	warm      int  // of them, those that have started
	processes int  // environments, those on their way out included
}

// release cleans up once the generation serves no more. Function.mu is held.
func (g *generation) release() {
	if g.current || g.processes > 0 || g.cleanup == nil {
		return
	}
	g.cleanup()
	g.cleanup = nil
}

// code is where a function's code is on disk.
type code struct {
	root string // the folder
	file string // the one file that path names; may be empty
	zip  string // the archive that root was unpacked from; may be empty
}

// locate finds the code that the configuration names; archives are unpacked.
func (f *Function) locate() (code, error) {
	path := f.cfg.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(f.opts.BaseDir, path)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return code{}, f.unusable("there is no "+path, "correct path")
	case err != nil:
		return code{}, f.unusable(err.Error(), "make the code readable")
	case info.IsDir():
		// A folder may be a link that is swapped; what runs stays with what it was.
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return code{}, f.unusable(err.Error(), "make the code readable")
		}
		return code{root: real}, nil
	case strings.EqualFold(filepath.Ext(path), ".zip"):
		root, err := unpack(path, filepath.Join(f.opts.CacheDir, "zip"))
		if err != nil {
			return code{}, f.unusable(err.Error(), "build the archive anew")
		}
		return code{root: root, zip: path}, nil
	default:
		return code{root: filepath.Dir(path), file: path}, nil
	}
}

func (f *Function) unusable(problem, remedy string) *UnavailableError {
	return &UnavailableError{Function: f.name, Problem: problem, Remedy: remedy}
}

// prepare makes a generation of the code as it is now. Its errors are
// [*UnavailableError] and ctx's.
func (f *Function) prepare(ctx context.Context, src code) (*generation, error) {
	g := &generation{dir: src.root, root: src.root, handler: defaultHandler(f.kind, f.cfg.Handler, src.file)}
	var err error
	switch f.kind {
	case kindGo:
		err = f.prepareGo(ctx, src, g)
	case kindProvided:
		err = f.prepareProvided(src, g)
	case kindNode:
		err = f.prepareScript(ctx, nodeInterpreter(), runtimes.Node(), g)
	case kindPython:
		err = f.prepareScript(ctx, pythonInterpreter(f.cfg.Runtime), runtimes.Python(), g)
	case kindUnknown:
		err = f.unusable("runtime "+f.cfg.Runtime+" is not known", "")
	}
	if err != nil {
		return nil, err
	}
	if g.runtimeDir == "" {
		g.runtimeDir = g.root
	}
	return g, nil
}

// prepareProvided finds the program: the file itself, or bootstrap in the folder.
func (f *Function) prepareProvided(src code, g *generation) error {
	program := src.file
	if program == "" {
		program = filepath.Join(src.root, "bootstrap")
	}
	return f.program(program, g)
}

// program makes g run a file that has to be there and executable.
func (f *Function) program(file string, g *generation) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return f.unusable("there is no program "+file, "build it, or point path at the folder that has bootstrap")
	case info.IsDir() || info.Mode()&0o111 == 0:
		return f.unusable(file+" is not executable", "chmod +x it")
	}
	g.argv, g.native = []string{file}, true
	return nil
}

// prepareScript finds the interpreter and installs its runtime client.
func (f *Function) prepareScript(ctx context.Context, in interpreter, client runtimes.Client, g *generation) error {
	program, err := f.interpreter, error(nil)
	if _, statErr := os.Stat(program); program == "" || statErr != nil {
		program, err = in.find(ctx)
		f.interpreter = program
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return f.unusable(fmt.Sprintf("runtime %s needs %s: %v", f.cfg.Runtime, in.name, err), in.install)
	}
	file, err := client.Install(f.opts.CacheDir)
	if err != nil {
		return f.unusable(err.Error(), "make the cache directory writable")
	}
	g.argv = append(append([]string{program}, in.flags...), file)
	g.runtimeDir, g.ours = filepath.Dir(file), true
	return nil
}
