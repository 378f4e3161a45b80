package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// TreeDir is the folder of the tree in the log's folder; package tree tells
// what is in it.
const TreeDir = "tlog"

// Publish begins to publish the log as a Merkle tree with signed checkpoints:
// one every second when something was written, and one when the log is
// closed. All signers sign, the first for good (see SetSigners). Publishing
// follows the log and never holds it up. logger is told
// when it fails, and nil discards.
//
// An error means that nothing is published: one that wraps ErrCorrupt when the
// log does not agree with its last checkpoint, naming the entry if it can
// (*CorruptError), ErrClosed, ErrOptions when it is published already, or
// tree.ErrKey for signers that cannot be used.
// Damaged tiles are made again from the log, which takes as long as reading
// it; ctx ends that.
func (l *FileLog) Publish(ctx context.Context, signers []*tree.Signer, logger *slog.Logger) error {
	// Not under l.mu: nothing here may hold up an Append.
	l.treeMu.Lock()
	defer l.treeMu.Unlock()
	if l.treeDone {
		return ErrClosed
	}
	if l.tree.Load() != nil {
		return fmt.Errorf("%w: the log is published already", ErrOptions)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if err := l.excusedTo(signers); err != nil {
		return fmt.Errorf("publish the audit log: %w", err)
	}
	p, err := tree.Start(ctx, filepath.Join(l.dir, TreeDir), l, signers, logger)
	if err != nil {
		return fmt.Errorf("publish the audit log: %w", l.damage(err))
	}
	l.tree.Store(p)
	return nil
}

// excusedTo holds that what the log lacks was pruned after one of the signers had
// covered the entry that says so. Without that, an entry put into the files
// of a log that lies still would be signed and hide what was taken away.
func (l *FileLog) excusedTo(signers []*tree.Signer) error {
	if l.First() == 0 {
		return nil
	}
	var text strings.Builder
	for _, s := range signers {
		text.WriteString(s.VerifierKey() + "\n")
	}
	keys, err := tree.NewVerifiers(text.String())
	if err != nil {
		return err
	}
	switch covered, err := tree.NewReader(filepath.Join(l.dir, TreeDir), keys...).Checkpoint(); {
	case errors.Is(err, tree.ErrNoCheckpoint):
		return l.excused(0)
	case err != nil:
		return l.damage(err)
	default:
		return l.excused(covered.Size)
	}
}

// SetSigners signs the checkpoints by other signers from now on, the first for
// good. When it returns nil, the last checkpoint and the note of what was pruned
// are signed by each of them and by nobody else, durably.
//
// To change the key, put the new signer before the old one, and leave the old
// one out when every verifier has taken the new one over; tree.Publisher's
// SetSigners says what happens otherwise. ErrNotPublished before Publish has
// returned, ErrClosed, tree.ErrKey for signers that cannot be used, and the
// errors of ctx and the disk.
func (l *FileLog) SetSigners(ctx context.Context, signers []*tree.Signer) error {
	p := l.tree.Load()
	if p == nil {
		return ErrNotPublished
	}
	l.noting.Lock()
	defer l.noting.Unlock()
	err := p.SetSigners(ctx, signers)
	if errors.Is(err, tree.ErrEnded) {
		return ErrClosed
	}
	return err
}

// Published returns the last checkpoint, nil before the first, and why the
// last attempt to publish failed.
func (l *FileLog) Published() (*tree.Checkpoint, error) {
	p := l.tree.Load()
	if p == nil {
		return nil, nil
	}
	return p.Last(), p.Err()
}

// bundled returns the index after the last entry that stands in a full bundle
// of the published tree.
func (l *FileLog) bundled() uint64 {
	p := l.tree.Load()
	if p == nil || p.Last() == nil {
		return 0
	}
	return p.Last().Size / tree.BundleSize * tree.BundleSize
}

// Proofs returns a reader of the published tree: checkpoints, proofs of
// inclusion and of consistency. It is safe for concurrent use, also while the
// log is written and pruned. ErrNotPublished before Publish has returned.
func (l *FileLog) Proofs() (*tree.Reader, error) {
	p := l.tree.Load()
	if p == nil {
		return nil, ErrNotPublished
	}
	return p.Reader(), nil
}

// VerifierKeys returns the keys that verify the checkpoints, each in one line of
// text as tree.NewVerifier reads it, that of the first signer first.
// ErrNotPublished before Publish has returned.
func (l *FileLog) VerifierKeys() ([]string, error) {
	p := l.tree.Load()
	if p == nil {
		return nil, ErrNotPublished
	}
	return p.VerifierKeys(), nil
}

// VerifierKey returns the first of VerifierKeys. ErrNotPublished before Publish
// has returned.
func (l *FileLog) VerifierKey() (string, error) {
	p := l.tree.Load()
	if p == nil {
		return "", ErrNotPublished
	}
	return p.VerifierKey(), nil
}

// unpublish publishes the last checkpoint, and ends publishing for good.
func (l *FileLog) unpublish() error {
	l.treeMu.Lock()
	defer l.treeMu.Unlock()
	l.treeDone = true
	p := l.tree.Load()
	if p == nil {
		return nil
	}
	if err := p.Close(); err != nil {
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
		first := e.Index // of no segment that is there: one that began there is missing
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
