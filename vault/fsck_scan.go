package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// fsckScan goes through the persons, in the order of the store. What it reads
// of a person is of several moments: it is a first look.
type fsckScan struct {
	*fsck
	subjects, ledger refCursor
	erasing          map[uint64]bool
	given            refsGiven
	pairs            []store.Key
	have             store.Rows
}

// persons checks everybody who has a row of any kind.
func (f *fsck) persons(ctx context.Context) (err error) {
	s := &fsckScan{
		fsck:     f,
		subjects: refCursor{store: f.v.keys, table: rows.Subjects, from: []byte{0}},
		ledger:   refCursor{store: f.v.values, table: rows.Ledger, from: []byte{0}},
	}
	if s.given, err = f.given(ctx); err != nil {
		if !fsckFault(err) {
			return err
		}
		s.given = refsGiven{} // found already
	}
	if s.erasing, err = f.readErasing(ctx); err != nil {
		return err
	}
	f.report.Unfinished += uint64(len(s.erasing))
	var open *fsckPerson
	from := store.Next(rows.ControlKey)
	for from != nil {
		began := time.Now()
		page, err := f.v.values.Scan(ctx, rows.People, from, nil, deepPage)
		if errors.Is(err, store.ErrCorrupt) {
			f.find(FsckFinding{Kind: FsckUnreadable, Table: tableOf(rows.People), Detail: err.Error()})
			from = s.skip(ctx, from)
			continue
		}
		if err != nil {
			return err
		}
		var whole []*fsckPerson
		for i := range page {
			r := &page[i]
			if len(r.Key) < 8 {
				f.find(FsckFinding{Kind: FsckRow, Table: tableOf(rows.People), Detail: "a key is too short"})
				continue
			}
			if ref := binary.BigEndian.Uint64(r.Key); open == nil || open.ref != ref {
				if open != nil {
					whole = append(whole, open)
				}
				open = &fsckPerson{ref: ref}
			}
			open.rows = append(open.rows, *r)
		}
		f.report.Rows += uint64(len(page))
		from = nil
		if len(page) == deepPage {
			from = store.Next(page[len(page)-1].Key)
		} else if open != nil {
			whole, open = append(whole, open), nil
		}
		if err := s.firstLook(ctx, whole); err != nil {
			return err
		}
		if err := f.flush(ctx); err != nil {
			return err
		}
		if err := f.yield(ctx, began); err != nil {
			return err
		}
	}
	if _, err := s.until(ctx, &s.subjects, ^uint64(0), s.loneKey); err != nil {
		return err
	}
	_, err = s.until(ctx, &s.ledger, ^uint64(0), s.loneLedger)
	return err
}

// readErasing lists the erasures that wait for their end.
func (f *fsck) readErasing(ctx context.Context) (map[uint64]bool, error) {
	s := &deepScan{deep: &deep{v: f.v}}
	err := s.readErasing(ctx)
	if errors.Is(err, store.ErrCorrupt) {
		err = nil // found already
	}
	return s.erasing, err
}

// skip returns where rows can be read again behind a damaged page; nil at the
// end of what was given out.
func (s *fsckScan) skip(ctx context.Context, from []byte) []byte {
	ref := uint64(0)
	if len(from) >= 8 {
		ref = binary.BigEndian.Uint64(from)
	}
	for step := uint64(1); !s.given.ahead(ref+step) && ctx.Err() == nil; step *= 2 {
		next := rows.HeaderKey(ref + step)
		if _, err := s.v.values.Scan(ctx, rows.People, next, nil, 1); err == nil {
			return next
		}
	}
	return nil
}

// until moves a cursor to a ref, past rows that are none.
func (s *fsckScan) until(ctx context.Context, k *refCursor, ref uint64, lone func(context.Context, uint64) error) ([]byte, error) {
	for {
		var failed error
		row, err := k.until(ctx, ref, func(at uint64) {
			if failed == nil {
				failed = lone(ctx, at)
			}
		})
		table := tableOf(rows.Ledger)
		if k.table == rows.Subjects && k.store == s.v.keys {
			table = keyTableOf(rows.Subjects)
		}
		switch {
		case failed != nil:
			return nil, failed
		case err == nil:
			return row, nil
		case !errors.Is(err, store.ErrCorrupt):
			return nil, err
		case len(k.page) > 0:
			s.find(FsckFinding{Kind: FsckRow, Table: table, Detail: "a key is of another length"})
			k.page = k.page[1:]
		default:
			s.find(FsckFinding{Kind: FsckUnreadable, Table: table, Detail: err.Error()})
			k.from = nil
		}
	}
}

// firstLook judges persons by what was read in passing. Who looks wrong is
// looked at again.
func (s *fsckScan) firstLook(ctx context.Context, persons []*fsckPerson) error {
	if len(persons) == 0 {
		return nil
	}
	w, err := s.view(ctx, false)
	if err != nil {
		return err
	}
	for _, p := range persons {
		if p.keyFirst, err = s.until(ctx, &s.subjects, p.ref, s.loneKey); err != nil {
			return err
		}
		if p.ledger, err = s.until(ctx, &s.ledger, p.ref, s.loneLedger); err != nil {
			return err
		}
		p.keyLast, p.erasing = p.keyFirst, s.erasing[p.ref]
		p.parse(s.fsck, w.names)
		s.count(p)
	}
	if err := s.lookAround(ctx, w, persons); err != nil {
		return err
	}
	last := persons[len(persons)-1].ref
	s.progress("persons", last&(rows.LaneSize-1), s.given.given)
	for _, p := range persons {
		p.judge(s.fsck, w, &s.report)
		if len(p.hits) > 0 || s.given.ahead(p.ref) {
			if err := s.secondLook(ctx, p.ref, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *fsckScan) count(p *fsckPerson) {
	if p.header != nil {
		s.report.Persons++
		if !p.active() {
			s.report.Erased++
		}
	}
	if p.keyFirst != nil {
		s.report.Keys++
		s.report.Rows++
	}
	if p.ledger != nil {
		s.report.Rows++
	}
	for i := range p.records {
		if r := p.records[i].row; r != nil && r.Live {
			s.report.Records++
		}
	}
	s.report.Cells += uint64(len(p.cells))
}

// lookAround reads, for many persons at once, the rows elsewhere that speak of
// them.
func (s *fsckScan) lookAround(ctx context.Context, w *fsckView, persons []*fsckPerson) error {
	s.pairs = s.pairs[:0]
	for _, p := range persons {
		if err := s.openID(w, p); err != nil {
			return err
		}
		s.pairs = p.around(s.pairs)
	}
	if len(s.pairs) == 0 {
		return nil
	}
	err := s.v.values.Get(ctx, s.pairs, &s.have)
	if errors.Is(err, store.ErrCorrupt) {
		s.have.Resize(len(s.pairs)) // who is concerned is looked at again
	} else if err != nil {
		return err
	}
	at := 0
	for _, p := range persons {
		at = p.take(&s.have, at)
	}
	return nil
}

// around adds the keys of the rows elsewhere.
func (p *fsckPerson) around(pairs []store.Key) []store.Key {
	for i := range p.records {
		pairs = append(pairs, store.Key{Table: rows.Members, Key: rows.MemberKey(p.records[i].collection, p.ref)})
	}
	for _, c := range p.elsewhere {
		pairs = append(pairs, store.Key{Table: rows.Members, Key: rows.MemberKey(c, p.ref)})
	}
	if p.looked {
		p.hashes.each(func(h rows.Hash) { pairs = append(pairs, store.Key{Table: rows.Lookup, Key: h[:]}) })
	}
	return pairs
}

// take takes the rows of around from an answer, from a place on. It returns the
// place behind them.
func (p *fsckPerson) take(have *store.Rows, at int) int {
	p.members = make(map[uint16]bool, len(p.records))
	for i := range p.records {
		_, p.members[p.records[i].collection] = have.Value(at)
		at++
	}
	for _, c := range p.elsewhere {
		_, p.members[c] = have.Value(at)
		at++
	}
	if !p.looked {
		return at
	}
	p.found = p.found[:0]
	p.hashes.each(func(rows.Hash) {
		row, ok := have.Value(at)
		at++
		ref := uint64(0)
		if ok {
			var err error
			if ref, err = rows.ParseRef(row); err != nil {
				ref = ^uint64(0) // nobody's
			}
		}
		p.found = append(p.found, ref)
	})
	return at
}

// openID opens a person's id, when the check is deep, and makes the hashes of
// it.
func (f *fsck) openID(w *fsckView, p *fsckPerson) error {
	if !f.o.Deep || f.lookupLost || !p.active() || p.identity == nil || p.keyLast == nil {
		return nil
	}
	need := subjectKey{ref: p.ref, generation: p.header.KeyGeneration}
	defer clear(need.key[:])
	if f.v.epochs.set.Load().unwrap(p.keyLast, p.ref, need.generation, &need.key) != nil {
		return nil // judgeKey says it
	}
	id, err := f.v.openIdentity(&need, p.identity)
	if err != nil {
		p.shut = fmt.Errorf("its inner lock: %w", err)
		return nil
	}
	if p.hashes, err = w.finder.person(id); err != nil {
		return err
	}
	p.looked, p.unsure = true, w.finder.missing != 0
	return nil
}
