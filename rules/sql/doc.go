// Package sql is the language of topic rules: AWS IoT SQL, in the versions 2015-10-08
// and 2016-03-23, and the substitution templates that use its expressions.
//
// A statement is compiled once with [Compile] and then run over many messages. What
// the language turns into Undefined never is an error at run time; an error means
// that a function outside failed or that the statement did more work than its limits
// allow. The package does no I/O and has no clock: both come through [Env].
//
// DESIGN.md beside this file tells the way of a statement, how values are held, and
// what was decided where AWS's documents are silent.
package sql
