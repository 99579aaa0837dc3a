// Package policy knows AWS IoT policy documents: it checks them, compiles them, fills in
// what is known of one connection, and decides whether something may be done and why.
// It is pure: it knows no sockets, no sessions and no configuration file.
//
// The way of a document:
//
//  1. [Document.Check] says everything that is wrong with it; [Compile] makes a [Policy].
//  2. A [Set] is the policies that are attached to somebody. [Set.Bind] replaces the
//     variables by what is known of one connection, its [Facts], and drops the statements
//     whose conditions do not hold. What is left, a [Bound], is two lists of patterns an
//     action: those that deny and those that allow.
//  3. [Bound.Allows] is asked on every publish and every delivery; [Bound.Decide] says
//     which statement decided; [Set.Explain] says of every statement why it did or did not.
//
// DESIGN.md beside this file says what differs from AWS and why.
package policy
