package vault

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// plan is the batch of one change and what it makes of the record.
type plan struct {
	change *change
	fresh  bool // the person is new
	batch  store.Batch
	header rows.Header
	record *rows.Record
	key    subjectKey

	frees   bool         // rows are deleted whose bytes shall go from the files
	items   []audit.Item // what the change writes and removes
	entries []audit.Entry
}

// plan builds the batch of a change. An *Error refuses this change only.
func (w *writer) plan(ctx context.Context, c *change, was *prior) (*plan, error) {
	p := &plan{change: c, fresh: was.ref == 0, header: was.header, key: was.key}
	var err error
	if c.mode == remove {
		err = w.planRemoval(ctx, p, was)
	} else {
		err = w.planRecord(p, was)
	}
	if err == nil {
		err = w.planRest(p, was)
	}
	return p, err
}

// planRecord sets the fields of a change in a new or existing record.
func (w *writer) planRecord(p *plan, was *prior) error {
	c, ms := p.change, w.now.UnixMilli()
	switch {
	case was.record == nil:
		p.record = &rows.Record{Created: ms}
	default:
		p.record = was.record.Clone()
	}
	if !p.record.Live {
		p.record.Live, p.record.Created = true, ms
		p.header.Records++
		c.created = true
	}
	p.record.Version++
	p.record.Updated = ms
	if p.fresh {
		p.header = rows.Header{State: rows.Active, KeyGeneration: firstKeyGeneration, TokenGeneration: 1, Records: 1}
	}
	for i := range c.set {
		if err := w.planField(p, &c.set[i]); err != nil {
			return err
		}
	}
	return nil
}

// planField gives the values of a field their items: those at the same place
// keep their number and so their token, more values get new numbers, and what
// is left over is deleted.
func (w *writer) planField(p *plan, set *fieldChange) error {
	items := p.record.Of(uint32(set.field.ID))
	for _, item := range p.change.expired {
		w.planGone(p, set.field, item)
		items.Items = slices.DeleteFunc(items.Items, func(n uint16) bool { return n == item })
	}
	for i, value := range set.values {
		if p.change.mode == ensure || i >= len(items.Items) {
			if items.Next == 0xffff {
				return refuse(TooManyValues, set.field.Name, "has used up its item numbers")
			}
			items.Items = append(items.Items, items.Next)
			items.Next++
		}
		item := items.Items[i]
		if p.change.mode == ensure {
			item = items.Items[len(items.Items)-1]
			p.change.item, p.change.stored = item, true
		}
		if err := w.planCell(p, set.field, item, value); err != nil {
			return err
		}
	}
	if p.change.mode == ensure {
		return nil
	}
	for _, item := range items.Items[len(set.values):] {
		w.planGone(p, set.field, item)
	}
	items.Items = items.Items[:len(set.values)]
	return nil
}

// planGone deletes the cell of an item.
func (w *writer) planGone(p *plan, f *policy.Field, item uint16) {
	p.frees = true
	p.batch.Delete(rows.People, rows.CellKey(p.key.ref, uint32(f.ID), item))
	p.items = append(p.items, w.wrote(p, uint32(f.ID), item, [16]byte{}))
}

// planCell seals one value into its cell.
func (w *writer) planCell(p *plan, f *policy.Field, item uint16, value []byte) error {
	outer := w.st.keys.Field(uint32(f.ID))
	if outer == nil {
		return fail(KeysUnavailable, f.Name)
	}
	if w.v.uses.isSpent(uint32(f.ID)) {
		return refuse(KeysUnavailable, f.Name, "the field's key was used as often as is safe, and could not be rotated")
	}
	timed := binary.BigEndian.AppendUint64(make([]byte, 0, cellTime+len(value)), uint64(w.now.UnixMilli()))
	timed = append(timed, value...)
	place := w.v.cellPlace(f, p.key.ref, item, p.key.generation)
	var inner [sha256.Size]byte
	blob, err := seal.SealHashed(nil, outer, p.key.key.bytes(), &place, timed, &inner)
	clear(timed)
	if err != nil {
		return err
	}
	p.batch.Put(rows.People, rows.CellKey(p.key.ref, uint32(f.ID), item), blob)
	wrote := w.wrote(p, uint32(f.ID), item, [16]byte(inner[:16]))
	wrote.KeyVersion = outer.Primary()
	p.items = append(p.items, wrote)
	return nil
}

func (w *writer) wrote(p *plan, field uint32, item uint16, hash [16]byte) audit.Item {
	return audit.Item{
		Subject: w.v.subject.encipher(p.key.ref), Field: field, Item: item,
		Outcome: audit.Allowed, Hash: hash,
	}
}

// planRemoval deletes a record. Its row stays, not live, while the person has
// other records, so that item numbers are not given out again; with the last
// one the person goes.
func (w *writer) planRemoval(ctx context.Context, p *plan, was *prior) error {
	p.frees = true
	p.record = was.record.Clone()
	p.record.Live = false
	p.record.Version++
	p.record.Updated = w.now.UnixMilli()
	p.header.Records--
	for i := range p.record.Fields {
		f := &p.record.Fields[i]
		for _, item := range f.Items {
			if p.header.Records > 0 {
				p.batch.Delete(rows.People, rows.CellKey(p.key.ref, f.Field, item))
			}
			p.items = append(p.items, w.wrote(p, f.Field, item, [16]byte{}))
			p.change.deleted++
		}
		f.Items = nil
	}
	p.batch.Delete(rows.Members, rows.MemberKey(uint16(w.coll.ID), p.key.ref))
	if p.header.Records == 0 {
		return w.planErasure(ctx, p)
	}
	return nil
}

// planErasure removes every row of a person but the header, which says erased
// from now on. The ledger remembers it, and the key follows after the commit. A
// honey mark stays, so that tokens of the person remain a trap.
func (w *writer) planErasure(ctx context.Context, p *plan) error {
	ref := p.key.ref
	p.header.State = rows.Erased
	p.change.hash.each(func(h rows.Hash) { p.batch.Delete(rows.Lookup, h[:]) })
	p.batch.Put(rows.Ledger, rows.RefKey(ref), rows.AppendLedger(nil, w.now.UnixMilli()))
	p.batch.Put(rows.Control, rows.ErasingKey(ref), []byte{1})
	from, to := rows.PersonRange(ref)
	for {
		page, err := w.v.values.Scan(ctx, rows.People, from, to, scanPage)
		if err != nil {
			return err
		}
		for _, r := range page {
			k, err := rows.ParsePersonKey(r.Key)
			if err != nil {
				return err
			}
			if !k.Header {
				p.batch.Delete(rows.People, r.Key)
			}
		}
		if len(page) < scanPage {
			return nil
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// scanPage is how many rows background work and erasures read at a time.
const scanPage = 1000

// planRest adds what every change has: its preconditions, header and record
// rows, the remembered request and the outbox row.
func (w *writer) planRest(p *plan, was *prior) error {
	c, ref, b := p.change, p.key.ref, &p.batch
	recordKey := rows.RecordKey(ref, uint16(w.coll.ID))
	if p.fresh {
		sealed, err := w.v.sealIdentity(&person{ref: ref, key: p.key.key}, c.subject)
		if err != nil {
			return err
		}
		c.hash.each(func(h rows.Hash) { b.RequireAbsent(rows.Lookup, h[:]) })
		b.Put(rows.Lookup, c.hash.primary[:], rows.RefKey(ref))
		b.Put(rows.People, rows.IdentityKey(ref), sealed)
	} else {
		b.RequireEqual(rows.People, rows.HeaderKey(ref), was.headerRow)
		if was.recordRow == nil {
			b.RequireAbsent(rows.People, recordKey)
		} else {
			b.RequireEqual(rows.People, recordKey, was.recordRow)
		}
	}
	if c.created {
		b.Put(rows.Members, rows.MemberKey(uint16(w.coll.ID), ref), nil)
	}
	if p.fresh || p.header != was.header {
		b.Put(rows.People, rows.HeaderKey(ref), p.header.Append(nil))
	}
	if p.header.State == rows.Active {
		b.Put(rows.People, recordKey, p.record.Append(nil))
	}
	if c.request != nil {
		c.request.plan(b, c, ref, w.now)
	}
	return w.planOutbox(p)
}
