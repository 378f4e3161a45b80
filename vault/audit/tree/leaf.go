package tree

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Leaf returns the hash of an entry, as the tree holds it also when the entry
// itself was pruned. ErrRange when the last checkpoint does not cover it.
func (r *Reader) Leaf(index uint64) (tlog.Hash, error) {
	cp, err := r.Checkpoint()
	if err != nil {
		return tlog.Hash{}, err
	}
	if index >= cp.Size {
		return tlog.Hash{}, fmt.Errorf("%w: entry %d, the checkpoint has %d", ErrRange, index, cp.Size)
	}
	hashes, err := tlog.TileHashReader(cp.tree(), &tiles{dir: r.dir}).ReadHashes([]int64{tlog.StoredHashIndex(0, int64(index))})
	if err != nil {
		return tlog.Hash{}, err
	}
	return hashes[0], nil
}
