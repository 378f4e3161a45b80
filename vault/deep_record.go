package vault

import (
	"context"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// record takes a record of the person.
func (s *deepScan) record(collection uint16, value []byte) {
	p := s.person
	row, err := rows.ParseRecord(value)
	if err != nil {
		s.find(Finding{Kind: RowDamaged, Person: s.handle(p.ref), Field: s.collectionName(collection)})
		return
	}
	r := deepRecord{collection: collection, row: row, slot: s.book.find(p.ref, 0, collection)}
	p.records = append(p.records, r)
	it := &p.records[len(p.records)-1]
	if row.Live {
		p.live++
	}
	if r.slot == 0 {
		if s.whole && !s.unresolved(p.ref) {
			s.aboutRecord(it, RecordUnwritten)
		} else {
			s.report.Older++
		}
		return
	}
	s.book.at(r.slot).set(slotSeen)
	switch {
	case row.Live && !s.live(r.slot):
		s.aboutRecord(it, RecordOlder)
	case !row.Live && !s.gone(r.slot):
		s.aboutRecord(it, RecordMissing)
	}
	for _, f := range row.Fields {
		for _, item := range f.Items {
			switch n := s.book.find(p.ref, f.Field, item); {
			case n == 0 && s.whole:
				s.aboutRecord(it, RecordUnwritten)
			case n != 0 && !s.writtenMaybe(n):
				s.aboutRecord(it, RecordOlder)
			}
		}
	}
}

// unresolved tells whether the log tells of a record of the person whose
// collection nobody knows any more.
func (s *deepScan) unresolved(ref uint64) bool { return s.book.find(ref, 0, 0) != 0 }

// aboutRecord finds something about a record, once.
func (s *deepScan) aboutRecord(r *deepRecord, kind FindingKind) {
	if r.older {
		return
	}
	r.older = true
	f := Finding{Kind: kind, Person: s.handle(s.person.ref), Field: s.collectionName(r.collection)}
	if r.slot != 0 {
		f.Last = s.book.at(r.slot).entry()
	}
	s.find(f)
}

// end closes the person that was read: what the log knows of and was not seen
// is missing.
func (s *deepScan) end(ctx context.Context) error {
	p := s.person
	if p == nil {
		return nil
	}
	s.person = nil
	if p.header != nil && p.header.State == rows.Active && int(p.header.Records) != p.live {
		s.find(Finding{Kind: HeaderCount, Person: s.handle(p.ref)})
	}
	s.givenTwice(p)
	s.missing(p.first)
	return ctx.Err()
}

// givenTwice finds records that would give an item number out again.
func (s *deepScan) givenTwice(p *deepPerson) {
	for n := p.first; n != 0; n = s.book.at(n).next {
		it := s.book.at(n)
		f := s.policy.Field(policy.FieldID(it.field()))
		if f == nil {
			continue
		}
		at := slices.IndexFunc(p.records, func(r deepRecord) bool { return r.collection == uint16(f.Collection.ID) })
		if at < 0 {
			continue
		}
		r := &p.records[at]
		if items := r.row.Find(it.field()); (items == nil || items.Next <= it.item()) && !r.older {
			r.older = true
			s.find(Finding{Kind: RecordOlder, Person: s.handle(p.ref), Field: s.collectionName(r.collection), Last: it.entry()})
		}
	}
}
