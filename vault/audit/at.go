package audit

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// At implements Reader. What the published tree covers is read from its entry
// bundles and checked against their hashes; the rest, and what does not hold
// there, from the segments.
func (l *FileLog) At(ctx context.Context, indexes []uint64, fn func(index uint64, raw []byte) error) error {
	if err := checkIndexes(indexes, l.Size()); err != nil {
		return err
	}
	bundled := l.bundled()
	bundles := tree.NewEntries(filepath.Join(l.dir, TreeDir))
	segments := picker{log: l}
	defer segments.close()
	for _, index := range indexes {
		if index < l.First() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var raw []byte
		var err error
		if index < bundled {
			raw, err = bundles.Entry(index)
		}
		if index >= bundled || err != nil {
			raw, err = segments.entry(index)
		}
		if err != nil && index < l.First() {
			continue // pruned since
		}
		if err != nil {
			return err
		}
		if err := fn(index, raw); err != nil {
			return err
		}
	}
	return nil
}

// checkIndexes holds the rules of Reader.At.
func checkIndexes(indexes []uint64, size uint64) error {
	for i, index := range indexes {
		if i > 0 && index <= indexes[i-1] {
			return fmt.Errorf("%w: index %d after %d", ErrIndex, index, indexes[i-1])
		}
		if index >= size {
			return fmt.Errorf("%w: index %d of a log of %d", ErrIndex, index, size)
		}
	}
	return nil
}

// picker reads single entries from segments, by rising index.
type picker struct {
	log    *FileLog
	firsts []uint64
	cursor *cursor // in the segment read last, or nil
	until  uint64  // the first entry that this segment does not hold
}

func (p *picker) close() {
	if p.cursor != nil {
		p.cursor.close()
		p.cursor = nil
	}
}

// entry returns an entry, valid until the next call.
func (p *picker) entry(index uint64) ([]byte, error) {
	if p.cursor == nil || index >= p.until {
		if err := p.open(index); err != nil {
			return nil, err
		}
	}
	p.cursor.seek(index)
	for {
		next := p.cursor.place.next
		if raw, err := p.cursor.read(); err != nil || next == index {
			return raw, err
		}
	}
}

// open opens the segment that holds an entry.
func (p *picker) open(index uint64) (err error) {
	p.close()
	if p.firsts == nil { // after the log's size was read, so that they hold all of it
		if p.firsts, _, err = listSegments(p.log.opts.disk, p.log.dir); err != nil {
			return err
		}
	}
	segment, until, ok := segmentOf(p.firsts, index)
	if !ok {
		return &CorruptError{Segment: segmentName(p.log.First()), Index: index, Rule: "the segment is missing"}
	}
	p.until = until
	p.cursor, err = p.log.files.open(segment)
	return err
}
