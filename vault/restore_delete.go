package vault

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// deleteAgain does to every person of the copy what the log tells of them since
// the backup: items and records that were deleted go, and with the last record
// the person; numbers that were given out since are not given out again.
func (x *restore) deleteAgain(ctx context.Context) error {
	d := &deletion{restore: x}
	for n := uint32(1); n <= x.book.used; n++ {
		if x.book.at(n).has(slotSeen) {
			continue
		}
		if err := x.tick(ctx); err != nil {
			return err
		}
		if err := d.person(ctx, x.book.at(n).ref); err != nil {
			return err
		}
		if len(d.batch.Writes) >= loadRows {
			if err := d.flush(ctx); err != nil {
				return err
			}
		}
	}
	return d.flush(ctx)
}

// deletion collects what is written. Keys of erased persons go after the rows.
type deletion struct {
	*restore
	batch store.Batch
	keys  store.Batch
}

func (d *deletion) flush(ctx context.Context) error {
	for _, step := range []struct {
		store store.Store
		batch *store.Batch
	}{{d.v.values, &d.batch}, {d.v.keys, &d.keys}} {
		if len(step.batch.Writes) == 0 {
			continue
		}
		if err := step.store.Commit(ctx, step.batch); err != nil {
			return err
		}
		*step.batch = store.Batch{}
	}
	return nil
}

// restored is a person of the copy whom the log tells of.
type restored struct {
	ref     uint64
	header  rows.Header
	all     []store.Row
	records map[uint16]*rows.Record
	touched map[uint16]bool
	gone    map[string]bool // keys of cells
	killed  []uint16        // records that were deleted since
	erased  int64           // time of the last of them, Unix ns
}

func (d *deletion) person(ctx context.Context, ref uint64) error {
	p := &restored{ref: ref, records: map[uint16]*rows.Record{}, touched: map[uint16]bool{}, gone: map[string]bool{}}
	if err := p.read(ctx, d.v.values); err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFormat) {
		return err
	} else if err != nil {
		d.v.logger.Error("a person of the backup is damaged; what the log tells of the person is not done", "error", err)
	}
	for n := d.book.person(ref); n != 0; n = d.book.at(n).next {
		s := d.book.at(n)
		s.set(slotSeen)
		switch {
		case p.header.State != rows.Active:
		case s.field() == 0:
			p.record(s)
		default:
			d.item(p, s)
		}
	}
	if p.header.State == rows.Active {
		d.write(p)
	}
	return nil
}

// read reads all rows of the person. One who has none came after the copy, and
// has no header then.
func (p *restored) read(ctx context.Context, values store.Store) error {
	from, to := rows.PersonRange(p.ref)
	for {
		page, err := values.Scan(ctx, rows.People, from, to, scanPage)
		if err != nil {
			return err
		}
		p.all = append(p.all, page...)
		if len(page) < scanPage {
			break
		}
		from = store.Next(page[len(page)-1].Key)
	}
	for _, r := range p.all {
		k, err := rows.ParsePersonKey(r.Key)
		if err != nil {
			return err
		}
		switch {
		case k.Header:
			if p.header, err = rows.ParseHeader(r.Value); err != nil {
				return err
			}
		case k.Collection != 0:
			if p.records[k.Collection], err = rows.ParseRecord(r.Value); err != nil {
				p.header = rows.Header{}
				return err
			}
		}
	}
	return nil
}

// record judges a record: it goes when its deletion was the last that happened
// to it, and the copy does not have a later state.
func (p *restored) record(s *slot) {
	r := p.records[s.item()]
	if r == nil {
		return
	}
	p.touched[s.item()] = true
	if s.has(slotGone) && r.Live && r.Updated <= s.at/1e6 {
		p.killed = append(p.killed, s.item())
		p.erased = max(p.erased, s.at)
	}
}

// item takes a deleted item away, and keeps the number of one that was written
// from being given out again.
func (d *deletion) item(p *restored, s *slot) {
	f := d.st.whole.Field(policy.FieldID(s.field()))
	if f == nil {
		return // a field that the policy of the copy does not have holds nothing
	}
	collection := uint16(f.Collection.ID)
	r := p.records[collection]
	if r == nil {
		r = &rows.Record{}
		p.records[collection] = r
	}
	p.touched[collection] = true
	items := r.Of(s.field())
	items.Next = max(items.Next, s.item()+1)
	if !s.has(slotGone) {
		return
	}
	if at := slices.Index(items.Items, s.item()); at >= 0 {
		items.Items = slices.Delete(items.Items, at, at+1)
	}
	key := rows.CellKey(p.ref, s.field(), s.item())
	if slices.ContainsFunc(p.all, func(r store.Row) bool { return bytes.Equal(r.Key, key) }) {
		p.gone[string(key)] = true
		d.report.Items++
	}
}

// write adds what became of the person to the batches.
func (d *deletion) write(p *restored) {
	for _, collection := range p.killed {
		r := p.records[collection]
		r.Live = false
		for i := range r.Fields {
			for _, item := range r.Fields[i].Items {
				p.gone[string(rows.CellKey(p.ref, r.Fields[i].Field, item))] = true
				d.report.Items++
			}
			r.Fields[i].Items = nil
		}
		p.header.Records--
		d.report.Records++
		d.batch.Delete(rows.Members, rows.MemberKey(collection, p.ref))
	}
	if len(p.killed) > 0 && p.header.Records == 0 {
		d.erase(p)
		return
	}
	for key := range p.gone {
		d.batch.Delete(rows.People, []byte(key))
	}
	for collection := range p.touched {
		r := p.records[collection]
		// Versions behind those that callers were told since.
		r.Version += d.report.Changes + 1
		d.batch.Put(rows.People, rows.RecordKey(p.ref, collection), r.Append(nil))
	}
	if len(p.killed) > 0 {
		d.batch.Put(rows.People, rows.HeaderKey(p.ref), p.header.Append(nil))
	}
}

// erase does what planErasure does.
func (d *deletion) erase(p *restored) {
	p.header.State = rows.Erased
	for _, r := range p.all {
		if !bytes.Equal(r.Key, rows.HeaderKey(p.ref)) {
			d.batch.Delete(rows.People, r.Key)
		}
	}
	d.batch.Put(rows.People, rows.HeaderKey(p.ref), p.header.Append(nil))
	d.batch.Put(rows.Ledger, rows.RefKey(p.ref), rows.AppendLedger(nil, p.erased/1e6))
	d.keys.Delete(rows.Subjects, rows.RefKey(p.ref))
	d.report.Erased++
}
