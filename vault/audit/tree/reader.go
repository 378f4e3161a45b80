package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Reader proves what the tree holds, from its files alone. It may be used
// while a Publisher writes them, and is safe for concurrent use. Every hash
// that it reads is authenticated against the checkpoint.
type Reader struct {
	dir  folder
	keys []note.Verifier
}

// NewReader returns a Reader of the tree in dir, whose checkpoints must be
// signed by one of the keys.
func NewReader(dir string, keys ...note.Verifier) *Reader {
	return &Reader{folder(filepath.Clean(dir)), keys}
}

// Checkpoint returns the last checkpoint, verified. ErrNoCheckpoint when there
// is none yet; a *CheckpointError when none of the keys signed it.
func (r *Reader) Checkpoint() (*Checkpoint, error) {
	signed, err := r.dir.optional(checkpointName)
	if err != nil {
		return nil, err
	}
	if signed == nil {
		return nil, ErrNoCheckpoint
	}
	return OpenCheckpoint(signed, r.keys...)
}

// Inclusion proves that the tree of the given size holds an entry at an index
// (RFC 6962, tlog.CheckRecord verifies it). ErrRange unless index < size <=
// the last checkpoint's size.
func (r *Reader) Inclusion(index, size uint64) (tlog.RecordProof, error) {
	if index >= size {
		return nil, fmt.Errorf("%w: entry %d of %d", ErrRange, index, size)
	}
	hashes, err := r.hashes(size)
	if err != nil {
		return nil, err
	}
	return tlog.ProveRecord(int64(size), int64(index), hashes)
}

// Consistency proves that the tree of size newer goes on from that of size
// older (RFC 6962, tlog.CheckTree verifies it). ErrRange unless 0 < older <=
// newer <= the last checkpoint's size.
func (r *Reader) Consistency(older, newer uint64) (tlog.TreeProof, error) {
	if older == 0 || older > newer {
		return nil, fmt.Errorf("%w: sizes %d and %d", ErrRange, older, newer)
	}
	hashes, err := r.hashes(newer)
	if err != nil {
		return nil, err
	}
	return tlog.ProveTree(int64(newer), int64(older), hashes)
}

// Root returns the root of the tree at a size. ErrRange when the last
// checkpoint does not cover it.
func (r *Reader) Root(size uint64) (tlog.Hash, error) {
	if size == 0 {
		return new(edge).root(), nil
	}
	hashes, err := r.hashes(size)
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.TreeHash(int64(size), hashes)
}

// hashes returns a reader of authentic hashes of the tree at a size.
func (r *Reader) hashes(size uint64) (tlog.HashReader, error) {
	cp, err := r.Checkpoint()
	if err != nil {
		return nil, err
	}
	if size > cp.Size {
		return nil, fmt.Errorf("%w: size %d, the checkpoint has %d", ErrRange, size, cp.Size)
	}
	return tlog.TileHashReader(cp.tree(), &tiles{dir: r.dir}), nil
}

// tiles reads hash tiles for package tlog.
type tiles struct {
	dir folder
	// kept are tiles that were read before, at the right edge.
	kept map[tile][]byte
}

// Height implements tlog.TileReader.
func (s *tiles) Height() int { return tileHeight }

// SaveTiles implements tlog.TileReader.
func (s *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (s *tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(list))
	for i, want := range list {
		var err error
		if out[i], err = s.read(tile{want.L, uint64(want.N), want.W}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// read reads a tile. The tree may have grown since its checkpoint was read,
// and a partial tile have been removed: then a wider one holds its hashes.
func (s *tiles) read(t tile) ([]byte, error) {
	if data, ok := s.kept[t]; ok {
		return data, nil
	}
	data, err := s.dir.tile(t)
	if missing := (*TileError)(nil); t.width == tileWidth || !errors.As(err, &missing) {
		return data, err
	}
	for wider := tileWidth; wider > t.width; wider-- {
		data, err := os.ReadFile(s.dir.at(tile{t.level, t.n, wider}.path()))
		if err == nil && len(data) == wider*tlog.HashSize {
			return data[:t.width*tlog.HashSize], nil
		}
	}
	return nil, err
}
