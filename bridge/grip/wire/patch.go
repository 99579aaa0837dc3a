package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// ErrPatch says that a JSON patch cannot be applied.
var ErrPatch = errors.New("the JSON patch cannot be applied")

// Patch applies a JSON patch (RFC 6902) to a document.
func Patch(doc []byte, patch json.RawMessage) ([]byte, error) {
	var root any
	if err := decode(doc, &root); err != nil {
		return nil, fmt.Errorf("%w: the document is no JSON: %w", ErrPatch, err)
	}
	var ops []struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		From  string          `json:"from"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(patch, &ops); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPatch, err)
	}
	var err error
	for _, o := range ops {
		var value any
		if o.Value != nil {
			if err := decode(o.Value, &value); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrPatch, err)
			}
		}
		switch o.Op {
		case "add":
			root, err = put(root, pointer(o.Path), value, true)
		case "remove":
			root, _, err = take(root, pointer(o.Path))
		case "replace":
			root, err = put(root, pointer(o.Path), value, false)
		case "move":
			if root, value, err = take(root, pointer(o.From)); err == nil {
				root, err = put(root, pointer(o.Path), value, true)
			}
		case "copy":
			if value, err = get(root, pointer(o.From)); err == nil {
				root, err = put(root, pointer(o.Path), clone(value), true)
			}
		case "test":
			var is any
			if is, err = get(root, pointer(o.Path)); err == nil && !reflect.DeepEqual(is, value) {
				err = fmt.Errorf("%w: %s is not what it is tested for", ErrPatch, o.Path)
			}
		default:
			err = fmt.Errorf("%w: there is no operation %.20q", ErrPatch, o.Op)
		}
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(root)
}

func decode(b []byte, v *any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

func clone(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var c any
	_ = decode(b, &c) // it was encoded just now
	return c
}

// pointer takes a JSON pointer apart (RFC 6901).
func pointer(s string) []string {
	if s == "" {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(s, "/"), "/")
	for i, p := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts
}

func get(v any, path []string) (any, error) {
	for _, p := range path {
		switch c := v.(type) {
		case map[string]any:
			e, ok := c[p]
			if !ok {
				return nil, missing(p)
			}
			v = e
		case []any:
			i, err := index(p, len(c)-1)
			if err != nil {
				return nil, err
			}
			v = c[i]
		default:
			return nil, missing(p)
		}
	}
	return v, nil
}

func missing(p string) error { return fmt.Errorf("%w: there is no %.100q", ErrPatch, p) }

func index(p string, most int) (int, error) {
	i, err := strconv.Atoi(p)
	if err != nil || i < 0 || i > most {
		return 0, missing(p)
	}
	return i, nil
}

// put adds or replaces a value and returns the document.
func put(v any, path []string, value any, add bool) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	p, last := path[0], len(path) == 1
	switch c := v.(type) {
	case map[string]any:
		e, ok := c[p]
		switch {
		case last && (add || ok):
			c[p] = value
			return c, nil
		case !ok:
			return nil, missing(p)
		}
		e, err := put(e, path[1:], value, add)
		if err == nil {
			c[p] = e
		}
		return c, err
	case []any:
		if last && add {
			i := len(c)
			if p != "-" {
				var err error
				if i, err = index(p, len(c)); err != nil {
					return nil, err
				}
			}
			c = append(c, nil)
			copy(c[i+1:], c[i:])
			c[i] = value
			return c, nil
		}
		i, err := index(p, len(c)-1)
		if err != nil {
			return nil, err
		}
		if last {
			c[i] = value
			return c, nil
		}
		c[i], err = put(c[i], path[1:], value, add)
		return c, err
	default:
		return nil, missing(p)
	}
}

// take removes a value and returns the document and the value.
func take(v any, path []string) (rest, taken any, err error) {
	if len(path) == 0 {
		return nil, v, nil
	}
	p, last := path[0], len(path) == 1
	switch c := v.(type) {
	case map[string]any:
		e, ok := c[p]
		if !ok {
			return nil, nil, missing(p)
		}
		if last {
			delete(c, p)
			return c, e, nil
		}
		c[p], taken, err = take(e, path[1:])
		return c, taken, err
	case []any:
		i, err := index(p, len(c)-1)
		if err != nil {
			return nil, nil, err
		}
		if last {
			e := c[i]
			return append(c[:i], c[i+1:]...), e, nil
		}
		c[i], taken, err = take(c[i], path[1:])
		return c, taken, err
	default:
		return nil, nil, missing(p)
	}
}
