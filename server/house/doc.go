// Package house holds the rules of the house as tests: who may import whom,
// and habits that a compiler does not check. There is nothing else in it.
//
// The source is parsed, and never asked of the go command: the outcome of a
// test that runs other programs is cached and goes stale.
//
// Each rule also runs on small made-up trees that break it, so that a rule
// that cannot fail is noticed. Who adds a rule adds such a tree.
//
// A real exception stands in the rule's table with its reason.
package house
