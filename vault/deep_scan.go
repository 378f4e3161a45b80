package vault

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// deepPage is how many rows are read at a time: with the longest values they
// take 16 MiB.
const deepPage = 256

// refCursor goes through a table whose keys are bare refs, along with a scan
// of the persons.
type refCursor struct {
	store store.Store
	table uint8
	page  []store.Row
	from  []byte // nil: at the end
}

// peek returns the row that comes next; nil at the end.
func (k *refCursor) peek(ctx context.Context) (*store.Row, uint64, error) {
	if len(k.page) == 0 && k.from != nil {
		var err error
		if k.page, err = k.store.Scan(ctx, k.table, k.from, nil, scanPage); err != nil {
			return nil, 0, err
		}
		k.from = nil
		if n := len(k.page); n == scanPage {
			k.from = store.Next(k.page[n-1].Key)
		}
	}
	if len(k.page) == 0 {
		return nil, 0, nil
	}
	ref, err := rows.ParseRef(k.page[0].Key)
	return &k.page[0], ref, err
}

// until passes the rows before a ref to lone and returns that of the ref, or
// nil.
func (k *refCursor) until(ctx context.Context, ref uint64, lone func(ref uint64)) ([]byte, error) {
	for {
		r, at, err := k.peek(ctx)
		switch {
		case err != nil:
			return nil, err
		case r == nil || at > ref:
			return nil, nil
		}
		k.page = k.page[1:]
		if at == ref {
			return r.Value, nil
		}
		lone(at)
	}
}

// deepScan is the scan of what is stored.
type deepScan struct {
	*deep
	subjects refCursor
	ledger   refCursor
	erasing  map[uint64]bool // erasures that the next start finishes
	person   *deepPerson
}

// deepPerson is what was seen of the person that is being read.
type deepPerson struct {
	ref        uint64
	header     *rows.Header // nil: none that can be read
	generation uint32       // of the key
	records    []deepRecord
	live       int
	first      uint32 // slot
	erasedBy   EntryNumber
	erased     bool // says the log
}

type deepRecord struct {
	collection uint16
	row        *rows.Record
	slot       uint32
	older      bool // said already
}

// scan reads all persons, in the order of the store.
func (c *deep) scan(ctx context.Context) error {
	s := &deepScan{
		deep:     c,
		subjects: refCursor{store: c.v.keys, table: rows.Subjects, from: []byte{0}},
		ledger:   refCursor{store: c.v.values, table: rows.Ledger, from: []byte{0}},
	}
	if err := s.readErasing(ctx); err != nil {
		return err
	}
	from := store.Next(rows.ControlKey)
	for {
		page, err := c.v.values.Scan(ctx, rows.People, from, nil, deepPage)
		if err != nil {
			return fmt.Errorf("read the persons: %w", err)
		}
		for i := range page {
			if err := s.row(ctx, &page[i]); err != nil {
				return err
			}
		}
		c.progress("cells", c.report.Cells, uint64(c.book.used))
		if len(page) < deepPage {
			break
		}
		from = store.Next(page[len(page)-1].Key)
	}
	if err := s.end(ctx); err != nil {
		return err
	}
	// Whoever follows the last person.
	if _, err := s.subjects.until(ctx, ^uint64(0), s.loneKey); err != nil {
		return err
	}
	_, err := s.ledger.until(ctx, ^uint64(0), s.loneErasure)
	return err
}

func (s *deepScan) readErasing(ctx context.Context) error {
	s.erasing = make(map[uint64]bool)
	from, to := rows.ErasingRange()
	for {
		page, err := s.v.values.Scan(ctx, rows.Control, from, to, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			ref, err := rows.ParseErasingKey(r.Key)
			if err != nil {
				return err
			}
			s.erasing[ref] = true
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// row takes one row of the persons' table.
func (s *deepScan) row(ctx context.Context, r *store.Row) error {
	k, err := rows.ParsePersonKey(r.Key)
	if err != nil {
		s.find(Finding{Kind: RowDamaged})
		return nil
	}
	if s.person == nil || s.person.ref != k.Ref {
		if err := s.end(ctx); err != nil {
			return err
		}
		if err := s.begin(ctx, k, r.Value); err != nil {
			return err
		}
	}
	switch {
	case k.Header, k.Identity:
	case k.Field == 0:
		s.record(k.Collection, r.Value)
	default:
		return s.cell(ctx, k, r.Value)
	}
	return nil
}

// begin starts with a person, whose header is the first row if there is one.
func (s *deepScan) begin(ctx context.Context, k rows.PersonKey, value []byte) error {
	p := &deepPerson{ref: k.Ref, generation: firstKeyGeneration, first: s.book.person(k.Ref)}
	p.erasedBy, p.erased = s.deep.erased(k.Ref)
	s.person = p
	sealed, err := s.subjects.until(ctx, k.Ref, s.loneKey)
	if err != nil {
		return fmt.Errorf("read the persons' keys: %w", err)
	}
	ledger, err := s.ledger.until(ctx, k.Ref, s.loneErasure)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	if !k.Header {
		s.about(HeaderMissing, 0)
		return nil
	}
	header, err := rows.ParseHeader(value)
	if err != nil {
		s.about(RowDamaged, 0)
		return nil
	}
	s.report.Persons++
	p.header, p.generation = &header, header.KeyGeneration
	if header.State == rows.Erased {
		s.erasedHeader(sealed, ledger)
	} else {
		s.activeHeader(sealed, ledger)
	}
	return nil
}

func (s *deepScan) erasedHeader(sealed, ledger []byte) {
	p := s.person
	s.report.Erased++
	if ledger == nil {
		s.about(LedgerMissing, p.erasedBy)
	}
	if sealed != nil && !s.erasing[p.ref] {
		s.about(KeyErased, p.erasedBy)
	}
	for n := p.first; n != 0; n = s.book.at(n).next {
		if r := s.book.at(n); r.field() == 0 && r.item() != 0 && !s.gone(n) {
			s.about(HeaderErased, r.entry())
			return
		}
	}
}

func (s *deepScan) activeHeader(sealed, ledger []byte) {
	p := s.person
	if ledger != nil || p.erased {
		s.about(HeaderOlder, p.erasedBy)
		if sealed != nil {
			s.about(KeyErased, p.erasedBy)
		}
		return
	}
	if sealed == nil {
		s.about(KeyMissing, 0)
		return
	}
	var key personKey
	if err := s.v.epoch.UnwrapSubjectKey(sealed, p.ref, p.generation, key.bytes()); err != nil {
		s.about(KeyClosed, 0)
	}
	clear(key[:])
}

// about finds something about the person.
func (s *deepScan) about(kind FindingKind, last EntryNumber) {
	s.find(Finding{Kind: kind, Person: s.handle(s.person.ref), Last: last})
}

// loneKey judges a key whose person has no rows.
func (s *deepScan) loneKey(ref uint64) {
	by, erased := s.deep.erased(ref)
	switch {
	case erased:
		s.find(Finding{Kind: KeyErased, Person: s.handle(ref), Last: by})
	case s.book.person(ref) == 0:
		s.report.SpareKeys++
	}
}

// loneErasure judges a line of the ledger whose person has no rows: a header
// stays when all else goes.
func (s *deepScan) loneErasure(ref uint64) {
	if s.book.person(ref) == 0 { // else missingPersons says it
		s.find(Finding{Kind: HeaderMissing, Person: s.handle(ref)})
	}
}

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

// writtenMaybe tells whether the item of a slot may be there.
func (c *deep) writtenMaybe(n uint32) bool {
	if all := c.either[n]; all != nil {
		return slices.ContainsFunc(all, func(e event) bool { return !e.gone })
	}
	return !c.book.at(n).has(slotGone)
}

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

// missing finds the slots of a person that were not seen and must be there:
// records, then cells by number.
func (c *deep) missing(first uint32) {
	var lost []uint32
	for n := first; n != 0; n = c.book.at(n).next {
		s := c.book.at(n)
		if s.has(slotSeen) {
			continue
		}
		s.set(slotSeen)
		if !c.gone(n) && (s.field() != 0 || s.item() != 0) {
			lost = append(lost, n)
		}
	}
	slices.SortFunc(lost, func(a, b uint32) int {
		x, y := c.book.at(a), c.book.at(b)
		return cmp.Or(cmp.Compare(x.field(), y.field()), cmp.Compare(x.item(), y.item()))
	})
	for _, n := range lost {
		s := c.book.at(n)
		f := Finding{Person: c.handle(s.ref), Last: s.entry()}
		if s.field() == 0 {
			f.Kind, f.Field = RecordMissing, c.collectionName(s.item())
		} else {
			f.Kind, f.Field, f.Item = CellMissing, c.fieldName(s.field()), s.item()
		}
		c.find(f)
	}
}

// missingPersons finds the persons of whom the log tells and nothing is
// stored, in the order of the log.
func (c *deep) missingPersons() {
	for n := uint32(1); n <= c.book.used; n++ {
		s := c.book.at(n)
		if s.has(slotSeen) {
			continue
		}
		by, erased := c.erased(s.ref)
		if f := (Finding{Kind: PersonMissing, Person: c.handle(s.ref), Last: s.entry()}); erased {
			f.Kind, f.Last = HeaderMissing, by
			c.find(f)
		} else if c.anyLost(n) {
			c.find(f)
		}
		c.missing(c.book.person(s.ref))
	}
}

// anyLost tells whether the log says that something is stored of the person
// of a slot.
func (c *deep) anyLost(n uint32) bool {
	for n = c.book.person(c.book.at(n).ref); n != 0; n = c.book.at(n).next {
		if !c.gone(n) {
			return true
		}
	}
	return false
}
