package topics

import "iter"

// filters is what one subscriber has subscribed to.
type filters struct {
	list []string
	at   map[string]int // where in list; nil while it is short
}

func (f *filters) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		if f == nil {
			return
		}
		for _, s := range f.list {
			if !yield(s) {
				return
			}
		}
	}
}

func (x *Index[S]) remember(s S, filter string) {
	f := x.filters[s]
	if f == nil {
		f = &filters{}
		x.filters[s] = f
	}
	f.list = append(f.list, filter)
	switch {
	case f.at != nil:
		f.at[filter] = len(f.list) - 1
	case len(f.list) > short:
		f.at = make(map[string]int, 2*short)
		for i, s := range f.list {
			f.at[s] = i
		}
	}
}

func (x *Index[S]) forget(s S, filter string) {
	f := x.filters[s]
	i, last := f.find(filter), len(f.list)-1
	f.list[i] = f.list[last]
	if f.at != nil {
		f.at[f.list[i]] = i
		delete(f.at, filter)
	}
	f.list[last] = ""
	f.list = f.list[:last]
	if last == 0 {
		delete(x.filters, s)
	}
}

func (f *filters) find(filter string) int {
	if f.at != nil {
		return f.at[filter]
	}
	for i, s := range f.list {
		if s == filter {
			return i
		}
	}
	return -1
}
