package tree

import (
	"crypto/sha256"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of a growing tree: the tiles that are not full. It
// is all that is needed to add leaves and to tell the root.
type edge struct {
	size   uint64
	bundle []byte        // entries of the unfinished bundle
	holed  bool          // the unfinished bundle begins with entries that are gone
	levels [][]tlog.Hash // hashes of the unfinished tile of each level
	data   []byte        // of a full tile on its way out
}

// add adds an entry, whose leaf hash the caller has computed, and passes every
// tile that it fills to full, the bundle first, then hashes by rising level.
// data is valid until full returns. After an error the edge is of no use.
func (e *edge) add(raw []byte, hash tlog.Hash, full func(t tile, data []byte) error) error {
	e.bundle = appendEntry(e.bundle, raw)
	e.size++
	if e.size%tileWidth == 0 && !e.holed {
		if err := full(tile{entriesLevel, e.size/tileWidth - 1, tileWidth}, e.bundle); err != nil {
			return err
		}
	}
	return e.leaf(hash, full)
}

// skip adds an entry that is gone and has left its hash. The bundle that it
// stood in is not passed to full.
func (e *edge) skip(hash tlog.Hash, full func(t tile, data []byte) error) error {
	e.holed = true
	e.size++
	return e.leaf(hash, full)
}

// leaf adds the hash of the entry that size counts already.
func (e *edge) leaf(hash tlog.Hash, full func(t tile, data []byte) error) error {
	if e.size%tileWidth == 0 {
		e.bundle, e.holed = e.bundle[:0], false
	}
	count := e.size // of hashes at the level
	for level := 0; ; level++ {
		if level == len(e.levels) {
			e.levels = append(e.levels, make([]tlog.Hash, 0, tileWidth))
		}
		e.levels[level] = append(e.levels[level], hash)
		if len(e.levels[level]) < tileWidth {
			return nil
		}
		e.data = appendHashes(e.data[:0], e.levels[level])
		if err := full(tile{level, count/tileWidth - 1, tileWidth}, e.data); err != nil {
			return err
		}
		hash = subtree(e.levels[level])
		e.levels[level] = e.levels[level][:0]
		count /= tileWidth
	}
}

// partial returns the content of a tile that partials names for e.size. It is
// valid until the edge changes.
func (e *edge) partial(t tile) []byte {
	if t.level == entriesLevel {
		return e.bundle
	}
	return appendHashes(nil, e.levels[t.level])
}

// root returns the hash of the tree.
func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		return sha256.Sum256(nil)
	}
	// Perfect subtrees from right to left: those of low levels stand right.
	var root tlog.Hash
	first := true
	for _, hashes := range e.levels {
		for len(hashes) > 0 {
			n := 1 << bits.TrailingZeros(uint(len(hashes)))
			left := subtree(hashes[len(hashes)-n:])
			hashes = hashes[:len(hashes)-n]
			if first {
				root, first = left, false
			} else {
				root = tlog.NodeHash(left, root)
			}
		}
	}
	return root
}

// subtree returns the root over hashes, whose number is a power of two.
func subtree(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

// loadEdge reads the edge of a tree of the given size from its partial tiles.
// Whether it is the right one is for the caller to prove by the root. A tile
// that is missing or cannot be read, or a bundle that differs from the leaves,
// is a *TileError; other errors are of the disk.
func loadEdge(d folder, size uint64) (*edge, error) {
	e := &edge{size: size}
	for n := size; n > 0; n /= tileWidth {
		e.levels = append(e.levels, make([]tlog.Hash, 0, tileWidth))
	}
	for _, t := range partials(size) {
		data, err := d.tile(t)
		if err != nil {
			return nil, err
		}
		if t.level == entriesLevel {
			e.bundle = data
			continue
		}
		hashes, ok := splitHashes(data, t.width)
		if !ok {
			return nil, &TileError{t.path(), "has another length than its width needs"}
		}
		e.levels[t.level] = hashes
	}
	if w := int(size % tileWidth); w > 0 {
		if !holdsEntries(e.bundle, e.levels[0]) {
			return nil, &TileError{tile{entriesLevel, size / tileWidth, w}.path(), "does not hold the entries of its hashes"}
		}
	}
	return e, nil
}
