package yamldoc

import (
	"os"
	"reflect"
	"slices"
	"strings"
)

// Options say where a Loader finds what documents refer to. The zero value reads the
// process's environment and the file system.
type Options struct {
	// Env looks an environment variable up; os.LookupEnv if nil.
	Env func(name string) (string, bool)
	// ReadFile reads the file of a ${file:...}; os.ReadFile if nil.
	ReadFile func(path string) ([]byte, error)
	// Dir is the folder that relative paths in ${file:...} start from; the process's
	// own if empty.
	Dir string
	// Templates are the types in whose text ${...} belongs to somebody else: there
	// only ${env:NAME} and ${file:PATH} are references.
	Templates []reflect.Type
	// Keys is the remedy for a key that is not among those known at a path and like none of
	// them; with "" they are listed. It may be nil.
	Keys func(path, key string, known []string) string
	// OwnCheck are the types whose Check is not called, because the caller does it.
	// What is inside them is checked.
	OwnCheck []reflect.Type
}

// Loader loads documents that belong together and collects what is wrong with them.
// It is for one goroutine and one load.
type Loader struct {
	options  Options
	problems Problems
	sources  []*source
	fields   map[reflect.Type][]field
	files    map[string]fileText
	secrets  []secret
	literals []string // secrets that stand in the file as they are
	budget   int      // how many more values may be decoded
	nesting  int      // how deep in references inside references
}

// fileText is what came of reading the file of a reference.
type fileText struct {
	text string
	err  error
}

// maxValues bounds what aliases can blow documents up to, beyond what is written out.
const maxValues = 250_000

// NewLoader makes a Loader.
func NewLoader(options Options) *Loader {
	if options.Env == nil {
		options.Env = os.LookupEnv
	}
	if options.ReadFile == nil {
		options.ReadFile = os.ReadFile
	}
	return &Loader{
		options: options,
		fields:  make(map[reflect.Type][]field),
		files:   make(map[string]fileText),
		budget:  maxValues,
	}
}

// Problems are the problems found so far, warnings among them, in order.
func (l *Loader) Problems() Problems {
	for i := range l.problems {
		l.problems[i].Source = l.masked(l.problems[i].Source)
	}
	return sorted(l.problems)
}

// Failed reports whether there is a problem that is more than a warning.
func (l *Loader) Failed() bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return !p.Warning })
}

// Files are the files that references named, whether they could be read or not.
func (l *Loader) Files() []string {
	names := make([]string, 0, len(l.files))
	for name := range l.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Report adds a problem, fills in the source line, and puts the reference where the
// text shows a value that came from the environment or from a file.
func (l *Loader) Report(p Problem) {
	l.problems = append(l.problems, l.described(p))
}

// described fills in what Report promises.
func (l *Loader) described(p Problem) Problem {
	p.Message, p.Remedy = oneLine(l.redact(p.Message)), oneLine(l.redact(p.Remedy))
	p.file = len(l.sources)
	for _, s := range l.sources {
		if s.name == p.File {
			p.file = s.order
			p.Source = l.masked(s.line(p.Line))
		}
	}
	return p
}

// reportAt adds a problem at a place of a source.
func (l *Loader) reportAt(s *source, at Position, path, message, remedy string) {
	l.problems = append(l.problems, Problem{
		Position: at, Path: path, Message: message, Remedy: remedy, Source: s.line(at.Line), file: s.order,
	})
}

// oneLine keeps a message on its line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// isTemplate reports whether ${...} in values of t belongs to somebody else.
func (l *Loader) isTemplate(t reflect.Type) bool { return slices.Contains(l.options.Templates, t) }
