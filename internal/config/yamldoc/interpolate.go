package yamldoc

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
)

// expansion is a scalar's text with its references replaced.
type expansion struct {
	text     string
	segments []segment // what was replaced, in order
	failed   bool      // a reference could not be resolved, and stands as written
}

// segment says that text[start:end] stands for raw[rawStart:rawEnd].
type segment struct{ start, end, rawStart, rawEnd int }

// reports takes a problem with the byte offset of its place in the raw text.
type reports func(offset int, message, remedy string)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces the references in raw. In a template only ${env:NAME} and
// ${file:PATH} are references: they are no valid SQL, so nothing is ambiguous.
// Elsewhere $${ stands for ${ itself.
func (l *Loader) expand(raw string, template bool, report reports) expansion {
	var b strings.Builder
	out := expansion{}
	rest := 0 // raw[:rest] is done
	for {
		i := strings.Index(raw[rest:], "${")
		if i < 0 {
			break
		}
		i += rest
		if template && !strings.HasPrefix(raw[i:], "${env:") && !strings.HasPrefix(raw[i:], "${file:") {
			b.WriteString(raw[rest : i+2])
			rest = i + 2
			continue
		}
		if !template && i > rest && raw[i-1] == '$' {
			b.WriteString(raw[rest : i-1])
			out.segments = append(out.segments, segment{b.Len(), b.Len() + 2, i - 1, i + 2})
			b.WriteString("${")
			rest = i + 2
			continue
		}
		end := closing(raw[i:])
		if end < 0 {
			report(i, "${ without its }", literally(template, "close it: ${NAME}"))
			out.failed = true
			break
		}
		end += i
		b.WriteString(raw[rest:i])
		value, ok := l.reference(raw[i:end], template, func(offset int, message, remedy string) {
			report(i+offset, message, remedy)
		})
		if !ok {
			// The reference stays, so that the value is not also reported as missing.
			value, out.failed = raw[i:end], true
		}
		out.segments = append(out.segments, segment{b.Len(), b.Len() + len(value), i, end})
		b.WriteString(value)
		rest = end
	}
	b.WriteString(raw[rest:])
	out.text = b.String()
	return out
}

// literally adds to a remedy how to write ${ itself, where that can be.
func literally(template bool, remedy string) string {
	if template {
		return remedy
	}
	return remedy + ", or write $${ for a literal ${"
}

// closing finds the end of the reference that s begins with; -1 if it has none.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth++
			i++
		case s[i] == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// maxNesting is how deep defaults may have references with defaults.
const maxNesting = 10

// reference resolves one reference, braces and all.
func (l *Loader) reference(ref string, template bool, report reports) (string, bool) {
	if l.nesting++; l.nesting > maxNesting {
		l.nesting--
		report(0, fmt.Sprintf("more than %d references inside each other", maxNesting), "write the default out")
		return "", false
	}
	defer func() { l.nesting-- }()
	inner := ref[2 : len(ref)-1]
	start := 2
	if path, ok := strings.CutPrefix(inner, "file:"); ok {
		return l.fileReference(ref, path, template, report)
	}
	if name, ok := strings.CutPrefix(inner, "env:"); ok {
		inner, start = name, start+len("env:")
	}
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	if !variable.MatchString(name) {
		remedy := "write ${NAME}, ${NAME:-default} or ${file:/path}"
		if template {
			remedy = "write ${env:NAME}, ${env:NAME:-default} or ${file:/path}"
		}
		report(0, ref+" is no reference", literally(template, remedy))
		return "", false
	}
	value, set := l.options.Env(name)
	switch {
	case set && (value != "" || !hasFallback):
		l.keepSecret(ref, value)
		return value, true
	case hasFallback:
		start += len(name) + len(":-")
		e := l.expand(fallback, template, func(offset int, message, remedy string) { report(start+offset, message, remedy) })
		return e.text, !e.failed
	}
	report(0, fmt.Sprintf("the environment variable %s is not set", name),
		fmt.Sprintf("set it, or give a default: %s:-VALUE}", strings.TrimSuffix(ref, "}")))
	return "", false
}

// maxReferenced is how large the file of a reference may be.
const maxReferenced = 1 << 20

func (l *Loader) fileReference(ref, path string, template bool, report reports) (string, bool) {
	e := l.expand(path, template, func(offset int, message, remedy string) { report(len("${file:")+offset, message, remedy) })
	if e.failed {
		return "", false
	}
	if e.text == "" {
		report(0, ref+" names no file", "write ${file:/path/to/file}")
		return "", false
	}
	text, err := l.readFile(e.text)
	if err != nil {
		report(0, fmt.Sprintf("cannot read the file of %s: %s", ref, Reason(err)), "create the file, or correct the path")
		return "", false
	}
	l.keepSecret(ref, text)
	return text, true
}

// readFile reads a file once per load. One line break at its end is taken off, since
// editors and echo put one there.
func (l *Loader) readFile(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.options.Dir, path)
	}
	if f, ok := l.files[path]; ok {
		return f.text, f.err
	}
	data, err := l.options.ReadFile(path)
	if err == nil && len(data) > maxReferenced {
		err = errTooLarge
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if err != nil {
		text = ""
	}
	l.files[path] = fileText{text, err}
	return text, err
}

var errTooLarge = errors.New("it is larger than 1 MB")

// Reason says in plain words why a file could not be read, without its path.
func Reason(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}
