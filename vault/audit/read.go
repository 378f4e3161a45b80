package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// First implements Reader.
func (l *FileLog) First() uint64 { return l.first.Load() }

// Wait implements Reader.
func (l *FileLog) Wait(ctx context.Context, size uint64) error {
	return l.grown.wait(ctx, size, l.Size, l.stopped)
}

// Read implements Reader. It does not stop appends, and goes on working while
// the log cannot be written.
func (l *FileLog) Read(from uint64, fn func(index uint64, raw []byte) error) error {
	size := l.Size() // before the segments are listed, which therefore hold it all
	from = max(from, l.First())
	if from >= size {
		return nil
	}
	firsts, _, err := listSegments(l.opts.disk, l.dir)
	if err != nil {
		return err
	}
	for from < size {
		segment, until, ok := segmentOf(firsts, from)
		if !ok {
			if l.First() > from {
				from = l.First() // pruned since
				continue
			}
			return &CorruptError{Segment: segmentName(l.First()), Index: from, Rule: "the segment is missing"}
		}
		until = min(until, size)
		began := false
		err := l.files.read(segment, from, until, func(index uint64, raw []byte) error {
			began = true
			return fn(index, raw)
		})
		switch {
		case err == nil:
			from = until
		case !began && errors.Is(err, fs.ErrNotExist) && l.First() > from:
			from = l.First() // pruned since
		default:
			return err
		}
	}
	return nil
}

// segmentOf returns the segment that holds an entry, and the first entry that
// it does not hold any more: a segment supersedes what those before it hold
// from its first index on.
func segmentOf(firsts []uint64, index uint64) (segment, until uint64, ok bool) {
	at, found := slices.BinarySearch(firsts, index)
	if !found {
		at--
	}
	if at < 0 {
		return 0, 0, false
	}
	if at+1 < len(firsts) {
		return firsts[at], firsts[at+1], true
	}
	return firsts[at], ^uint64(0), true
}

// Check reads the whole log and returns the first fault: an error wrapping
// ErrCorrupt for an entry that is damaged, missing or no entry, or ErrFormat
// for one of a newer version. It ends early with ctx. That a missing beginning
// was pruned has to be signed when the log is published; else there is no key,
// and the word of an entry is enough.
func (l *FileLog) Check(ctx context.Context) error {
	if err := l.excused(l.Size()); err != nil {
		return err
	}
	if publisher := l.tree.Load(); publisher != nil {
		if _, err := publisher.Reader().CheckFirst(l.First()); err != nil {
			return l.damage(err)
		}
	}
	c := checker{}
	return l.Read(0, func(index uint64, raw []byte) error {
		if err := c.check(index, raw); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// checker holds that what was read are entries.
type checker struct{ decoder Decoder }

func (c *checker) check(index uint64, raw []byte) error {
	switch _, err := c.decoder.Decode(raw); {
	case errors.Is(err, ErrEntry):
		return fmt.Errorf("%w: entry %d: %w", ErrCorrupt, index, err)
	case err != nil:
		return fmt.Errorf("entry %d: %w", index, err)
	}
	return nil
}
