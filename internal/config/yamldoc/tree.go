package yamldoc

import "strings"

// Tree says which path of a decoded value stands where in its document.
type Tree struct {
	loader *Loader
	places map[string]place
	// tainted are the paths where decoding found a problem, and the paths above them:
	// a Check there would report what follows from it.
	tainted map[string]bool
	// broken are the paths whose value could not be decoded: nothing below is known.
	broken map[string]bool
	// guessed are the structs with unknown keys: what they lack may be there under a
	// wrong name.
	guessed map[string]bool
}

// place is where a value stands.
type place struct {
	node     *Node
	key      *Node // nil for the root and for the elements of lists
	template bool
}

// shown is the place to show for the value as a whole: for a list or a map the key
// that it stands under, since it may be long.
func (p place) shown() Position {
	if p.key != nil && (p.node.kind == List || p.node.kind == Map || p.node.kind == Null) {
		return p.key.Position()
	}
	return p.node.Position()
}

// Join puts a relative path behind another: "a" and "b" make "a.b", "a" and "[0]" make
// "a[0]".
func Join(base, path string) string {
	switch {
	case base == "":
		return path
	case path == "":
		return base
	case path[0] == '[':
		return base + path
	default:
		return base + "." + path
	}
}

// parent takes the last step off a path; false if nothing is left to take off. Keys
// may have dots in them: then some parents do not exist, which does no harm.
func parent(path string) (string, bool) {
	if path == "" {
		return "", false
	}
	return path[:max(strings.LastIndexAny(path, ".["), 0)], true
}

// find gives the place of a path or, if the document does not have it, of the nearest
// path above that it has.
func (t *Tree) find(path string) (p place, exact bool) {
	exact = true
	for {
		if p, ok := t.places[path]; ok {
			return p, exact
		}
		exact = false
		up, ok := parent(path)
		if !ok {
			return place{}, false
		}
		path = up
	}
}

// At is where the value of a path stands, or else the nearest one above it.
func (t *Tree) At(path string) Position {
	if p, _ := t.find(path); p.node != nil {
		return p.shown()
	}
	return Position{}
}

// InText is where a line and column of a text value stand in the file, both counted
// from 1, the column in characters, in the text as it was decoded.
func (t *Tree) InText(path string, line, column int) Position {
	p, exact := t.find(path)
	if p.node == nil {
		return Position{}
	}
	if !exact || p.node.kind != Scalar {
		return p.shown()
	}
	e := t.loader.expand(p.node.text, p.template, func(int, string, string) {})
	return p.node.place(e.rawOffset(textOffset(e.text, line, column)))
}

// Tainted reports whether decoding has found a problem at a path, below it, or with a
// value above it as a whole.
func (t *Tree) Tainted(path string) bool {
	if t.tainted[path] {
		return true
	}
	for up, ok := parent(path); ok; up, ok = parent(up) {
		if t.broken[up] {
			return true
		}
	}
	return false
}

// Excused reports whether what a Check says of a path may only follow from a problem of
// decoding: the path is tainted, or it lacks and may be there under a wrong name.
func (t *Tree) Excused(path string) bool {
	if t.Tainted(path) {
		return true
	}
	for {
		if _, there := t.places[path]; there {
			return false
		}
		up, ok := parent(path)
		if !ok || t.guessed[up] {
			return ok
		}
		path = up
	}
}

func (t *Tree) taint(path string) {
	for ok := true; ok && !t.tainted[path]; path, ok = parent(path) {
		t.tainted[path] = true
	}
}

// Described is a problem at a place of the tree's document with its source line, and
// with references in the place of what they stand for.
func (t *Tree) Described(p Problem) Problem { return t.loader.described(p) }
