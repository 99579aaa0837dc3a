package sql

import "fmt"

// column is a compiled item of SELECT.
type column struct {
	run    evaluate
	key    string   // the first name of the key
	quoted string   // the key as it stands in JSON, with its colon
	way    []string // the further names of a dotted alias
	spread bool     // the members of the value, each for itself
}

// columns compiles the items of SELECT.
func (c *compiler) columns(items []item) []column {
	var cols []column
	seen := map[string]bool{}
	for i, it := range items {
		var col column
		switch x := it.x.(type) {
		case *star:
			col.run, col.spread = c.star().run, it.alias == nil
		case *spread:
			col.run, col.spread = c.expr(x.x).run, true
		default:
			col.run = c.expr(it.x).run
		}
		if !col.spread {
			names := it.alias
			if names == nil {
				names = []string{keyOf(it.x, i)}
			}
			col.key, col.quoted, col.way = names[0], keyJSON(names[0]), names[1:]
			if seen[col.key] && len(col.way) == 0 {
				c.warn(it.x.position(), "the key %s stands twice: the later one counts; name them with AS", col.key)
			}
			seen[col.key] = true
		}
		cols = append(cols, col)
	}
	return cols
}

// keyOf is the key of a column without an alias: a path's last name, a function's
// name, and for anything else an underscore and the column's number.
func keyOf(e expr, i int) string {
	switch e := e.(type) {
	case *path:
		return e.names[len(e.names)-1]
	case *member:
		return e.name
	case *variable:
		return e.name
	case *index:
		return keyOf(e.x, i)
	case *casting:
		return "cast"
	case *call:
		if f, ok := lookupFunction(e.name); ok {
			return f.Name
		}
		return e.name
	}
	return fmt.Sprintf("_%d", i+1)
}

// collect makes an object of the columns.
func (in *Input) collect(o *object, cols []column) {
	for i := range cols {
		col := &cols[i]
		v := col.run(in)
		if in.err != nil {
			return
		}
		switch {
		case col.spread:
			if v.kind == kindObject {
				for w := newWalk(v, in.whole); w.next() && in.spend(64+len(w.key)); {
					o.put(w.key, w.item)
				}
			}
		case len(col.way) == 0:
			in.spend(64)
			o.put(col.key, v)
		case v.defined():
			in.spend(64 * (1 + len(col.way)))
			o.put(col.key, in.nested(o, col.key, col.way, v))
		}
	}
}

// nested puts v where a dotted alias says, beside what other aliases put there.
func (in *Input) nested(o *object, key string, way []string, v value) value {
	if len(way) == 0 {
		return v
	}
	next := &object{}
	if i := o.find(key); i >= 0 && o.values[i].kind == kindObject {
		for w := newWalk(o.values[i], in.whole); w.next() && in.spend(64); {
			next.put(w.key, w.item)
		}
	}
	next.put(way[0], in.nested(next, way[0], way[1:], v))
	return next.value()
}

// query compiles a nested query. Over an array it gives one row an element, over an
// object one row; VALUE gives the values without an object around them.
func (c *compiler) query(e *query) code {
	c.modern(e.at, "a nested query")
	from := c.expr(e.from)
	if k := from.value.kind; from.fixed && from.value.defined() && k != kindArray && k != kindObject {
		c.warn(e.from.position(), "a nested query looks into an Array or an Object, in this %s it finds nothing", k)
	}
	c.aliases = append(c.aliases, e.alias)
	defer func() { c.aliases = c.aliases[:len(c.aliases)-1] }()

	before := c.nodes
	row := c.row(&e.what)
	where := fixed(yes)
	if e.where != nil {
		where = c.expr(e.where)
	}
	work := 64 + c.nodes - before // of one element, besides what its expressions charge
	one := func(in *Input, item value) (v value, ok bool) {
		if !in.spend(work) {
			return undefined, false
		}
		in.scopes = append(in.scopes, scope{e.alias, item})
		if toBoolean(where.run(in)).isTrue() {
			v = row(in)
		}
		in.scopes = in.scopes[:len(in.scopes)-1]
		return v, v.defined()
	}
	if e.exists {
		return code{run: func(in *Input) value { return in.exists(from.run(in), one) }}
	}
	return code{run: func(in *Input) value { return in.query(from.run(in), one) }}
}

// row compiles what a nested SELECT gives for one element.
func (c *compiler) row(s *selection) evaluate {
	if s.value != nil {
		return c.expr(s.value).run
	}
	if len(s.items) == 1 {
		if _, ok := s.items[0].x.(*star); ok && s.items[0].alias == nil {
			return c.star().run // the element itself, object or not
		}
	}
	cols := c.columns(s.items)
	return func(in *Input) value {
		o := &object{}
		in.collect(o, cols)
		return o.value()
	}
}

func (in *Input) query(from value, one func(*Input, value) (value, bool)) value {
	switch from.kind {
	case kindObject:
		v, _ := one(in, from)
		return v
	case kindArray:
		rows := []value{}
		for w := newWalk(from, in.whole); in.err == nil && w.next(); {
			if v, ok := one(in, w.item); ok {
				rows = append(rows, v)
			}
		}
		return array(rows)
	default:
		return undefined
	}
}

func (in *Input) exists(from value, one func(*Input, value) (value, bool)) value {
	switch from.kind {
	case kindObject:
		_, ok := one(in, from)
		return boolean(ok)
	case kindArray:
		for w := newWalk(from, in.whole); in.err == nil && w.next(); {
			if _, ok := one(in, w.item); ok {
				return yes
			}
		}
	default: // there are no elements
	}
	return no
}
