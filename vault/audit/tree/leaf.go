package tree

import (
	"errors"
	"fmt"
	"io/fs"

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

// Leaves returns the hashes of the entries of a full bundle, BundleSize of them,
// also when the entries were pruned. ErrRange when the last checkpoint does not
// cover it, a *TileError when the tile of these hashes is missing, or it or one
// above it is not authentic.
func (r *Reader) Leaves(bundle uint64) ([]tlog.Hash, error) {
	cp, err := r.Checkpoint()
	if err != nil {
		return nil, err
	}
	if bundle >= cp.Size/tileWidth {
		return nil, fmt.Errorf("%w: bundle %d, the checkpoint has %d entries", ErrRange, bundle, cp.Size)
	}
	leaves, err := r.dir.leaves(bundle)
	if err != nil {
		return nil, err
	}
	above, err := tlog.TileHashReader(cp.tree(), &tiles{dir: r.dir}).ReadHashes([]int64{tlog.StoredHashIndex(tileHeight, int64(bundle))})
	missing, refused := (*TileError)(nil), (*fs.PathError)(nil)
	switch {
	case errors.As(err, &missing), errors.As(err, &refused):
		return nil, err
	case err != nil || above[0] != subtree(leaves):
		return nil, &TileError{tile{0, bundle, tileWidth}.path(), "or one above it is not authentic"}
	}
	return leaves, nil
}
