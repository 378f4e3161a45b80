package tree

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// load reads the last checkpoint and the edge of its tree, holds the source
// against them, and makes again from the source what is damaged.
func (p *Publisher) load(ctx context.Context) error {
	cp, err := p.Reader().Checkpoint()
	if errors.Is(err, ErrNoCheckpoint) {
		p.edge = &edge{}
		return nil
	}
	if err != nil {
		return err
	}
	if size := p.source.Size(); size < cp.Size {
		// An entry may be missing in the middle: reading everything names it.
		if _, err := Check(ctx, string(p.dir), p.source, verifiersOf(p.all()), nil); err != nil {
			return err
		}
		return &EntryError{size, fmt.Sprintf("the log ends before it, and the checkpoint covers %d entries", cp.Size)}
	}
	e, err := loadEdge(p.dir, cp.Size)
	if err == nil && e.root() != cp.Root {
		err = &TileError{checkpointName, "the tiles give another root"}
	}
	if err == nil {
		err = p.compareTail(cp)
	}
	if damaged := (*TileError)(nil); errors.As(err, &damaged) {
		p.logger.Warn("a file of the audit tree is damaged; the tree is made again from the log", "error", err)
		e, err = p.rebuild(ctx, cp)
	}
	if err != nil {
		return err
	}
	p.edge, p.before, p.now = e, nil, map[tile]bool{}
	for _, t := range partials(cp.Size) {
		p.now[t] = true
	}
	p.last.Store(cp)
	return nil
}

// compareTail holds the last entries that a checkpoint covers against its
// tree. Tiles that are not authentic give a *TileError.
func (p *Publisher) compareTail(cp *Checkpoint) error {
	first := p.source.First()
	if _, err := p.Reader().checkFirst(first, cp); err != nil {
		return err
	}
	from := max(first, (cp.Size-min(cp.Size, tail))/tileWidth*tileWidth)
	if from == cp.Size {
		return nil
	}
	var indexes []int64
	for i := from; i < cp.Size; i++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, int64(i)))
	}
	leaves, err := tlog.TileHashReader(cp.tree(), &tiles{dir: p.dir}).ReadHashes(indexes)
	if err != nil {
		return &TileError{tile{0, from / tileWidth, tileWidth}.path(), "or one near it is not authentic"}
	}
	next := from
	err = p.source.Read(from, func(index uint64, raw []byte) error {
		if index != next || tlog.RecordHash(raw) != leaves[index-from] {
			return &EntryError{next, "is not the entry that the checkpoint covers"}
		}
		if next++; next == cp.Size {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// rebuild writes the tiles of a checkpoint again, once it is proven that the
// source is what the checkpoint covers.
func (p *Publisher) rebuild(ctx context.Context, cp *Checkpoint) (*edge, error) {
	_, err := Check(ctx, string(p.dir), p.source, verifiersOf(p.all()), nil)
	damaged, lost := (*TileError)(nil), (*lostError)(nil)
	if err != nil && !errors.As(err, &damaged) || errors.As(err, &lost) {
		return nil, err
	}
	p.edge = &edge{}
	if err := p.skip(p.source.First()); err != nil {
		return nil, err
	}
	if err := p.grow(cp.Size); err != nil {
		return nil, err
	}
	for _, t := range partials(cp.Size) {
		if err := p.put(t, p.edge.partial(t)); err != nil {
			return nil, err
		}
	}
	if p.edge.root() != cp.Root {
		return nil, &CheckpointError{Rule: "has another root than the entries of the log give"}
	}
	return p.edge, p.dir.sync(p.touched)
}
