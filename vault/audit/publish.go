package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// TreeDir is the folder of the tree in the log's folder; package tree tells
// what is in it.
const TreeDir = "tlog"

// Publish begins to publish the log as a Merkle tree with signed checkpoints:
// one every second when something was written, and one when the log is
// closed. Publishing follows the log and never holds it up. logger is told
// when it fails, and nil discards.
//
// An error means that nothing is published: one that wraps ErrCorrupt when the
// log does not agree with its last checkpoint, naming the entry if it can
// (*CorruptError), ErrClosed, or ErrOptions when it is published already.
// Damaged tiles are made again from the log, which takes as long as reading
// it; ctx ends that.
func (l *FileLog) Publish(ctx context.Context, signer *tree.Signer, logger *slog.Logger) error {
	// Not under l.mu: nothing here may hold up an Append.
	l.treeMu.Lock()
	defer l.treeMu.Unlock()
	if l.treeDone {
		return ErrClosed
	}
	if l.tree != nil {
		return fmt.Errorf("%w: the log is published already", ErrOptions)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	p, err := tree.Start(ctx, filepath.Join(l.dir, TreeDir), &follower{log: l}, signer, logger)
	if err != nil {
		return fmt.Errorf("publish the audit log: %w", l.damage(err))
	}
	l.tree = p
	return nil
}

// Published returns the last checkpoint, nil before the first, and why the
// last attempt to publish failed.
func (l *FileLog) Published() (*tree.Checkpoint, error) {
	l.treeMu.Lock()
	defer l.treeMu.Unlock()
	if l.tree == nil {
		return nil, nil
	}
	return l.tree.Last(), l.tree.Err()
}

// unpublish publishes the last checkpoint, and ends publishing for good.
func (l *FileLog) unpublish() error {
	l.treeMu.Lock()
	defer l.treeMu.Unlock()
	l.treeDone = true
	if l.tree == nil {
		return nil
	}
	if err := l.tree.Close(); err != nil {
		return fmt.Errorf("publish the last checkpoint: %w", err)
	}
	return nil
}

// damage gives what the tree found the error of this package.
func (l *FileLog) damage(err error) error {
	firsts, _, listErr := listSegments(l.opts.disk, l.dir)
	if listErr != nil {
		firsts = nil
	}
	return damage(err, firsts)
}

// damage gives what the tree found an error of this package; firsts are the
// segments, rising.
func damage(err error, firsts []uint64) error {
	if e := (*tree.EntryError)(nil); errors.As(err, &e) {
		first := uint64(0)
		if at, found := slices.BinarySearch(firsts, e.Index); found {
			first = firsts[at]
		} else if at > 0 {
			first = firsts[at-1]
		}
		return &CorruptError{Segment: segmentName(first), Index: e.Index, Rule: e.Rule}
	}
	if errors.Is(err, tree.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// follower reads a log again and again from where it stopped, without going
// through the present segment from its start each time. It is used by one
// goroutine at a time.
type follower struct {
	log   *FileLog
	place place
}

var _ tree.Source = (*follower)(nil)

// Size implements tree.Source.
func (f *follower) Size() uint64 { return f.log.Size() }

// Read implements tree.Source.
func (f *follower) Read(from uint64, fn func(index uint64, raw []byte) error) error {
	size := f.log.Size() // before the segments are listed, which therefore hold it all
	d, dir := f.log.opts.disk, f.log.dir
	firsts, _, err := listSegments(d, dir)
	if err != nil {
		return err
	}
	for from < size {
		at, found := slices.BinarySearch(firsts, from)
		if !found {
			at--
		}
		if at < 0 {
			return &CorruptError{Segment: segmentName(0), Index: from, Rule: "the segment is missing"}
		}
		until := size
		if at+1 < len(firsts) {
			until = min(size, firsts[at+1])
		}
		if f.place.first != firsts[at] || f.place.next > from || f.place.offset == 0 {
			f.place = place{first: firsts[at], offset: segmentHeader, next: firsts[at]}
		}
		if err := f.place.read(d, dir, from, until, fn); err != nil {
			return err
		}
		from = until
	}
	return nil
}
