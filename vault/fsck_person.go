package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// checkedPerson is the rows of one person.
type checkedPerson struct {
	ref       uint64
	header    *rows.Header
	headerRow []byte
	identity  []byte
	records   []checkedRecord
	cells     []checkedCell
}

type checkedRecord struct {
	collection uint16
	row        []byte
	record     *rows.Record
}

type checkedCell struct {
	field uint32
	item  uint16
	blob  []byte
}

// persons reads the table of persons, one person at a time.
func (c *fsck) persons(ctx context.Context, snap store.Snapshot) error {
	err := snap.Each(ctx, rows.People, func(key, value []byte) error {
		k, err := rows.ParsePersonKey(key)
		if err != nil {
			c.find(Fault{Kind: FaultRow, Detail: "a key of unknown kind in people"})
			return nil
		}
		if k.Control {
			return nil
		}
		if c.person == nil || c.person.ref != k.Ref {
			if err := c.judge(ctx); err != nil {
				return err
			}
			c.person = &checkedPerson{ref: k.Ref}
		}
		c.take(k, value)
		return nil
	})
	if err != nil {
		return err
	}
	return c.judge(ctx)
}

// take keeps one row of the person.
func (c *fsck) take(k rows.PersonKey, value []byte) {
	p, value := c.person, bytes.Clone(value)
	switch {
	case k.Header:
		h, err := rows.ParseHeader(value)
		if err != nil {
			c.about(Fault{Kind: FaultRow, Detail: "the header"})
			return
		}
		p.header, p.headerRow = &h, value
	case k.Identity:
		p.identity = value
	case k.Field == 0:
		r, err := rows.ParseRecord(value)
		if err != nil {
			c.about(Fault{Kind: FaultRow, Field: c.collection(k.Collection), Detail: "the record"})
			return
		}
		p.records = append(p.records, checkedRecord{k.Collection, value, r})
	default:
		p.cells = append(p.cells, checkedCell{k.Field, k.Item, value})
	}
}

// about finds something about the person that is being read.
func (c *fsck) about(f Fault) {
	f.Person = fmt.Sprintf("%x", c.v.subject.encipher(c.person.ref))
	c.find(f)
}

func (c *fsck) collection(number uint16) string {
	if c.st != nil {
		if coll := c.st.whole.CollectionByID(policy.CollectionID(number)); coll != nil {
			return coll.Name
		}
	}
	return fmt.Sprintf("collection %d", number)
}

// judge checks the person whose rows were read.
func (c *fsck) judge(ctx context.Context) error {
	p := c.person
	if p == nil {
		return nil
	}
	defer func() { c.person = nil }()
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.header == nil {
		c.about(Fault{Kind: FaultHeader})
		return nil
	}
	c.report.Persons++
	var have store.Rows
	// What follows may have changed since the snapshot: the person's own rows now
	// tell whether it counts.
	err := c.v.values.Get(ctx, []store.Key{
		{Table: rows.People, Key: rows.HeaderKey(p.ref)},
		{Table: rows.Ledger, Key: rows.RefKey(p.ref)},
		{Table: rows.Control, Key: rows.ErasingKey(p.ref)},
	}, &have)
	if err != nil {
		return err
	}
	now, _ := have.Value(0)
	_, inLedger := have.Value(1)
	_, erasing := have.Value(2)
	same := bytes.Equal(now, p.headerRow)
	if p.header.State == rows.Erased {
		c.report.Erased++
		return c.erased(ctx, inLedger, erasing)
	}
	if same && inLedger {
		c.about(Fault{Kind: FaultLedger, Detail: "the ledger says that an active person is erased"})
	}
	return c.active(ctx, same)
}

// erased checks a person who was erased.
func (c *fsck) erased(ctx context.Context, inLedger, erasing bool) error {
	p := c.person
	if !inLedger {
		c.about(Fault{Kind: FaultLedger, Detail: "the ledger does not know of the erasure"})
	}
	if p.identity != nil || len(p.records) > 0 || len(p.cells) > 0 {
		c.about(Fault{Kind: FaultErased})
	}
	if erasing {
		return nil // the next start finishes it, or it is under way
	}
	var have store.Rows
	if err := c.v.keys.Get(ctx, []store.Key{{Table: rows.Subjects, Key: rows.RefKey(p.ref)}}, &have); err != nil {
		return err
	}
	if _, ok := have.Value(0); ok {
		c.about(Fault{Kind: FaultKeyErased})
	}
	return nil
}

// active checks a person who is not erased. same tells whether the header is
// still the one of the snapshot; a key that is missing is no fault otherwise.
func (c *fsck) active(ctx context.Context, same bool) error {
	p := c.person
	key := subjectKey{ref: p.ref, generation: p.header.KeyGeneration}
	var have store.Rows
	if err := c.v.keys.Get(ctx, []store.Key{{Table: rows.Subjects, Key: rows.RefKey(p.ref)}}, &have); err != nil {
		return err
	}
	// Not by the cache, which is for callers.
	blob, there := have.Value(0)
	defer clear(key.key[:])
	switch {
	case there:
		err := c.v.epochs.set.Load().unwrap(blob, p.ref, key.generation, &key.key)
		if key.found = err == nil; !key.found && same {
			c.about(Fault{Kind: FaultKeyClosed, Detail: err.Error()})
		}
	case same:
		c.about(Fault{Kind: FaultKeyMissing})
	}
	if key.found {
		if err := c.identity(ctx, &key, same); err != nil {
			return err
		}
	}
	live := 0
	for i := range p.records {
		if p.records[i].record.Live {
			live++
			c.report.Records++
		}
		c.listed(&p.records[i])
		if err := c.member(ctx, &p.records[i]); err != nil {
			return err
		}
	}
	if live != int(p.header.Records) {
		next := *p.header
		next.Records = uint16(live)
		c.batch.RequireEqual(rows.People, rows.HeaderKey(p.ref), p.headerRow)
		c.batch.Put(rows.People, rows.HeaderKey(p.ref), next.Append(nil))
		done, err := c.repairIf(ctx, live > 0)
		if err != nil {
			return err
		}
		c.about(Fault{Kind: FaultHeaderCount, Detail: fmt.Sprintf("%d, and there are %d", p.header.Records, live), Repaired: done})
	}
	for i := range p.cells {
		c.cell(&p.cells[i])
	}
	return nil
}

// repairIf is repair of the value store under a condition.
func (c *fsck) repairIf(ctx context.Context, may bool) (bool, error) {
	if !may {
		c.batch = store.Batch{}
		return false, nil
	}
	return c.repair(ctx, c.v.values)
}

// listed holds the items of a record against the cells.
func (c *fsck) listed(r *checkedRecord) {
	for _, f := range r.record.Fields {
		for _, item := range f.Items {
			if !slices.ContainsFunc(c.person.cells, func(k checkedCell) bool { return k.field == f.Field && k.item == item }) {
				c.about(Fault{Kind: FaultCellMissing, Field: c.field(f.Field), Item: item})
			}
		}
	}
}

func (c *fsck) field(number uint32) string {
	if c.st != nil {
		if f := c.st.whole.Field(policy.FieldID(number)); f != nil {
			return f.Collection.Name + "." + f.Name
		}
	}
	return fmt.Sprintf("field %d", number)
}

// cell checks that a value opens at its place by its outer lock, and that its
// record lists it.
func (c *fsck) cell(k *checkedCell) {
	c.report.Cells++
	if c.st == nil {
		return
	}
	f := c.st.whole.Field(policy.FieldID(k.field))
	if f == nil {
		c.about(Fault{Kind: FaultFieldUnknown, Field: c.field(k.field), Item: k.item})
		return
	}
	place := c.v.cellPlace(f, c.person.ref, k.item, c.person.header.KeyGeneration)
	switch _, err := seal.InnerHash(c.v.ring.Snapshot().Field(k.field), &place, k.blob); {
	case errors.Is(err, keys.ErrDisabled), errors.Is(err, keys.ErrDestroyed):
		c.report.Unread++
	case err != nil:
		c.about(Fault{Kind: FaultCellClosed, Field: c.field(k.field), Item: k.item})
	}
	at := slices.IndexFunc(c.person.records, func(r checkedRecord) bool { return r.collection == uint16(f.Collection.ID) })
	if at >= 0 {
		if items := c.person.records[at].record.Find(k.field); items != nil && slices.Contains(items.Items, k.item) {
			return
		}
	}
	c.about(Fault{Kind: FaultCellUnlisted, Field: c.field(k.field), Item: k.item})
}
