package audit

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// prunePrincipal is the principal of entries of ActionPrune: nobody asks for
// them, the daemon does.
const prunePrincipal = "cloakroomd"

// Prune removes entries that are older than a time: whole segments from the
// first on, as long as every entry in them is older and in a full bundle that
// the checkpoint covers; and then the bundles that hold only such entries. The
// hash tiles stay, and so do roots, checkpoints and proofs. It returns the
// index of the first entry that is kept.
//
// Before anything is removed, an entry that says so is durable and covered by
// a checkpoint: ActionPrune by "cloakroomd" of "before" and the index. And so is
// a note of the log's signer (tree.PruneNote), without which the entry would
// excuse nothing: whoever writes the files of a log that lies still can add an
// entry. What goes was held against the tree, so that nobody makes entries old by
// changing their times on the disk.
//
// A Prune that is interrupted anywhere leaves a log that opens and verifies; the
// next Publish and Prune remove what it left.
//
// An entry can outlast its time: by up to an eighth of it, when Prune is called
// often enough, since segments go as a whole; and as long as the log has few
// entries, since up to 255 are in no full bundle. A bundle that holds entries
// of both kinds stays.
//
// ErrNotPublished for a log that is not published, ErrClosed, and what Append,
// Read and the tree's publisher return. One Prune runs at a time.
func (l *FileLog) Prune(ctx context.Context, olderThan time.Time) (first uint64, err error) {
	l.pruning.Lock()
	defer l.pruning.Unlock()
	publisher := l.tree.Load()
	if publisher == nil {
		return l.First(), ErrNotPublished
	}
	if err := publisher.Cover(ctx, l.Size()); err != nil {
		return l.First(), err
	}
	firsts, _, err := listSegments(l.opts.disk, l.dir)
	if err != nil {
		return l.First(), err
	}
	before, err := l.allOlder(ctx, publisher.Reader(), firsts, olderThan)
	if err != nil {
		return l.First(), err
	}
	if err := l.renew(firsts[len(firsts)-1], olderThan); err != nil {
		return l.First(), err
	}
	if before > l.First() {
		if err := l.announce(ctx, publisher, before, olderThan); err != nil {
			return l.First(), err
		}
		l.first.Store(before) // so that readers who find a file gone know why
	}
	return l.First(), l.remove(ctx, publisher, firsts)
}

// renew has the next group begin a segment when the present one has lasted an
// eighth of the time for which entries are kept. Else a log with few entries
// would keep them as long as it takes to fill a segment.
func (l *FileLog) renew(last uint64, olderThan time.Time) error {
	now := l.opts.Now()
	due := now.Add(-now.Sub(olderThan) / renewals)
	return l.files.read(last, last, min(last+1, l.Size()), func(index uint64, raw []byte) error {
		e, err := Decode(raw)
		if err != nil {
			return fmt.Errorf("%w: entry %d: %w", ErrCorrupt, index, err)
		}
		if e.Time.Before(due) {
			l.renewal.Store(true)
		}
		return nil
	})
}

// renewals is how many segments there are at least in the time for which
// entries are kept.
const renewals = 8

// announce writes the entry that says what is to be removed, waits until a
// checkpoint covers it, and then writes the signed note, durably.
func (l *FileLog) announce(ctx context.Context, publisher *tree.Publisher, before uint64, olderThan time.Time) error {
	index, err := l.Append(&Entry{
		Action: ActionPrune, Principal: prunePrincipal, Outcome: Allowed,
		Object: pruneObject + strconv.FormatUint(before, 10),
		Count:  uint32(min(before-l.First(), math.MaxUint32)),
	}).Wait(ctx)
	if err != nil {
		return err
	}
	if err := publisher.Cover(ctx, index+1); err != nil {
		return err
	}
	if err := writeHint(l.opts.disk, l.dir, index); err != nil {
		return err
	}
	l.noting.Lock() // or the signers could change in between, and the note of before come back
	defer l.noting.Unlock()
	note, err := publisher.PruneNote(before, olderThan)
	if err != nil {
		return err
	}
	return replace(l.opts.disk, filepath.Join(l.dir, TreeDir, tree.PruneNoteName), note.Signed)
}

// remove removes the segments and bundles before the first entry. Segments go
// one by one from the first, each durably before the next, so that what is
// left never has a gap.
func (l *FileLog) remove(ctx context.Context, publisher *tree.Publisher, firsts []uint64) error {
	for at := 0; at+1 < len(firsts) && firsts[at+1] <= l.First(); at++ {
		if err := l.mayGoOn(ctx); err != nil {
			return err
		}
		if err := l.opts.disk.Remove(filepath.Join(l.dir, segmentName(firsts[at]))); err != nil {
			return err
		}
		if err := l.opts.disk.SyncDir(l.dir); err != nil {
			return err
		}
	}
	l.files.forget(l.First())
	return publisher.Prune(ctx, l.First())
}

// mayGoOn returns why a Prune has to end: the log is closing, and with that the
// folder will be another's, or ctx has ended.
func (l *FileLog) mayGoOn(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return ErrClosed
	}
	return ctx.Err()
}
