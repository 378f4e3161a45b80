package vault

import (
	"context"
	"errors"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// FsckOptions say how far a check goes and what it may change.
type FsckOptions struct {
	// Deep also opens the inner lock of every person's id, and looks each person
	// up by it. Values are never opened.
	Deep bool
	// RowsOnly leaves out the engines' own check, for which commits wait about a
	// second for each few million rows.
	RowsOnly bool
	// Repair puts right what can be derived from the rest: see FsckKind.
	Repair bool
	// By is who asked, for the audit log, such as "local:1000"; required with
	// Repair.
	By string
	// Found is told every finding, those that were repaired included. Nil
	// discards.
	Found func(FsckFinding)
	// Progress is told now and then how far the check is: its stage is "files",
	// "persons" or "collections", and for persons the numbers are those that were
	// given out. Nil discards.
	Progress func(DeepProgress)
}

// FsckListMost is how many findings a report holds; Found is told all.
const FsckListMost = 1000

// FsckReport is what a check looked at and found.
type FsckReport struct {
	Persons uint64 `json:"persons"` // with a header, erased ones included
	Erased  uint64 `json:"erased"`  // of these
	Records uint64 `json:"records"`
	Cells   uint64 `json:"cells"`
	Keys    uint64 `json:"keys"`    // of persons
	Members uint64 `json:"members"` // rows that say who has a record
	Rows    uint64 `json:"rows"`    // all that were read, these included
	// Unread is how many cells and ids are under a key that is out of use, so
	// that nobody can tell more of them. They are no faults.
	Unread uint64 `json:"unread"`
	// SpareKeys is how many keys have no person since they are made ahead of
	// need, or were left by a crash and go with the next start.
	SpareKeys uint64 `json:"spare_keys"`
	// Unfinished is how many erasures and entries of changes wait for the next
	// start, or for the work in the background, to be brought to their end.
	Unfinished uint64 `json:"unfinished"`
	// Unsettled is how many persons changed each time they were looked at
	// closely; nothing is said about them.
	Unsettled uint64 `json:"unsettled"`

	Findings uint64            `json:"findings"`
	Repaired uint64            `json:"repaired"`        // of these
	Kinds    map[string]uint64 `json:"kinds,omitempty"` // findings by kind
	List     []FsckFinding     `json:"list,omitempty"`  // the first FsckListMost
	Took     time.Duration     `json:"took_ns"`
}

// Left is how many findings were not repaired.
func (r *FsckReport) Left() uint64 { return r.Findings - r.Repaired }

// Add counts a finding.
func (r *FsckReport) Add(f FsckFinding) {
	r.Findings++
	if f.Repaired {
		r.Repaired++
	}
	if r.Kinds == nil {
		r.Kinds = make(map[string]uint64)
	}
	r.Kinds[f.Kind.String()]++
	if len(r.List) < FsckListMost {
		r.List = append(r.List, f)
	}
}

// Fsck checks the rows of a vault that nobody serves, also of one that does not
// open by itself. Nothing is recovered, drained or swept first: what a crash
// left is counted as unfinished. See Vault.Fsck.
func Fsck(ctx context.Context, o Options, f FsckOptions) (_ *FsckReport, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	v, err := openOffline(ctx, o)
	if err != nil {
		return nil, err
	}
	v.subjects = newSubjectCache(o.SubjectKeyCache, o.SubjectKeyTime, o.Now)
	defer func() {
		v.subjects.clear()
		err = errors.Join(err, v.closeOffline())
	}()
	return v.fsck(ctx, f, true)
}

// Fsck checks everything in the two stores that can be checked without reading
// the audit log: that the engines' files are whole; that every row is one, and
// opens; that persons, their keys, records, values and what lists them agree;
// and that the rows by which calls are decided belong together. It is the act of
// who runs the machine: no right is asked. Each fault is told to o.Found and
// counted; an error says that the check could not be carried out. A sealed
// vault is KeysUnavailable.
//
// Callers go on, and the check gives way to them. Rows change while it reads, so
// whatever looks wrong is looked at again, all rows concerned at one moment,
// before it is a finding.
//
// With o.Repair, what can be derived is put right, each in one batch that
// requires what it was derived from, so that a crash leaves it done or as it
// was. The log has an entry of it before the first. Nothing that holds a value,
// or opens one, is ever changed.
//
// # What is not claimed
//
// A value that was put back to an older state opens; so does a whole store.
// Deep finds that, by the log. The inner lock of values is not opened. Rows of
// the look-up that no person needs cannot be found: it has hashes for keys and
// cannot be walked.
func (v *Vault) Fsck(ctx context.Context, o FsckOptions) (*FsckReport, error) {
	return v.fsck(ctx, o, false)
}

func (v *Vault) fsck(ctx context.Context, o FsckOptions, offline bool) (*FsckReport, error) {
	if o.Repair && o.By == "" {
		return nil, errors.New("vault: a repair needs to know who asked for it")
	}
	began := time.Now()
	f := &fsck{v: v, o: o, offline: offline}
	if !offline { // before anything is said of a vault that cannot be looked at
		if _, err := f.view(ctx, false); err != nil {
			return nil, err
		}
	}
	if o.Repair {
		entry := &audit.Entry{Action: audit.ActionRepair, Principal: o.By, Object: "fsck", Outcome: audit.Allowed}
		if err := waitFor(ctx, v.log.Append(entry)); err != nil {
			return nil, err
		}
	}
	for _, step := range []func(context.Context) error{
		f.engines, f.control, f.scatteredTables, f.persons, f.members, f.requests, f.outbox,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
		if err := f.flush(ctx); err != nil {
			return nil, err
		}
	}
	f.report.Took = time.Since(began)
	return &f.report, nil
}

// fsck is one check. It belongs to one goroutine.
type fsck struct {
	v       *Vault
	o       FsckOptions
	offline bool // nobody else has the stores open
	report  FsckReport
	alone   *fsckView // offline: the only one
	lot     []fsckFix // repairs that wait for their commit

	lookupLost bool
}

// yield gives way to callers after a piece of work.
func (f *fsck) yield(ctx context.Context, began time.Time) error {
	if f.offline {
		return ctx.Err()
	}
	return f.v.yieldToCallers(ctx, time.Since(began))
}

func (f *fsck) progress(stage string, done, total uint64) {
	if f.o.Progress != nil {
		f.o.Progress(DeepProgress{Stage: stage, Done: done, Total: max(done, total)})
	}
}

// find counts and tells a finding.
func (f *fsck) find(x FsckFinding) {
	f.report.Add(x)
	if f.o.Found != nil {
		f.o.Found(x)
	}
}

// engines has both stores check their own structure.
func (f *fsck) engines(ctx context.Context) error {
	if f.o.RowsOnly {
		return nil
	}
	for i, s := range []store.Store{f.v.keys, f.v.values} {
		f.progress("files", uint64(i), 2)
		err := s.Check(ctx)
		switch {
		case errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrFormat):
			f.find(FsckFinding{Kind: FsckEngine, Table: fsckStores[i], Detail: err.Error()})
		case err != nil:
			return err
		}
	}
	f.progress("files", 2, 2)
	return nil
}

// fsckStores names the stores in findings: that of keys, that of values.
var fsckStores = [2]string{"keys.db", "values.db"}

// tableOf names a table of the value store in findings.
func tableOf(table uint8) string {
	return fsckStores[1] + " " + store.Find(rows.ValueTables(), table).Name
}

// keyTableOf names a table of the key store.
func keyTableOf(table uint8) string {
	return fsckStores[0] + " " + store.Find(rows.KeyTables(), table).Name
}
