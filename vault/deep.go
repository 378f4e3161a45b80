package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// DeepOptions say what Deep tells while it works.
type DeepOptions struct {
	// Found is told every finding, in order: what is wrong with the log, the
	// policy, the freezes and the honey marks, then what is stored, in the order of the store, then persons that
	// are not stored at all, in the order of the log. Nil discards.
	Found func(Finding)
	// Progress is told now and then how far the check is. Nil discards.
	Progress func(DeepProgress)
	// Verify, when not nil, is called before anything is compared with the log,
	// with the keys that this vault signs the log's checkpoints with, in the form
	// of the file tlog/vkeys. Its error ends the check: a log that does not hold
	// says nothing about values.
	Verify func(ctx context.Context, verifierKeys string) error
}

// DeepProgress says how far a check is.
type DeepProgress struct {
	// Stage is "entries" while the log is read, "cells" while values are.
	Stage string
	// Done and Total are numbers of entries or cells. Total is an estimate for
	// cells, and the log may be read again to name what was found.
	Done, Total uint64
}

// DeepReport is what a check has looked at.
type DeepReport struct {
	Entries uint64 // of the log, those that were pruned aside
	First   uint64 // index of the first of them
	Outbox  uint64 // entries of committed changes that are not in the log yet
	Persons uint64 // with a header, erased ones included
	Erased  uint64 // of these
	Cells   uint64 // values
	// Older is how many cells, records, freezes and honey marks were written
	// before the first entry of a log that was pruned or begun anew. Nothing is
	// known against them.
	Older uint64
	// Unread is how many cells cannot be compared, since the version of their
	// field's key is disabled or destroyed.
	Unread uint64
	// Untold is how many changes in the log cannot be held against anything, since
	// the version of the audit-ref key under which they were entered is disabled
	// or destroyed: whom they were about, and whether this vault made them, cannot
	// be told any more.
	Untold uint64
	// SpareKeys is how many keys have no person. They are made ahead of need, or
	// were left by a crash, and the next start sweeps them.
	SpareKeys uint64
	Findings  uint64
	// Restored is how many of the findings are of what came after a backup that
	// was restored since: it is lost, as the restore said.
	Restored uint64
}

// Deep holds the whole vault against its audit log, offline: the stores and
// the log must be opened by nobody else. It repairs nothing and puts nothing
// into the log. Every fault that it finds is told to d.Found; an error says
// that the check could not be carried out.
//
// # What is claimed
//
// Every cell opens under its field's key at its place, and holds what the last
// entry for that person, field and item wrote; every item that was written and
// not deleted is there; the same for records, persons and their headers, for
// the policy in force, for freezes and honey marks, and for the log itself as
// far as the value store knows of it. A key is there for every person and for
// nobody who was erased. Entries that a crash left in the outbox count as the
// end of the log; a row there that this vault did not write ends the check.
// Entries of changes carry a tag under a key of the vault: one that was put into
// the log by somebody else is a finding, and is not believed.
//
// # What is not
//
// Deep trusts the log; d.Verify is for holding that against its tree and a
// checkpoint kept elsewhere. A log and values put back together to the same
// older state are found by such a checkpoint alone. Values are not opened,
// since only the outer lock comes off, and persons' ids, look-ups and remembered
// requests are not compared with anything. Entries of reveals and other reads
// have no tag. Where the
// order of the log and the times of two changes of one item contradict each
// other (the log could not be written for a time, or the clock was set back),
// either counts as the last. Several nodes that share a value store are out of
// its reach: their entries of one item need not come in the order of changes.
//
// The log must have a method Read as audit.FileLog has. Memory grows with the
// items and records that the log tells of, by about 60 bytes for each.
func Deep(ctx context.Context, o Options, d DeepOptions) (_ *DeepReport, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	log, ok := o.Log.(deepLog)
	if !ok {
		return nil, errors.New("vault: the log cannot be read back")
	}
	v, err := openOffline(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.closeOffline()) }()
	c := &deep{
		v: v, log: log, options: d, keys: v.ring.Snapshot(), subjects: v.subject.set.Load(), book: newBook(),
		collections: map[namedAt]uint16{}, lost: map[uint64]bool{}, told: restrictions{},
	}
	if f, ok := o.Log.(interface{ First() uint64 }); ok {
		c.report.First = f.First()
	}
	c.report.Entries = log.Size() - c.report.First
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	return &c.report, nil
}

// deepLog is what Deep needs of a log.
type deepLog interface {
	Size() uint64
	Read(from uint64, fn func(index uint64, raw []byte) error) error
}

// deep is one check. It belongs to one goroutine.
type deep struct {
	v       *Vault
	log     deepLog
	options DeepOptions
	report  DeepReport
	keys    *keys.Snapshot

	subjects *subjectSet

	whole    bool // the log tells of everything that is stored
	applied  applied
	policy   *policy.Policy   // of the newest version that is known
	registry *policy.Registry // for names
	decoder  audit.Decoder

	collections map[namedAt]uint16
	lost        map[uint64]bool // versions of the policy that are not kept
	book        *book
	either      map[uint32][]event // of slots whose last event is not certain
	since       int64              // time of the first entry of the log
	told        restrictions
	restores    []restoredSpan
	scratch     []byte

	pending  []Finding
	suspects map[int]suspect // by index in pending
}

// applied is the policy that the log says is in force.
type applied struct {
	version uint64 // 0: the log does not say
	entry   EntryNumber
}

func (c *deep) run(ctx context.Context) error {
	if c.options.Verify != nil {
		signedBy, err := c.v.verifierKeys()
		if err != nil {
			return err
		}
		if err := c.options.Verify(ctx, signedBy); err != nil {
			return err
		}
	}
	if err := c.checkMark(ctx); err != nil {
		return err
	}
	if err := c.readLog(ctx); err != nil {
		return err
	}
	if err := c.settleOrder(ctx); err != nil {
		return err
	}
	if err := c.checkPolicy(ctx); err != nil {
		return err
	}
	if err := c.checkRestrictions(ctx); err != nil {
		return err
	}
	if err := c.scan(ctx); err != nil {
		return err
	}
	c.missingPersons()
	return c.flush(ctx)
}

// checkMark compares the log with what the values know of it, and finds out
// whether it tells of everything.
func (c *deep) checkMark(ctx context.Context) error {
	m, err := c.v.readMark(ctx)
	if errors.Is(err, errNoMark) {
		c.whole = c.report.First == 0
		c.find(Finding{Kind: MarkMissing})
		return nil
	}
	if err != nil {
		return err
	}
	c.whole = c.report.First == 0 && !m.anew
	switch err := c.v.compareLog(ctx, m); {
	case errors.Is(err, ErrLogOlder):
		c.find(Finding{Kind: LogOlder, Number: m.entries})
	case errors.Is(err, ErrLogOther):
		c.find(Finding{Kind: LogOther, Number: m.covered})
	case err != nil:
		return err
	}
	return nil
}

// checkPolicy compares the policy in force with the log's last one, and loads
// the newest that there is: an older one may not know all fields.
func (c *deep) checkPolicy(ctx context.Context) error {
	_, row, err := c.v.fitting(ctx)
	if err != nil {
		return err
	}
	control, err := rows.ParseControl(row)
	if err != nil {
		return err
	}
	stored, last := control.Policy, c.applied
	switch {
	case stored < last.version:
		c.find(Finding{Kind: PolicyOlder, Number: stored, Last: last.entry})
	case stored > last.version && (c.whole || last.version > 0):
		c.find(Finding{Kind: PolicyUnwritten, Number: stored, Last: last.entry})
	}
	if last.version > stored && c.load(ctx, last.version) == nil {
		return nil
	}
	if stored == 0 {
		c.policy, err = c.v.bootstrapPolicy(ctx)
		return err
	}
	return c.load(ctx, stored)
}

func (c *deep) load(ctx context.Context, version uint64) error {
	p, r, err := c.v.loadPolicy(ctx, version)
	if err != nil {
		return err
	}
	c.policy, c.registry = p, r
	return nil
}

// handle returns what stands for a person in findings.
func (c *deep) handle(ref uint64) string { return fmt.Sprintf("%x", c.v.subject.encipher(ref)) }

// fieldName returns the name of a field, also of one that was dropped.
func (c *deep) fieldName(field uint32) string {
	if name := c.registry.FieldName(policy.FieldID(field)); name != "" {
		return name
	}
	return fmt.Sprintf("field %d", field)
}

func (c *deep) collectionName(collection uint16) string {
	if coll := c.policy.CollectionByID(policy.CollectionID(collection)); coll != nil {
		return coll.Name
	}
	return fmt.Sprintf("collection %d", collection)
}

func (c *deep) progress(stage string, done, total uint64) {
	if c.options.Progress != nil {
		c.options.Progress(DeepProgress{Stage: stage, Done: done, Total: max(done, total)})
	}
}
