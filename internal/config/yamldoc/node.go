package yamldoc

// Kind says what a [Node] is.
type Kind uint8

// The kinds of node.
const (
	Null   Kind = iota // nothing, or ~ or null
	Scalar             // text, a number, true or false
	List
	Map
)

// style is how a scalar is written.
type style uint8

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	literalBlock // |
	foldedBlock  // >
)

// Node is a value of a document and where it stands. It is immutable once parsed, and
// may be reached over several paths where the document uses aliases.
type Node struct {
	kind   Kind
	src    *source
	line   int // where the value starts
	column int

	text   string // of a scalar: decoded, references not yet replaced
	style  style
	isText bool // the scalar is text whatever it looks like: quoted, a block, or !!str
	wrong  bool // that it is no value has been reported: nothing is said of what it lacks

	items   []*Node
	entries []Entry
}

// Entry is a key of a map and its value.
type Entry struct {
	// Key is the key's text.
	Key string
	// Value is what stands under it; never nil.
	Value *Node

	key    *Node // where the key stands
	merged bool  // it came through a merge key
}

// Kind says what the node is.
func (n *Node) Kind() Kind { return n.kind }

// Items are the elements of a List.
func (n *Node) Items() []*Node { return n.items }

// Entries are the keys and values of a Map in their order; merged ones last.
func (n *Node) Entries() []Entry { return n.entries }

// Position is where the value starts.
func (n *Node) Position() Position { return n.src.at(n.line, n.column) }

// Get finds the entry of a key in a Map.
func (n *Node) Get(key string) (Entry, bool) {
	for _, e := range n.entries {
		if e.Key == key {
			return e, true
		}
	}
	return Entry{}, false
}

// KeyPosition is where the key stands.
func (e Entry) KeyPosition() Position { return e.key.Position() }

// Renamed is the entry under another name, still standing where it stands.
func (e Entry) Renamed(key string) Entry {
	e.Key = key
	return e
}

// WithEntries is a Map like n with other entries.
func (n *Node) WithEntries(entries []Entry) *Node {
	m := *n
	m.kind, m.entries = Map, entries
	return &m
}

// describe says what the node is, in the words of messages.
func (n *Node) describe() string {
	switch n.kind {
	case List:
		return "a list"
	case Map:
		return "a map"
	case Null:
		return "empty"
	case Scalar:
	}
	if n.isText {
		return "text"
	}
	switch resolve(n.text).(type) {
	case int64, float64:
		return "a number"
	case bool:
		return n.text
	default:
		return "text"
	}
}
