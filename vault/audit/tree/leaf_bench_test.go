package tree_test

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// BenchmarkLeaves measures what holding one bundle of pruned entries against
// the tree costs, but for hashing them.
func BenchmarkLeaves(b *testing.B) {
	dir := newDir(b)
	publish(b, dir, logOf(70_000))
	r := tree.NewReader(dir, verifier(b, seedKey(1)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Leaves(200); err != nil {
			b.Fatal(err)
		}
	}
}
