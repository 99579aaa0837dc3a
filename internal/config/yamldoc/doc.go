// Package yamldoc reads YAML (and JSON, which is YAML) into Go values, strictly, and
// says everything that is wrong at once: each problem with file, line, column, the
// line itself with a caret under the place, and a remedy.
//
// The way of a document:
//
//  1. [Loader.Parse] turns text into [Node]s: a small tree that knows where everything
//     stands, with anchors, aliases and merge keys resolved and duplicate keys reported.
//  2. [Loader.Decode] fills a Go value from a node by reflection, replaces ${...}
//     references on the way, and remembers in a [Tree] which path stands where.
//  3. [Loader.Check] calls every Check method in the value and maps the paths that it
//     reports back to places.
//  4. [Loader.Problems] is what came of it.
//
// The package knows no configuration in particular: the struct tags say it all. See
// [Loader.Decode] for what it understands.
package yamldoc
