package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Errors of Restore. Nothing that was restored can be used after one.
var (
	// ErrBackupPair: the two artefacts do not belong together: they are of
	// different vaults, of the wrong kinds, or the keys are the older of the two.
	ErrBackupPair = errors.New("the two backups do not belong together")
	// ErrBackupLog: the audit log does not go on from where the backup was made,
	// or does not reach back to it, so nobody can tell what was erased since.
	ErrBackupLog = errors.New("the audit log does not go on from the backup")
	// ErrBackupUnread: the audit log tells of changes since the backup that its
	// keys cannot read, erasures perhaps.
	ErrBackupUnread = errors.New("the audit log tells of changes that cannot be read with the keys of the backup")
)

// RestoreOptions say what is restored.
type RestoreOptions struct {
	// Values and Keys are the artefacts, opened and not read from yet.
	Values, Keys *backup.Reader
	// By is who restores, for the audit log, such as "local:1000".
	By string
	// AcceptUnread goes on when the log tells of changes that cannot be read with
	// the keys of the backup, and were perhaps made by somebody else. What they
	// erased, froze or disabled comes back; the vault is frozen until thawed.
	AcceptUnread bool
	// Progress is told how many rows and entries were read. Nil discards.
	Progress func(done uint64)
}

// RestoreReport says what a restore found in the log and did about it.
type RestoreReport struct {
	Values, Keys backup.Manifest
	// Lane is that of the refs that are given out from now on.
	Lane uint64
	// From and To are the entries of the log that were looked at: those since
	// the backup was made.
	From, To uint64
	// Changes is how many of them changed records; Unread how many of the changes
	// could not be read.
	Changes, Unread uint64
	// Erased, Records and Items are persons, records and values that were deleted
	// since, and are again.
	Erased, Records, Items uint64
	// Freezes and Thawed are freezes that began and ended since, and do again.
	Freezes, Thawed int
	// HoneyEnded are honey marks that ended since. HoneyLost began since and
	// cannot be brought back: the log does not name whom they mark.
	HoneyEnded, HoneyLost int
	// KeysDisabled and KeysDestroyed are versions of keys that were disabled or
	// destroyed since, and are again. KeysLost names versions that were made
	// since and are gone; what they sealed or signed outside cannot be opened.
	KeysDisabled, KeysDestroyed int
	KeysLost                    []string
	// KeysUnsure are entries of versions that were disabled or destroyed since,
	// under names that another policy than the backup's declared. Those of a name
	// that the backup knows too are disabled; the others must be done again.
	KeysUnsure []string
	// Rewrapped is how many values moved to another version, since theirs was
	// destroyed.
	Rewrapped uint64
	// PolicyLost is the newest version of the policy that was applied since; 0
	// when none was. The one of the backup is in force, as version PolicyNow.
	PolicyLost, PolicyNow uint64
	// Frozen tells that the whole vault is frozen until somebody thaws it, since
	// a newer policy, or what could not be read, may have forbidden something.
	Frozen bool
	// Found is how many records can be found by their persons' ids, and Closed
	// how many cannot, since the id does not open or the person has no key.
	Found, Closed uint64
	// SpareKeys is how many keys had no person and were removed.
	SpareKeys uint64
	// VerifierKeys are those that the restored vault signs the log's checkpoints
	// with, one a line. When none of them signed the last checkpoint, since all
	// that did were made after the backup, the log cannot be published as it is.
	VerifierKeys string
}

// Restore brings a vault back from a backup into empty stores: the rows of both
// artefacts, and then what the audit log tells of the time since: deletions and
// erasures, freezes and thaws, versions of keys that were disabled or destroyed.
// What was written since is lost, and the log tells of it. New persons get refs
// of another lane, item numbers and versions of records go on behind those that
// were given out since, and remembered requests are forgotten.
//
// Nothing is written to the log. The entry that tells of the restore stands in
// the outbox, and the first Open logs it before anything else happens; so a
// restore that is not put to use leaves no trace. o.Log must be the vault's own
// log, with a tree, and reach back to the backup: without it nobody knows what
// was erased, and there is no restore (ErrBackupLog). The value store is closed
// when Restore returns, o.Keys is not.
//
// Other errors: ErrBackupPair, ErrBackupUnread, ErrExists for stores that are
// not empty, those of the artefacts, and keys.ErrDestroyed when the erasure
// epoch of the persons' keys has ended: no value could be opened.
func Restore(ctx context.Context, o Options, r RestoreOptions) (_ *RestoreReport, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if r.Values == nil || r.Keys == nil || r.By == "" {
		return nil, errors.New("vault: a required part is missing from the options of the restore")
	}
	log, ok := o.Log.(restoreLog)
	if !ok {
		return nil, errors.New("vault: the log cannot be read back")
	}
	x := &restore{o: o, r: r, log: log, outbox: make(map[[16]byte][]byte)}
	x.report.Values, x.report.Keys = r.Values.Manifest(), r.Keys.Manifest()
	if err := x.belong(); err != nil {
		return nil, err
	}
	if err := x.load(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.v.closeOffline()) }()
	if err := x.run(ctx); err != nil {
		return nil, err
	}
	return &x.report, nil
}

// restoreLog is what Restore needs of a log.
type restoreLog interface {
	audit.Reader
	rootedLog
}

// restore is one restore. It belongs to one goroutine.
type restore struct {
	o      Options
	r      RestoreOptions
	log    restoreLog
	v      *Vault
	st     *state
	report RestoreReport
	done   uint64
	loaded uint64 // rows of both artefacts

	since                      // what the log says
	outbox map[[16]byte][]byte // rows of the copy whose entries were not found in the log
}

// belong holds the artefacts against each other.
func (x *restore) belong() error {
	v, k := &x.report.Values, &x.report.Keys
	switch {
	case v.Kind != backup.Values || k.Kind != backup.Keys:
		return fmt.Errorf("%w: one must be of values and one of keys; these are of %s and %s", ErrBackupPair, v.Kind, k.Kind)
	case v.Vault != k.Vault:
		return fmt.Errorf("%w: they are of two vaults, %s and %s", ErrBackupPair, v.Vault, k.Vault)
	case v.Pair != k.Pair && k.Log.Entries < v.Log.Entries:
		return fmt.Errorf("%w: the keys are older than the values, and lack what was made between: take keys of the same run (pair %s) or later", ErrBackupPair, v.Pair)
	}
	x.report.From, x.report.To = v.Log.Entries, x.log.Size()
	return nil
}

// run does what follows the loading of the rows.
func (x *restore) run(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"compare the audit log with the backup", x.continues},
		{"load the policy", x.openState},
		{"read the audit log", x.readLog},
		{"delete what was deleted since", x.deleteAgain},
		{"put keys out of use", x.retireKeys},
		{"put restrictions in force", x.restrictAgain},
		{"remove keys without a person", x.sweepKeys},
		{"rebuild the look-up of persons", x.rebuildLookup},
		{"note where the audit log is", x.markLog},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// continues holds the log against the positions of both artefacts.
func (x *restore) continues(ctx context.Context) error {
	for _, m := range []*backup.Manifest{&x.report.Values, &x.report.Keys} {
		switch at := m.Log.Entries; {
		case x.log.Size() < at:
			return fmt.Errorf("%w: it holds %d entries, and had %d when the backup of %s was made", ErrBackupLog, x.log.Size(), at, m.Kind)
		case x.log.First() > x.report.From:
			return fmt.Errorf("%w: entries before %d were pruned, and the backup was made at entry %d", ErrBackupLog, x.log.First(), x.report.From)
		case at == 0:
			continue
		}
		root, err := x.v.rootAt(ctx, m.Log.Entries)
		if err != nil {
			return err
		}
		if root != m.Log.Root {
			return fmt.Errorf("%w: its first %d entries are others than when the backup of %s was made", ErrBackupLog, m.Log.Entries, m.Kind)
		}
	}
	return x.v.checkLog(ctx)
}

// openState loads what the vault was decided by when the backup was made.
func (x *restore) openState(ctx context.Context) (err error) {
	if err := x.v.loadSettled(ctx); err != nil {
		return err
	}
	x.st, err = x.v.reload(ctx)
	return err
}

// sweepKeys removes the keys that no active person has: of persons who came
// after the copy of the values, or were erased.
func (x *restore) sweepKeys(ctx context.Context) error {
	from := []byte{0}
	for {
		page, err := x.v.keys.Scan(ctx, rows.Subjects, from, nil, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		pairs := make([]store.Key, len(page))
		for i, r := range page {
			ref, err := rows.ParseRef(r.Key)
			if err != nil {
				return err
			}
			pairs[i] = store.Key{Table: rows.People, Key: rows.HeaderKey(ref)}
		}
		var have store.Rows
		if err := x.v.values.Get(ctx, pairs, &have); err != nil {
			return err
		}
		var b store.Batch
		for i, r := range page {
			row, ok := have.Value(i)
			if ok {
				h, err := rows.ParseHeader(row)
				if err != nil || h.State == rows.Active {
					continue // a header that cannot be read is for the checks to judge
				}
			}
			b.Delete(rows.Subjects, r.Key)
		}
		if len(b.Writes) > 0 {
			x.report.SpareKeys += uint64(len(b.Writes))
			if err := x.v.keys.Commit(ctx, &b); err != nil {
				return err
			}
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// rebuildLookup writes the rows by which persons are found.
func (x *restore) rebuildLookup(ctx context.Context) (err error) {
	x.report.Found, x.report.Closed, err = x.v.writeLookup(ctx)
	return err
}

// markLog moves the mark of the log on, so that the part of it that the restore
// went by cannot be taken away afterwards; and says who signs it from now on.
func (x *restore) markLog(ctx context.Context) error {
	signers, err := x.v.AuditSigners()
	if err != nil {
		return err
	}
	for _, s := range signers {
		x.report.VerifierKeys += s.VerifierKey() + "\n"
	}
	m, err := x.v.readMark(ctx)
	if err != nil {
		return err
	}
	m.entries = max(m.entries, x.report.To)
	if at := x.report.Keys.Log; at.Entries > m.covered {
		m.covered, m.root = at.Entries, at.Root
	}
	return x.v.writeMark(ctx, m)
}

func (x *restore) tick(ctx context.Context) error {
	if x.done++; x.done%1024 != 0 {
		return nil
	}
	if x.r.Progress != nil {
		x.r.Progress(x.done)
	}
	return ctx.Err()
}

// restoreOf stands before the position of the backup at the end of the object of
// the entry of a restore.
const restoreOf = ", of entry "

// restoreEntry is the entry that tells of the restore.
func (x *restore) restoreEntry() *audit.Entry {
	e := x.v.changeEntry(Caller{Principal: x.r.By}, audit.ActionRestore, x.report.PolicyNow)
	e.Object = objectText(fmt.Sprintf("lane %d, values %s, keys %s%s%d", x.report.Lane, x.report.Values.Pair, x.report.Keys.Pair, restoreOf, x.report.From))
	return e
}

// keyNames are for the texts about keysets.
func (x *restore) keyName(id keys.ID, version uint16) string {
	return versioned(keyRef(x.st, id), uint32(version))
}
