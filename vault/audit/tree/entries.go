package tree

import "golang.org/x/mod/sumdb/tlog"

// BundleSize is the number of entries in a full bundle.
const BundleSize = tileWidth

// Entries reads single entries from the full bundles of a tree. It keeps the
// bundle that it read last. It is for one goroutine at a time; a Publisher may
// be writing the tree meanwhile.
type Entries struct {
	dir    folder
	n      uint64 // the bundle that is held, if whole
	whole  bool
	bundle []byte
	hashes []byte              // the level 0 tile of the same number
	ends   [BundleSize + 1]int // entry i is bundle[ends[i]+2 : ends[i+1]]
}

// NewEntries returns an Entries of the tree in dir.
func NewEntries(dir string) *Entries { return &Entries{dir: folder(dir)} }

// Entry returns the entry at an index, valid until the next call. It is held
// against its hash in the tile beside the bundle, which finds accidents; that
// the tile is the checkpoint's is for Reader.Inclusion to prove. A *TileError
// when bundle or tile is missing or the entry does not hold.
func (e *Entries) Entry(index uint64) ([]byte, error) {
	n, at := index/BundleSize, index%BundleSize
	if !e.whole || e.n != n {
		if err := e.load(n); err != nil {
			return nil, err
		}
	}
	raw := e.bundle[e.ends[at]+2 : e.ends[at+1]]
	if tlog.RecordHash(raw) != tlog.Hash(e.hashes[at*tlog.HashSize:(at+1)*tlog.HashSize]) {
		return nil, &TileError{tile{entriesLevel, n, tileWidth}.path(), "does not hold the entries of its hashes"}
	}
	return raw, nil
}

// load reads a bundle and its hashes.
func (e *Entries) load(n uint64) (err error) {
	e.n, e.whole = n, false
	bundle, hashes := tile{entriesLevel, n, tileWidth}, tile{0, n, tileWidth}
	if e.bundle, err = e.dir.read(bundle, e.bundle); err != nil {
		return err
	}
	if e.hashes, err = e.dir.read(hashes, e.hashes); err != nil {
		return err
	}
	if len(e.hashes) != tileWidth*tlog.HashSize {
		return &TileError{hashes.path(), "has another length than its width needs"}
	}
	end := 0
	whole := splitBundle(e.bundle, BundleSize, func(i int, raw []byte) {
		end += 2 + len(raw)
		e.ends[i+1] = end
	})
	if !whole {
		return &TileError{bundle.path(), "is not made of whole entries"}
	}
	e.whole = true
	return nil
}
