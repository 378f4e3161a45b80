package auditproof

import (
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the compact form of a tree: the roots of the perfect trees that it is
// made of, from the largest on. Their sizes are the bits of size.
type edge struct {
	size  uint64
	roots []tlog.Hash
}

// add appends a leaf.
func (e *edge) add(leaf tlog.Hash) {
	for n := e.size; n&1 == 1; n >>= 1 {
		last := len(e.roots) - 1
		leaf = tlog.NodeHash(e.roots[last], leaf)
		e.roots = e.roots[:last]
	}
	e.roots = append(e.roots, leaf)
	e.size++
}

// root returns the root of a tree that is not empty.
func (e *edge) root() tlog.Hash {
	last := len(e.roots) - 1
	root := e.roots[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(e.roots[i], root)
	}
	return root
}

func (e *edge) clone() edge { return edge{e.size, slices.Clone(e.roots)} }

func (e *edge) equal(o *edge) bool { return e.size == o.size && slices.Equal(e.roots, o.roots) }

// leftOf returns the edge of the entries before index. It is in every inclusion
// proof of the entry: wherever the path from the root turns right, the left
// sibling is a perfect tree. The proof must have been verified.
func leftOf(index, size uint64, proof tlog.RecordProof) edge {
	left := edge{size: index}
	lo, hi := uint64(0), size
	for i := len(proof) - 1; i >= 0; i-- {
		k := uint64(1)
		for k*2 < hi-lo {
			k *= 2
		}
		if index < lo+k {
			hi = lo + k
			continue
		}
		left.roots = append(left.roots, proof[i])
		lo += k
	}
	return left
}
