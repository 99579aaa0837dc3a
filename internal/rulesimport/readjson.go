package rulesimport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// jsonReader makes nodes of JSON. JSON is YAML too, but for its \u escapes, which come
// in pairs, and files of megabytes on one line, which Terraform writes.
type jsonReader struct {
	doc     *document
	data    []byte
	decoder *json.Decoder
	starts  []int // where each line starts
	counted struct{ line, offset, column int }
}

var errDeep = fmt.Errorf("nested more than %d levels deep", maxDepth)

// readJSON reads a JSON value. Several, one behind the other, become a list: that is
// what several calls of the AWS CLI write.
func readJSON(doc *document, data []byte) (*node, *yamldoc.Problem) {
	r := &jsonReader{doc: doc, data: data, decoder: json.NewDecoder(bytes.NewReader(data)), starts: []int{0}}
	r.decoder.UseNumber()
	for i, c := range data {
		if c == '\n' {
			r.starts = append(r.starts, i+1)
		}
	}
	n, err := r.value(0)
	for first := n; err == nil && r.decoder.More(); {
		if n == first {
			n = first.like(listKind)
			n.items = append(n.items, first)
		}
		var item *node
		if item, err = r.value(0); err == nil {
			n.items = append(n.items, item)
		}
	}
	if err == nil {
		if _, more := r.decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something after the end of the JSON value")
		}
	}
	if err == nil {
		return n, nil
	}
	at := r.place(r.next())
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		at, err = r.place(len(data)), errors.New("it ends too early")
	}
	return nil, &yamldoc.Problem{Position: at.position(), Message: "not valid JSON: " + err.Error(), Remedy: "correct it", Source: at.source()}
}

// value reads the next value.
func (r *jsonReader) value(depth int) (*node, error) {
	n := r.place(r.next())
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, errDeep
	}
	switch t := token.(type) {
	case json.Delim:
		return n, r.inside(n, t, depth)
	case string:
		n.kind, n.text = scalarKind, t
	case json.Number:
		n.kind, n.text = scalarKind, t.String()
	case bool:
		n.kind, n.text = scalarKind, fmt.Sprint(t)
	}
	return n, nil
}

// inside reads what a bracket opens.
func (r *jsonReader) inside(n *node, open json.Delim, depth int) error {
	n.kind = mapKind
	if open == '[' {
		n.kind = listKind
	}
	known := make(map[string]bool)
	for r.decoder.More() {
		if n.kind == listKind {
			item, err := r.value(depth + 1)
			if err != nil {
				return err
			}
			n.items = append(n.items, item)
			continue
		}
		key, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if known[key.text] {
			return fmt.Errorf("the key %s stands twice in the object before this place", key.text)
		}
		known[key.text] = true
		n.entries = append(n.entries, entry{key, value})
	}
	_, err := r.decoder.Token()
	return err
}

// next is the offset of the next token that carries a value.
func (r *jsonReader) next() int {
	i := int(r.decoder.InputOffset())
	for i < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[i]) >= 0 {
		i++
	}
	return i
}

// place makes a null node at an offset. Offsets mostly grow, so that counting goes on
// from where it was.
func (r *jsonReader) place(offset int) *node {
	offset = min(max(offset, 0), len(r.data))
	c := &r.counted
	if offset < c.offset {
		c.line, c.offset, c.column = 0, 0, 0
	}
	for c.line+1 < len(r.starts) && r.starts[c.line+1] <= offset {
		c.line++
		c.offset, c.column = r.starts[c.line], 0
	}
	c.column += utf8.RuneCount(r.data[c.offset:offset])
	c.offset = offset
	return &node{doc: r.doc, line: c.line + 1, column: c.column + 1}
}
