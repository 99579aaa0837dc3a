package sql

// collectionFunctions take values apart, put them together and ask what they are.
func collectionFunctions() []Function {
	return []Function{
		{
			Name: "get", Signature: "get(collection, key)",
			Text:     "An element of an Array by its index, counted from 0, a character of a String by its index, or a member of an Object by its key.",
			Examples: []Example{{`get(["a","b","c"], 1)`, `"b"`}, {`get(["a","b"], "1")`, `"b"`}, {`get(["a"], -1)`, ""}, {`get("abc", 0)`, `"a"`}, {`get({'a-b': 1}, 'a-b')`, "1"}, {`get({'1': 1}, 1)`, ""}, {"get(5, 0)", ""}},
			min:      2, max: 2,
			call: func(in *Input, a []value, _ *memo) value { return in.get(a[0], a[1]) },
		},
		{
			Name: "get_or_default", Signature: "get_or_default(value[, default])", Since: V20160323,
			Text:     "The value, or the default if the value is Undefined or Null or the function that should give it failed.",
			Examples: []Example{{"get_or_default(missing, 'd')", `"d"`}, {"get_or_default(null, 'd')", `"d"`}, {"get_or_default(1, 'd')", "1"}, {"get_or_default(missing)", ""}},
			min:      1, max: 2,
			call: func(*Input, []value, *memo) value { return undefined }, // compiled by itself, since it catches failures
		},
		{
			Name: "cast", Signature: "cast(value AS type)",
			Text:     "The value as a String (also Nvarchar, Text, Ntext, Varchar), Int or Integer (rounded down), Double and, since 2016-03-23, Decimal, Bool or Boolean.",
			Examples: []Example{{"cast(true AS Int)", "1"}, {"cast('2.9' AS Integer)", "2"}, {"cast(7 AS Boolean)", "true"}, {"cast(false AS String)", `"false"`}, {"cast([1] AS Int)", ""}, {"cast(null AS String)", ""}},
			min:      1, max: 1,
			call: func(*Input, []value, *memo) value { return undefined }, // parsed and compiled by itself, for its AS
		},
		{
			Name: "isNull", Signature: "isNull(value)", Text: "Whether the value is Null, which Undefined is not.",
			Examples: []Example{{"isNull(Null)", "true"}, {"isNull(5)", "false"}, {"isNull(missing)", "false"}},
			min:      1, max: 1,
			call: func(_ *Input, a []value, _ *memo) value { return boolean(a[0].kind == kindNull) },
		},
		{
			Name: "isUndefined", Signature: "isUndefined(value)", Since: V20160323, Text: "Whether the value is Undefined, which Null is not.",
			Examples: []Example{{"isUndefined(5)", "false"}, {"isUndefined(floor([1,2,3]))", "true"}, {"isUndefined(missing)", "true"}, {"isUndefined(null)", "false"}},
			min:      1, max: 1,
			call: func(_ *Input, a []value, _ *memo) value { return boolean(!a[0].defined()) },
		},
		{
			Name: "transform", Signature: "transform('enrichArray', object, array)", Since: V20160323,
			Text: "The Array of objects, with the members of the Object added to each; of a key that both have the Object's value counts.",
			Examples: []Example{
				{"transform('enrichArray', {'id': 7}, [{'a': 3}, {'a': 4}])", `[{"a":3,"id":7},{"a":4,"id":7}]`},
				{"transform('enrichArray', {'a': 1}, [{'a': 3}])", `[{"a":1}]`},
				{"transform('enrichArray', 1, [{'a': 3}])", ""},
				{"transform('other', {'a': 1}, [])", ""},
			},
			min: 3, max: 3,
			call: transform,
			lint: func(arg int, v value) (string, bool) {
				if arg == 0 && v.kind == kindString && v.s != "enrichArray" {
					return "transform() knows the mode 'enrichArray'; with any other it is always Undefined", false
				}
				return "", false
			},
		},
	}
}

// get is get(c, k) and c[k].
func (in *Input) get(c, k value) value {
	switch c.kind {
	case kindArray:
		if i, ok := toInt(in.number(k), towardsZero); ok && in.spend(1+len(c.s)/16) {
			return element(c, i, in.whole)
		}
	case kindString:
		if i, ok := toInt(in.number(k), towardsZero); ok && in.spend(1+len(c.s)/16) {
			return character(c.content(), i)
		}
	case kindObject:
		if k.kind == kindString {
			return in.member(c, k.content())
		}
	default: // no collection
	}
	return undefined
}

// character gives one character of a text.
func character(s string, at int64) value {
	for i, r := range s {
		if at == 0 {
			return text(s[i : i+len(string(r))])
		}
		at--
	}
	return undefined
}

func transform(in *Input, a []value, _ *memo) value {
	if a[0].kind != kindString || a[0].s != "enrichArray" || a[1].kind != kindObject || a[2].kind != kindArray {
		return undefined
	}
	extra := in.materialised(a[1])
	rows := []value{}
	for w := newWalk(a[2], in.whole); w.next(); {
		row := w.item
		if row.kind == kindObject {
			o := &object{}
			for m := newWalk(row, in.whole); m.next() && in.spend(64); {
				o.put(m.key, m.item)
			}
			for i, k := range extra.keys {
				o.put(k, extra.values[i])
			}
			row = o.value()
		}
		if !in.spend(64 * (1 + len(extra.keys))) {
			return undefined
		}
		rows = append(rows, row)
	}
	v := array(rows)
	if in.size(v) > maxTransform {
		return in.fail(ErrTransformSize)
	}
	return v
}
