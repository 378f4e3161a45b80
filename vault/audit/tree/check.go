package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Source is a log that a tree stands on.
type Source interface {
	// First returns the index of the first entry that is kept: 0 unless older
	// ones were pruned. It never falls, and is never past what a checkpoint
	// covers in full bundles.
	First() uint64
	// Size returns the index after the last durable entry. It never falls.
	Size() uint64
	// Read calls fn for every entry from index from on that is durable when Read
	// is called, in rising order, and passes on the error of fn. raw is valid
	// until fn returns, and at most 65535 bytes long.
	Read(from uint64, fn func(index uint64, raw []byte) error) error
}

// A Report is what Check saw of a log and tree that hold.
type Report struct {
	// Entries is the number of entries that the log ever had.
	Entries uint64
	// Pruned is how many of them, from the first on, are gone. Their hashes are
	// there, and give the root together with the entries that are kept.
	Pruned uint64
	// PruneNote is the signer's word that they were pruned and not stolen, nil
	// when none is gone.
	PruneNote *PruneNote
	// Checkpoint is the last one. Entries from its Size on are not yet covered.
	Checkpoint *Checkpoint
	// Earlier is the checkpoint seen earlier, nil when none was given.
	Earlier *Checkpoint
	// Tiles is the number of hash tiles and bundles compared.
	Tiles uint64
}

// Check reads all of a log that is kept and holds it against the tree in dir: every hash
// tile, every bundle, the root and signature of the checkpoint, and a signed
// checkpoint that was seen earlier, unless earlier is empty. One of the keys
// must have signed each. The first fault
// is an *EntryError, a *TileError, a *CheckpointError, ErrNoCheckpoint, or what
// source gives. An entry is at fault when the tiles that differ from it are
// authentic under the checkpoint, a tile when they are not.
// Entries before the source's first are taken from their hash tiles, and must be
// in the signed PruneNote: the first that is not is an *EntryError.
//
// A Publisher may be writing to dir meanwhile.
func Check(ctx context.Context, dir string, source Source, keys []note.Verifier, earlier []byte) (*Report, error) {
	c, r := &checker{dir: folder(filepath.Clean(dir))}, NewReader(dir, keys...)
	if err := c.open(r); err != nil {
		return nil, err
	}
	if len(earlier) > 0 {
		cp, err := OpenCheckpoint(earlier, keys...)
		if fault := (*CheckpointError)(nil); errors.As(err, &fault) {
			fault.Earlier = true
		}
		if err != nil {
			return nil, err
		}
		if cp.Size > c.last.Size {
			return nil, &CheckpointError{Earlier: true, Rule: fmt.Sprintf(
				"covers %d entries, the last one in the folder only %d: the folder was put back to an older state", cp.Size, c.last.Size)}
		}
		c.report.Earlier = cp
	}
	if err := c.pruned(ctx, r, source.First()); err != nil {
		return nil, err
	}
	err := source.Read(c.report.Pruned, func(index uint64, raw []byte) error {
		if index != c.report.Entries {
			return &EntryError{c.report.Entries, "is missing"}
		}
		c.report.Entries++
		if err := c.entry(raw); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	if c.report.Entries < c.last.Size {
		return nil, &EntryError{c.report.Entries, fmt.Sprintf("the log ends before it, and the checkpoint covers %d entries", c.last.Size)}
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return &c.report, nil
}

// checker compares a log, entry by entry, with the files of a tree.
type checker struct {
	dir    folder
	last   *Checkpoint
	right  map[tile][]byte // partial tiles of the checkpoint, nil where missing
	report Report

	edge    edge
	leaves  []tlog.Hash // of the level 0 tile that holds the next entry; nil when unusable
	tile    *TileError  // the first tile at fault
	suspect *uint64     // the first entry that differs from a tile that is not authentic
	earlier *CheckpointError
}

// open reads the checkpoint and its partial tiles. Those go away as the tree
// grows; when one is missing and there is a newer checkpoint, that is taken.
func (c *checker) open(r *Reader) error {
	for {
		cp, err := r.Checkpoint()
		if err != nil {
			return err
		}
		c.last, c.report.Checkpoint, c.right = cp, cp, map[tile][]byte{}
		whole := true
		for _, t := range partials(cp.Size) {
			data, err := c.dir.tile(t)
			if missing := (*TileError)(nil); err != nil && !errors.As(err, &missing) {
				return err
			}
			c.right[t] = data
			whole = whole && err == nil
		}
		if whole {
			return nil
		}
		again, err := r.Checkpoint()
		if err != nil {
			return err
		}
		if again.Size == cp.Size {
			return nil // missing it is; compare says so
		}
	}
}

// read reads a tile as it was when the checkpoint was read.
func (c *checker) read(t tile) ([]byte, error) {
	if t.width == tileWidth {
		return c.dir.tile(t)
	}
	if data := c.right[t]; data != nil {
		return data, nil
	}
	return nil, &TileError{t.path(), "is missing"}
}

// entry takes the next entry.
func (c *checker) entry(raw []byte) error {
	index := c.edge.size
	if index >= c.last.Size {
		return nil // not covered
	}
	hash := tlog.RecordHash(raw)
	if err := c.leaf(index, hash); err != nil {
		return err
	}
	if err := c.edge.add(raw, hash, c.compare); err != nil {
		return err
	}
	return nil
}

// leaf compares an entry's hash with its tile.
func (c *checker) leaf(index uint64, hash tlog.Hash) error {
	t := tile{0, index / tileWidth, int(min(tileWidth, c.last.Size-index/tileWidth*tileWidth))}
	if index%tileWidth == 0 {
		data, err := c.read(t)
		if missing := (*TileError)(nil); err != nil && !errors.As(err, &missing) {
			return err
		}
		c.leaves, _ = splitHashes(data, t.width)
	}
	at := index % tileWidth
	if c.leaves == nil || c.leaves[at] == hash {
		return c.atEarlier(index)
	}
	c.leaves = nil
	tree := tlog.TileHashReader(c.last.tree(), &tiles{c.dir, c.right})
	if _, err := tree.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(index))}); err == nil {
		return &EntryError{index, "is not the entry that the checkpoint covers"}
	}
	if c.suspect == nil {
		c.suspect = &index
	}
	return c.atEarlier(index)
}

// atEarlier compares the root with the checkpoint seen earlier, when the
// entries before index are what that covers.
func (c *checker) atEarlier(index uint64) error {
	if e := c.report.Earlier; e != nil && e.Size == index && c.edge.root() != e.Root {
		c.earlier = &CheckpointError{Earlier: true, Rule: fmt.Sprintf(
			"the first %d entries give another root: the log was rewritten", e.Size)}
	}
	return nil
}

// compare compares a tile that the entries give with the one in the folder.
func (c *checker) compare(t tile, want []byte) error {
	data, err := c.read(t)
	missing := (*TileError)(nil)
	switch {
	case errors.As(err, &missing):
		c.fault(missing)
	case err != nil:
		return err
	case !bytes.Equal(data, want):
		c.fault(&TileError{t.path(), "does not hold what the entries of the log give"})
	}
	c.report.Tiles++
	return nil
}

func (c *checker) fault(e *TileError) {
	if c.tile == nil {
		c.tile = e
	}
}

// end compares the right edge and the root, once all entries were taken.
func (c *checker) end() error {
	for _, t := range partials(c.last.Size) {
		if err := c.compare(t, c.edge.partial(t)); err != nil {
			return err
		}
	}
	_ = c.atEarlier(c.edge.size)
	switch same := c.edge.root() == c.last.Root; {
	case !same && c.suspect != nil:
		return &EntryError{*c.suspect, fmt.Sprintf(
			"differs from the tree, and the tree's own %s is damaged too", c.tile.Path)}
	case !same && c.tile != nil:
		return &CheckpointError{Rule: "has another root than the entries of the log give, and " + c.tile.Path + " " + c.tile.Rule}
	case !same:
		return &CheckpointError{Rule: "has another root than the entries of the log give"}
	case c.tile != nil:
		return c.tile
	case c.earlier != nil:
		return c.earlier
	}
	return nil
}
