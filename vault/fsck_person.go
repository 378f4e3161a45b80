package vault

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// fsckPerson is one person, with everything that is stored of them, as it was
// read: in pieces at the first look, at one moment at the second.
type fsckPerson struct {
	ref       uint64
	rows      []store.Row // of the people table
	ledger    []byte      // nil: none
	erasing   bool
	keyFirst  []byte // the key, read before ledger, erasing and members; nil: none
	keyLast   []byte // and after them; nil: none
	members   map[uint16]bool
	elsewhere []uint16 // collections that may list the person though there is no record

	// What parse makes of the rows.
	header    *rows.Header // nil: none, or a damaged one
	headerRow []byte
	identity  []byte
	records   []fsckRecord
	cells     []fsckCell
	damaged   []string // names of what is none

	// What the deep check adds.
	looked bool // the id was opened, and looked up
	hashes personHash
	found  []uint64 // by each of the hashes; 0: nobody
	unsure bool     // somewhere nobody can look
	shut   error    // why the key, or the id under it, does not open

	hits []fsckHit
}

type fsckRecord struct {
	collection uint16
	row        *rows.Record
	raw        []byte
}

type fsckCell struct {
	field uint32
	item  uint16
	blob  []byte
}

// fsckHit is what looks wrong with a person.
type fsckHit struct {
	FsckFinding
	fix func() *store.Batch // of the values; nil: it cannot be derived
}

// parse sorts the rows. It is done once for each reading.
func (p *fsckPerson) parse(f *fsck, names *deep) {
	for i := range p.rows {
		r := &p.rows[i]
		k, err := rows.ParsePersonKey(r.Key)
		switch {
		case err != nil:
			p.damaged = append(p.damaged, "its key is of no kind")
		case k.Header:
			p.headerRow = r.Value
			h, err := rows.ParseHeader(r.Value)
			if err != nil {
				p.damaged = append(p.damaged, "the header")
				continue
			}
			p.header = &h
		case k.Identity:
			p.identity = r.Value
		case k.Field == 0:
			row, err := rows.ParseRecord(r.Value)
			if err != nil {
				p.damaged = append(p.damaged, "a record of "+names.collectionName(k.Collection))
			}
			p.records = append(p.records, fsckRecord{k.Collection, row, r.Value})
		default:
			p.cells = append(p.cells, fsckCell{k.Field, k.Item, r.Value})
		}
	}
}

// active tells whether the person can have values.
func (p *fsckPerson) active() bool { return p.header != nil && p.header.State == rows.Active }

// hit notes what looks wrong.
func (p *fsckPerson) hit(names *deep, kind FsckKind, fix func() *store.Batch, more ...func(*FsckFinding)) {
	x := FsckFinding{Kind: kind, Table: tableOf(rows.People), Person: names.handle(p.ref)}
	for _, m := range more {
		m(&x)
	}
	p.hits = append(p.hits, fsckHit{x, fix})
}

func inTable(name string) func(*FsckFinding)  { return func(x *FsckFinding) { x.Table = name } }
func withText(text string) func(*FsckFinding) { return func(x *FsckFinding) { x.Detail = text } }

// judge notes all that looks wrong with a person, and counts in t what is
// under keys that are out of use.
func (p *fsckPerson) judge(f *fsck, w *fsckView, t *FsckReport) {
	p.hits = p.hits[:0]
	for _, what := range p.damaged {
		p.hit(w.names, FsckRow, nil, withText(what))
	}
	switch {
	case p.header != nil:
	case p.headerRow != nil:
		return // found as damaged; nothing can be said of the rest
	default:
		p.hit(w.names, FsckHeaderMissing, nil)
		return
	}
	if p.ledger != nil && !isLedger(p.ledger) {
		p.hit(w.names, FsckRow, nil, inTable(tableOf(rows.Ledger)))
	}
	if p.active() {
		p.judgeActive(f, w, t)
		return
	}
	if p.ledger == nil {
		p.hit(w.names, FsckLedger, nil, inTable(tableOf(rows.Ledger)))
	}
	if p.keyLast != nil && !p.erasing {
		p.hit(w.names, FsckKeyErased, nil, inTable(keyTableOf(rows.Subjects)))
	}
	if len(p.rows) > 1 {
		p.hit(w.names, FsckErased, nil)
	}
}

// isLedger tells whether a row of the ledger is one.
func isLedger(row []byte) bool {
	like := rows.AppendLedger(nil, 0)
	return len(row) == len(like) && bytes.HasPrefix(row, like[:2])
}

func (p *fsckPerson) judgeActive(f *fsck, w *fsckView, t *FsckReport) {
	if p.ledger != nil {
		p.hit(w.names, FsckLedger, nil, inTable(tableOf(rows.Ledger)))
	}
	if p.erasing {
		p.hit(w.names, FsckErasing, nil, inTable(tableOf(rows.Control)))
	}
	switch {
	case p.keyFirst == nil:
		p.hit(w.names, FsckKeyMissing, nil, inTable(keyTableOf(rows.Subjects)))
	case p.keyLast != nil:
		p.judgeKey(f, w)
	}
	p.judgeIdentity(f, w, t)
	live := 0
	for i := range p.records {
		r := &p.records[i]
		if r.row == nil {
			live = -len(p.records) // nobody knows
			continue
		}
		if r.row.Live {
			live++
		}
		p.judgeRecord(w, r)
	}
	for i := range p.cells {
		p.judgeCell(f, w, &p.cells[i], t)
	}
	if live >= 0 && live != int(p.header.Records) {
		p.hit(w.names, FsckHeaderCount, p.countFix(live))
	}
}

// countFix counts the records anew. It does not when a record may have been
// lost: then everything that is left of it is evidence. Nor when none is left:
// the person would be one of no records.
func (p *fsckPerson) countFix(live int) func() *store.Batch {
	lost := slices.ContainsFunc(p.elsewhere, func(c uint16) bool { return p.members[c] })
	if len(p.hits) > 0 || live == 0 || lost {
		return nil
	}
	next, header, ref := *p.header, p.headerRow, p.ref
	next.Records = uint16(live)
	return func() *store.Batch {
		b := new(store.Batch)
		// Records come and go with a change of the header.
		b.RequireEqual(rows.People, rows.HeaderKey(ref), header)
		b.Put(rows.People, rows.HeaderKey(ref), next.Append(nil))
		return b
	}
}

func (p *fsckPerson) judgeKey(f *fsck, w *fsckView) {
	var key personKey
	defer clear(key[:])
	if err := f.v.epochs.set.Load().unwrap(p.keyLast, p.ref, p.header.KeyGeneration, &key); err != nil {
		p.hit(w.names, FsckKeyClosed, nil, inTable(keyTableOf(rows.Subjects)), withText(err.Error()))
	}
}

// judgeIdentity takes the outer lock off a person's id, and judges what the
// deep check saw.
func (p *fsckPerson) judgeIdentity(f *fsck, w *fsckView, t *FsckReport) {
	if p.identity == nil {
		p.hit(w.names, FsckIdentityMissing, nil)
		return
	}
	place := f.v.identityPlace(p.ref, p.header.KeyGeneration)
	_, err := seal.InnerHash(w.names.keys.Rows(), &place, p.identity)
	switch {
	case outOfUse(err):
		t.Unread++
		return
	case err != nil:
		p.hit(w.names, FsckIdentityClosed, nil, withText(err.Error()))
		return
	case errors.Is(p.shut, seal.ErrNotFIPS):
		t.Unread++
		return
	case p.shut != nil:
		p.hit(w.names, FsckIdentityClosed, nil, withText(p.shut.Error()))
		return
	case !p.looked || slices.Contains(p.found, p.ref):
		return
	}
	someone := slices.ContainsFunc(p.found, func(ref uint64) bool { return ref != 0 })
	switch {
	case someone:
		p.hit(w.names, FsckLookupOther, nil, inTable(tableOf(rows.Lookup)))
	case p.unsure:
		t.Unread++
	default:
		p.hit(w.names, FsckLookupMissing, p.lookupFix(w), inTable(tableOf(rows.Lookup)))
	}
}

// lookupFix writes the row by which a person is found.
func (p *fsckPerson) lookupFix(w *fsckView) func() *store.Batch {
	header, hashes, ref, control := p.headerRow, p.hashes, p.ref, w.control
	return func() *store.Batch {
		b := new(store.Batch)
		// Whoever knows another version of the key alone has another control row.
		b.RequireEqual(rows.People, rows.ControlKey, control)
		b.RequireEqual(rows.People, rows.HeaderKey(ref), header)
		hashes.each(func(h rows.Hash) { b.RequireAbsent(rows.Lookup, h[:]) })
		b.Put(rows.Lookup, hashes.primary[:], rows.RefKey(ref))
		return b
	}
}

// judgeRecord checks that a record and what it lists belong together.
func (p *fsckPerson) judgeRecord(w *fsckView, r *fsckRecord) {
	inCollection := func(x *FsckFinding) { x.Field = w.names.collectionName(r.collection) }
	if r.row.Live && !p.members[r.collection] {
		key, raw, header, ref := rows.RecordKey(p.ref, r.collection), r.raw, p.headerRow, p.ref
		p.hit(w.names, FsckMemberMissing, func() *store.Batch {
			b := new(store.Batch)
			b.RequireEqual(rows.People, rows.HeaderKey(ref), header)
			b.RequireEqual(rows.People, key, raw)
			b.Put(rows.Members, rows.MemberKey(r.collection, ref), nil)
			return b
		}, inTable(tableOf(rows.Members)), inCollection)
	}
	for i := range r.row.Fields {
		items := &r.row.Fields[i]
		field := w.policy.Field(policy.FieldID(items.Field))
		if field != nil && uint16(field.Collection.ID) != r.collection || !r.row.Live && len(items.Items) > 0 {
			p.hit(w.names, FsckRow, nil, inCollection, withText("a record lists items that are not its own"))
			continue
		}
		for _, item := range items.Items {
			if item == 0 || item >= items.Next {
				p.hit(w.names, FsckRow, nil, inCollection, withText("a record lists an item with a number that it did not give out"))
			}
			if !slices.ContainsFunc(p.cells, func(c fsckCell) bool { return c.field == items.Field && c.item == item }) {
				p.hit(w.names, FsckCellMissing, nil, p.at(w, items.Field, item))
			}
		}
	}
}

// at names an item.
func (p *fsckPerson) at(w *fsckView, field uint32, item uint16) func(*FsckFinding) {
	return func(x *FsckFinding) { x.Field, x.Item = w.names.fieldName(field), item }
}

func (p *fsckPerson) judgeCell(f *fsck, w *fsckView, c *fsckCell, t *FsckReport) {
	if !p.lists(c) {
		p.hit(w.names, FsckCellUnlisted, nil, p.at(w, c.field, c.item))
	}
	if w.blind {
		t.Unread++
		return
	}
	field := w.policy.Field(policy.FieldID(c.field))
	if field == nil {
		p.hit(w.names, FsckFieldUnknown, nil, p.at(w, c.field, c.item))
		return
	}
	place := f.v.cellPlace(field, p.ref, c.item, p.header.KeyGeneration)
	switch _, err := seal.InnerHash(w.names.keys.Field(c.field), &place, c.blob); {
	case outOfUse(err):
		t.Unread++
	case err != nil:
		p.hit(w.names, FsckCellClosed, nil, p.at(w, c.field, c.item), withText(err.Error()))
	}
}

// lists tells whether a record lists a cell. One that cannot be read may.
func (p *fsckPerson) lists(c *fsckCell) bool {
	return slices.ContainsFunc(p.records, func(r fsckRecord) bool {
		if r.row == nil {
			return true
		}
		items := r.row.Find(c.field)
		return items != nil && slices.Contains(items.Items, c.item)
	})
}

// outOfUse tells what is under a key that nobody may use, or has any more.
func outOfUse(err error) bool {
	return errors.Is(err, keys.ErrDisabled) || errors.Is(err, keys.ErrDestroyed)
}
