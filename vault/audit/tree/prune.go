package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Prune removes the bundles all of whose entries are before an index, and
// nothing else: hash tiles stay, and with them roots and proofs. The caller has
// made sure that this is allowed and that the source's First is not lower. The
// Publisher may be at work.
func (p *Publisher) Prune(ctx context.Context, before uint64) error { return p.dir.prune(ctx, before) }

// prune removes the full bundles all of whose entries are before an index.
func (d folder) prune(ctx context.Context, before uint64) error {
	if before < tileWidth {
		return nil
	}
	root := d.at("tile/entries")
	touched := map[string]bool{}
	var emptied []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && path != root {
				return nil // a partial tile's folder that went meanwhile
			}
			return err
		}
		if err := ctx.Err(); err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(string(d), path)
		if err != nil {
			return err
		}
		n, ok := bundleNumber(filepath.ToSlash(rel))
		if !ok || (n+1)*tileWidth > before {
			return nil
		}
		touched[filepath.Dir(path)] = true
		if n > 1000 && n%1000 == 999 {
			emptied = append(emptied, filepath.Dir(path))
		}
		return os.Remove(path) //nolint:gosec // the folder is the daemon's own, mode 0700
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pruned entries: %w", err)
	}
	if err := d.sync(touched); err != nil {
		return err
	}
	for _, dir := range emptied {
		_ = os.Remove(dir) // nothing is ever written there again
	}
	return nil
}

// bundleNumber returns the number of the full bundle that has a path.
func bundleNumber(path string) (n uint64, ok bool) {
	rest, ok := strings.CutPrefix(path, "tile/entries/")
	if !ok {
		return 0, false
	}
	for part := range strings.SplitSeq(rest, "/") {
		digits, err := strconv.ParseUint(strings.TrimPrefix(part, "x"), 10, 10)
		if err != nil || n > maxSize/1000 {
			return 0, false
		}
		n = n*1000 + digits
	}
	return n, path == tile{entriesLevel, n, tileWidth}.path()
}

// checkFirst holds that a log that begins at an index agrees with a
// checkpoint: what was pruned before was covered in full bundles, and the signer
// says that it was pruned.
func (r *Reader) checkFirst(first uint64, cp *Checkpoint) (*PruneNote, error) {
	if whole := cp.Size / tileWidth * tileWidth; first > whole {
		return nil, &EntryError{whole, "is missing, and was never in a full bundle"}
	}
	return r.CheckFirst(first)
}

// pruned takes the entries before first, which are gone, from their hashes.
func (c *checker) pruned(ctx context.Context, r *Reader, first uint64) (err error) {
	if c.report.PruneNote, err = r.checkFirst(first, c.last); err != nil {
		return err
	}
	for c.edge.size < first {
		n := c.edge.size / tileWidth
		leaves, err := c.prunedTile(n)
		if err != nil {
			return err
		}
		if err := c.prunedBundle(n, leaves); err != nil {
			return err
		}
		for _, leaf := range leaves[:min(tileWidth, first-n*tileWidth)] {
			if err := c.atEarlier(c.edge.size); err != nil {
				return err
			}
			if err := c.edge.skip(leaf, c.compare); err != nil {
				return err
			}
		}
		c.leaves = leaves // what is kept may begin in the middle of the tile
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	c.report.Entries, c.report.Pruned = first, first
	return nil
}

// lostError is the error of a tile that cannot be made again, since its
// entries are pruned.
type lostError struct{ *TileError }

func (e *lostError) Unwrap() error { return e.TileError }

// prunedTile returns the hashes of a tile of level 0 whose entries are gone.
// Nothing else tells them. So they must be what the tile above says, unless
// that one is at fault itself, which is found when its turn comes.
func (c *checker) prunedTile(n uint64) ([]tlog.Hash, error) {
	leaves, err := c.dir.leaves(n)
	if fault := (*TileError)(nil); errors.As(err, &fault) {
		return nil, &lostError{fault}
	}
	if err != nil {
		return nil, err
	}
	width := int(min(tileWidth, c.last.Size/tileWidth-n/tileWidth*tileWidth))
	above, err := c.read(tile{1, n / tileWidth, width})
	if missing := (*TileError)(nil); err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	hashes, ok := splitHashes(above, width)
	if ok && hashes[n%tileWidth] == subtree(leaves) {
		return leaves, nil
	}
	tree := tlog.TileHashReader(c.last.tree(), &tiles{c.dir, c.right})
	if _, err := tree.ReadHashes([]int64{tlog.StoredHashIndex(tileHeight, int64(n))}); err == nil {
		return nil, &lostError{&TileError{tile{0, n, tileWidth}.path(), "is not authentic, and its entries are pruned"}}
	}
	return leaves, nil
}

// leaves reads a full tile of level 0. One that is missing or has another
// length is a *TileError.
func (d folder) leaves(n uint64) ([]tlog.Hash, error) {
	t := tile{0, n, tileWidth}
	data, err := d.tile(t)
	if err != nil {
		return nil, err
	}
	leaves, ok := splitHashes(data, tileWidth)
	if !ok {
		return nil, &TileError{t.path(), "has another length than its width needs"}
	}
	return leaves, nil
}

// prunedBundle holds a bundle some of whose entries are gone from the log
// against their hashes. It may be missing.
func (c *checker) prunedBundle(n uint64, leaves []tlog.Hash) error {
	t := tile{entriesLevel, n, tileWidth}
	data, err := c.dir.tile(t)
	if missing := (*TileError)(nil); errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return err
	}
	c.report.Tiles++
	if !holdsEntries(data, leaves) {
		c.fault(&TileError{t.path(), "does not hold the entries of its hashes"})
	}
	return nil
}

// holdsEntries reports whether a bundle is made of the entries with these
// hashes.
func holdsEntries(bundle []byte, leaves []tlog.Hash) bool {
	same := true
	whole := splitBundle(bundle, len(leaves), func(i int, raw []byte) {
		same = same && tlog.RecordHash(raw) == leaves[i]
	})
	return whole && same
}

// skip grows the edge, which is empty, over the entries before first, which
// are gone, from the tiles of level 0. These were checked.
func (p *Publisher) skip(first uint64) error {
	for p.edge.size < first {
		n := p.edge.size / tileWidth
		leaves, err := p.dir.leaves(n)
		if err != nil {
			return err
		}
		// A damaged bundle cannot be made again. What the log keeps of it is in the
		// log, and what it does not keep has no business here.
		bundle := tile{entriesLevel, n, tileWidth}
		if data, err := p.dir.tile(bundle); err == nil && !holdsEntries(data, leaves) {
			if err := os.Remove(p.dir.at(bundle.path())); err != nil {
				return err
			}
		}
		for _, leaf := range leaves[:min(tileWidth, first-n*tileWidth)] {
			if err := p.edge.skip(leaf, p.put); err != nil {
				return err
			}
		}
	}
	return nil
}
