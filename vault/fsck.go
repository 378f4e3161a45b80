package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Fault is what a check found. It holds no value and no id that a caller gave.
type Fault struct {
	// Kind is one of the Fault constants.
	Kind FaultKind
	// Field is "collection.field", or a collection; empty when it is about none.
	Field string
	Item  uint16 // 0 when it is about no item
	// Person is the person's handle, as audit entries name the person.
	Person string
	// Detail says more, for people.
	Detail string
	// Repaired tells that the check put it right.
	Repaired bool
}

// FaultKind says what is wrong. The texts are stable.
type FaultKind string

// The kinds of faults. Those marked * can be put right, since what is wrong is
// derived from something else.
const (
	FaultStore        FaultKind = "store_damaged"  // the engine's own structures
	FaultRow          FaultKind = "row_damaged"    // a row is none of its table's
	FaultSealed       FaultKind = "sealed_row"     // a sealed row does not open at its place
	FaultDecided      FaultKind = "decided_by"     // policy, freezes, marks, guard or keysets do not load
	FaultHeader       FaultKind = "header_missing" // a person has rows and no header
	FaultHeaderCount  FaultKind = "header_count"   // * a header counts another number of records
	FaultErased       FaultKind = "erased_left"    // rows of an erased person are there
	FaultLedger       FaultKind = "ledger"         // header and ledger do not agree on an erasure
	FaultKeyMissing   FaultKind = "key_missing"    // an active person has no key
	FaultKeyClosed    FaultKind = "key_closed"     // a person's key does not open
	FaultKeyErased    FaultKind = "key_erased"     // the key of an erased person is there
	FaultKeySpare     FaultKind = "key_spare"      // * a key has no person (only when nobody serves)
	FaultIdentity     FaultKind = "identity"       // a person's id is missing or does not open
	FaultLookup       FaultKind = "lookup"         // * a person is not found by the id
	FaultLookupOther  FaultKind = "lookup_other"   // the id of a person finds another
	FaultMember       FaultKind = "member_missing" // * a record is not listed in its collection
	FaultMemberStale  FaultKind = "member_stale"   // * a collection lists a record that is not there
	FaultCellClosed   FaultKind = "cell_closed"    // a value does not open at its place, by its outer lock
	FaultCellMissing  FaultKind = "cell_missing"   // a record lists a value that is not there
	FaultCellUnlisted FaultKind = "cell_unlisted"  // a value is there that no record lists
	FaultFieldUnknown FaultKind = "field_unknown"  // a value is of a field that the policy does not know
	FaultIndex        FaultKind = "index_damaged"  // * the index of the audit log; told by who opens it
)

// String describes the fault in one line.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprint(&b, f.Kind)
	if f.Field != "" {
		fmt.Fprintf(&b, " %s", f.Field)
	}
	if f.Item != 0 {
		fmt.Fprintf(&b, " item %d", f.Item)
	}
	if f.Person != "" {
		fmt.Fprintf(&b, " person %s", f.Person)
	}
	if f.Detail != "" {
		fmt.Fprintf(&b, ": %s", f.Detail)
	}
	if f.Repaired {
		fmt.Fprint(&b, " (repaired)")
	}
	return b.String()
}

// CheckOptions say what Check does.
type CheckOptions struct {
	// Repair puts right what can be derived: the members of collections, the
	// look-up of persons, the counts in headers, and keys without a person when
	// nobody serves the vault.
	Repair bool
	// Found is told each fault. Nil discards.
	Found func(Fault)
}

// CheckReport counts what a check looked at.
type CheckReport struct {
	Persons  uint64 `json:"persons"` // with a header, erased ones included
	Erased   uint64 `json:"erased"`  // of these
	Records  uint64 `json:"records"`
	Cells    uint64 `json:"cells"`
	Unread   uint64 `json:"unread"` // cells under a version that is disabled or destroyed
	Keys     uint64 `json:"keys"`   // of persons
	Sealed   uint64 `json:"sealed"` // other sealed rows
	Faults   uint64 `json:"faults"`
	Repaired uint64 `json:"repaired"` // of these
}

// Check looks at everything that can be checked without a value being opened:
// the engines' own structures, the form of every row, whether every sealed row
// opens, and whether what says the same thing twice agrees: headers and
// persons' keys, records and cells, members and records, the look-up and
// persons' ids, the ledger and headers. Ids are opened to be looked up, values
// are not. It does not compare with the audit log; Deep does.
//
// It works on one state of the values while calls go on, and looks again, at
// what is stored now, before it says that the two stores disagree. The engine
// must be a store.Snapshotter, or it is ErrNoSnapshot.
func (v *Vault) Check(ctx context.Context, o CheckOptions) (*CheckReport, error) {
	if why := v.sealed.Load(); why != nil { // everything would seem damaged
		return nil, refuse(KeysUnavailable, "", "the vault is sealed: "+*why)
	}
	return v.check(ctx, o, false)
}

// Check opens a vault that nobody serves and checks it, also one that does not
// open by itself. Nothing is recovered or logged.
func Check(ctx context.Context, o Options, c CheckOptions) (_ *CheckReport, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	v, err := openOffline(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.closeOffline()) }()
	v.subjects = newSubjectCache(o.SubjectKeyCache, o.SubjectKeyTime, o.Now)
	if err := v.loadSettled(ctx); err != nil {
		return nil, err
	}
	return v.check(ctx, c, true)
}

// fsck is one check. It belongs to one goroutine.
type fsck struct {
	v      *Vault
	o      CheckOptions
	alone  bool // nobody serves the vault
	st     *state
	keys   *keys.Snapshot
	report CheckReport
	batch  store.Batch // what a repair writes
	person *checkedPerson
}

func (v *Vault) check(ctx context.Context, o CheckOptions, alone bool) (*CheckReport, error) {
	values, ok := v.values.(store.Snapshotter)
	if !ok {
		return nil, ErrNoSnapshot
	}
	c := &fsck{v: v, o: o, alone: alone, keys: v.ring.Snapshot()}
	for name, s := range map[string]store.Store{"keys.db": v.keys, "values.db": v.values} {
		if err := s.Check(ctx); errors.Is(err, store.ErrCorrupt) {
			c.find(Fault{Kind: FaultStore, Detail: name + ": " + err.Error()})
		} else if err != nil {
			return nil, err
		}
	}
	if err := c.decidedBy(ctx); err != nil {
		return nil, err
	}
	if c.st == nil { // fields cannot be told, and nothing may be changed
		c.o.Repair = false
	}
	if err := c.sealedRows(ctx); err != nil {
		return nil, err
	}
	snap, err := values.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = snap.Close() }() // it was only read
	for _, step := range []func(context.Context, store.Snapshot) error{c.persons, c.members, c.loneErasures, c.loneKeys} {
		if err := step(ctx, snap); err != nil {
			return nil, err
		}
	}
	return &c.report, nil
}

func (c *fsck) find(f Fault) {
	c.report.Faults++
	if f.Repaired {
		c.report.Repaired++
	}
	if c.o.Found != nil {
		c.o.Found(f)
	}
}

// decidedBy loads what every call is decided by, with all checks of a start.
func (c *fsck) decidedBy(ctx context.Context) error {
	st, err := c.v.reload(ctx)
	switch {
	case err == nil:
		c.st = st
		return nil
	case isContext(err), errors.Is(err, store.ErrClosed):
		return err
	}
	c.find(Fault{Kind: FaultDecided, Detail: err.Error()})
	// The policy is enough to tell fields.
	_, row, err := c.v.fitting(ctx)
	if err != nil {
		return nil
	}
	if control, err := rows.ParseControl(row); err == nil && control.Policy > 0 {
		if p, _, err := c.v.loadPolicy(ctx, control.Policy); err == nil {
			c.st = &state{whole: p, policy: p, keys: c.keys}
			c.o.Repair = false
		}
	}
	return nil
}

// sealedRows opens every row under the rows keyset.
func (c *fsck) sealedRows(ctx context.Context) error {
	return c.v.eachSealed(ctx, func(page []sealedAt) error {
		for i := range page {
			r := &page[i]
			c.report.Sealed++
			plain, err := c.v.ring.Snapshot().Rows().Open(nil, r.sealed, r.place)
			clear(plain)
			if err != nil {
				c.find(Fault{Kind: FaultSealed, Detail: fmt.Sprintf("a row of the table %s", store.Find(rows.ValueTables(), r.table).Name)})
			}
		}
		return ctx.Err()
	})
}

// repair commits what puts a fault right, and tells whether it did. Somebody
// else may have changed the rows meanwhile: then there is no fault any more.
func (c *fsck) repair(ctx context.Context, s store.Store) (done bool, err error) {
	defer func() { c.batch = store.Batch{} }()
	if !c.o.Repair || len(c.batch.Writes) == 0 {
		return false, nil
	}
	err = s.Commit(ctx, &c.batch)
	if isConflict(err) {
		return false, nil
	}
	return err == nil, err
}
