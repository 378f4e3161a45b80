package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// mark is what the value store remembers of the audit log, so that a log put
// back to an older state does not pass for the one that belongs to the values.
// It is sealed under the rows keyset. Who holds the disk can put an older mark
// back, and then the log back as far as that one says: the deep check finds
// what was written in between.
//
//	format 1 | flags 1 (bit 0: begun anew) | entries 8 | covered 8 | root 32
type mark struct {
	anew    bool     // the log was begun anew beside values that it does not tell of
	entries uint64   // durable entries of the log
	covered uint64   // of these, under the last published checkpoint; 0: none
	root    [32]byte // of that checkpoint
}

const (
	markFormat = 1
	markLen    = 50
	markAnew   = 1
)

// markEvery is the time between marks. One that has not changed is not written.
const markEvery = 10 * time.Minute

// publishedLog is a log that is published as a tree.
type publishedLog interface {
	// Published returns the last checkpoint, nil before the first, and why the
	// last attempt to publish failed.
	Published() (*tree.Checkpoint, error)
}

// rootedLog is a log that can tell the root of its tree at a size.
type rootedLog interface {
	// RootAt returns the root of the tree over the first size entries, from
	// what is authentic under one of the verifier keys, one a line, or from the
	// entries themselves.
	RootAt(ctx context.Context, size uint64, verifierKeys string) ([32]byte, error)
}

func (m *mark) append(dst []byte) []byte {
	dst = append(dst, markFormat, 0)
	if m.anew {
		dst[len(dst)-1] = markAnew
	}
	dst = binary.BigEndian.AppendUint64(dst, m.entries)
	dst = binary.BigEndian.AppendUint64(dst, m.covered)
	return append(dst, m.root[:]...)
}

func parseMark(b []byte) (*mark, error) {
	if len(b) == 0 || b[0] != markFormat {
		return nil, fmt.Errorf("%w: the mark of the audit log", store.ErrFormat)
	}
	if len(b) != markLen || b[1] > markAnew {
		return nil, fmt.Errorf("%w: the mark of the audit log", store.ErrCorrupt)
	}
	m := &mark{anew: b[1] == markAnew, entries: binary.BigEndian.Uint64(b[2:]), covered: binary.BigEndian.Uint64(b[10:])}
	copy(m.root[:], b[18:])
	return m, nil
}

// errNoMark: every vault is made with a mark, so somebody removed it.
var errNoMark = fmt.Errorf("%w: the values do not say any more how far it was", ErrLogOther)

// readMark returns the mark, or errNoMark.
func (v *Vault) readMark(ctx context.Context) (*mark, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.MarkKey}}, &have); err != nil {
		return nil, err
	}
	sealed, ok := have.Value(0)
	if !ok {
		return nil, errNoMark
	}
	plain, err := v.ring.Snapshot().Rows().Open(nil, sealed, sealedRow(v.id, "mark", 0))
	if err != nil {
		return nil, fmt.Errorf("%w: the mark of the audit log: %w", store.ErrCorrupt, err)
	}
	return parseMark(plain)
}

func (v *Vault) writeMark(ctx context.Context, m *mark) error {
	sealed := v.ring.Snapshot().Rows().Seal(nil, m.append(nil), sealedRow(v.id, "mark", 0))
	var b store.Batch
	b.Put(rows.Control, rows.MarkKey, sealed)
	return v.values.Commit(ctx, &b)
}

// checkLog refuses a log that is older than the mark, or another, and any when
// there is no mark.
func (v *Vault) checkLog(ctx context.Context) error {
	m, err := v.readMark(ctx)
	if err != nil {
		return err
	}
	return v.compareLog(ctx, m)
}

// compareLog holds the log against a mark: ErrLogOlder, ErrLogOther, or what
// keeps the log from being read.
func (v *Vault) compareLog(ctx context.Context, m *mark) error {
	if size := v.log.Size(); size < m.entries {
		return fmt.Errorf("%w: it holds %d entries and had %d", ErrLogOlder, size, m.entries)
	}
	rooted, ok := v.log.(rootedLog)
	if m.covered == 0 || !ok {
		return nil
	}
	signedBy, err := v.verifierKeys()
	if err != nil {
		return err
	}
	root, err := rooted.RootAt(ctx, m.covered, signedBy)
	if err != nil {
		return fmt.Errorf("compare the audit log with what the values know of it: %w", err)
	}
	if root != m.root {
		return fmt.Errorf("%w: its first %d entries give another root", ErrLogOther, m.covered)
	}
	return nil
}

// updateMark brings the mark up to the log. One goroutine at a time calls it.
func (v *Vault) updateMark(ctx context.Context) error {
	was, err := v.readMark(ctx)
	if err != nil {
		return err
	}
	next := *was
	// What is published is durable, so it is read first.
	if p, ok := v.log.(publishedLog); ok {
		if cp, _ := p.Published(); cp != nil && cp.Size > next.covered {
			next.covered, next.root = cp.Size, cp.Root
		}
	}
	next.entries = max(next.entries, v.log.Size())
	if next == *was {
		return nil
	}
	return v.writeMark(ctx, &next)
}

// tryMark is updateMark where nobody waits for it: an older mark is as true as
// before.
func (v *Vault) tryMark(ctx context.Context) {
	if err := v.updateMark(ctx); err != nil && !isContext(err) && !errors.Is(err, store.ErrClosed) {
		v.logger.Warn("the values do not know how far the audit log is; this is tried again", "error", err)
	}
}

// keepMark updates the mark now and then.
func (v *Vault) keepMark(ctx context.Context) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v.tryMark(ctx)
		}
	}
}

// BeginLog tells the value store that its audit log is lost for good and that
// the empty o.Log takes its place. What is stored already is from then on
// older than the log: Open accepts it, and Deep can say nothing about it. It
// does nothing when the log holds entries.
func BeginLog(ctx context.Context, o Options) (err error) {
	if err := o.complete(); err != nil {
		return err
	}
	if o.Log.Size() > 0 {
		return nil
	}
	v, err := openOffline(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.closeOffline()) }()
	holds, err := v.holdsHistory(ctx)
	if err != nil {
		return err
	}
	return v.writeMark(ctx, &mark{anew: holds})
}

// holdsHistory tells whether anything is stored that a log would tell of.
func (v *Vault) holdsHistory(ctx context.Context) (bool, error) {
	for table, from := range map[uint8][]byte{rows.People: store.Next(rows.ControlKey), rows.Policies: {0}} {
		some, err := v.values.Scan(ctx, table, from, nil, 1)
		if err != nil || len(some) > 0 {
			return len(some) > 0, err
		}
	}
	return false, nil
}

// openOffline opens keys and stores and begins no work: nothing is recovered,
// drained or swept.
func openOffline(ctx context.Context, o Options) (*Vault, error) {
	v := &Vault{keys: o.Keys, log: o.Log, now: o.Now, logger: o.Logger}
	if err := v.openKeys(ctx, o); err != nil {
		return nil, err
	}
	if err := v.openValues(ctx, o); err != nil {
		v.ring.Close()
		return nil, err
	}
	return v, nil
}

func (v *Vault) closeOffline() error {
	err := v.values.Close()
	v.ring.Close()
	return err
}
