package vault

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// errFsckMoved says that somebody changed what is looked at. It never leaves
// the package.
var errFsckMoved = errors.New("changed while it was looked at")

// secondLook looks at a person again, everything at one moment, and tells what
// is wrong. tried counts repairs of this person that others came before.
//
// Values and keys are two stores, so their rows are of different moments all
// the same. What is said of them follows from the order in which they are
// written: a key is there before the header, and goes after the header says
// erased. So a key that is missing counts between two looks at the same header,
// and one that is too many after the last.
func (f *fsck) secondLook(ctx context.Context, ref uint64, tried int) error {
	for n := range fsckTries {
		if err := f.breathe(ctx, n); err != nil {
			return err
		}
		w, err := f.view(ctx, true)
		if err != nil {
			return err
		}
		p, err := f.gather(ctx, w, ref)
		switch {
		case errors.Is(err, errFsckMoved):
			continue
		case errors.Is(err, store.ErrCorrupt):
			f.find(FsckFinding{Kind: FsckUnreadable, Table: tableOf(rows.People), Person: w.names.handle(ref), Detail: err.Error()})
			return nil
		case err != nil:
			return err
		}
		if len(p.rows) == 0 {
			return nil // and so it was read before it began
		}
		p.judge(f, w, new(FsckReport))
		if len(p.hits) > 0 && f.alone == nil && w.names.keys.Generation(rowsKey) != f.v.ring.Snapshot().Generation(rowsKey) {
			continue // the rows key is being rotated, and rows are sealed by it already
		}
		if g, err := f.given(ctx); err == nil && g.ahead(ref) {
			p.hit(w.names, FsckRefAhead, nil)
		}
		for i := range p.hits {
			f.tell(p.hits[i].FsckFinding, p.hits[i].fix, func(ctx context.Context) error {
				return f.secondLook(ctx, ref, tried+1)
			}, tried)
		}
		return nil
	}
	f.report.Unsettled++
	return nil
}

// breathe waits before another look at what somebody is changing: not at
// first, then for about as long as a change of a key takes.
func (f *fsck) breathe(ctx context.Context, tries int) error {
	if tries < 4 {
		return ctx.Err()
	}
	return rest(ctx, min(time.Duration(tries)*time.Millisecond, 50*time.Millisecond))
}

// gather reads everything of a person: what can change together in one read.
func (f *fsck) gather(ctx context.Context, w *fsckView, ref uint64) (*fsckPerson, error) {
	first := &fsckPerson{ref: ref}
	from, to := rows.PersonRange(ref)
	for {
		page, err := f.v.values.Scan(ctx, rows.People, from, to, deepPage)
		if err != nil {
			return nil, err
		}
		first.rows = append(first.rows, page...)
		if len(page) < deepPage {
			break
		}
		from = store.Next(page[len(page)-1].Key)
	}
	first.parse(f, w.names)
	key, err := f.key(ctx, ref)
	if err != nil {
		return nil, err
	}
	p, err := f.atOnce(ctx, w, first, key)
	if err != nil {
		return nil, err
	}
	p.keyFirst = key
	if p.keyLast, err = f.key(ctx, ref); err != nil {
		return nil, err
	}
	return p, f.sameEpochs(ctx, p)
}

// atOnce reads the rows of a person in one read. errFsckMoved says that they
// are not those that were read before.
func (f *fsck) atOnce(ctx context.Context, w *fsckView, first *fsckPerson, key []byte) (*fsckPerson, error) {
	ref := first.ref
	p := &fsckPerson{ref: ref, keyLast: key}
	first.keyLast = key
	if err := f.openID(w, first); err != nil {
		return nil, err
	}
	pairs := []store.Key{
		controlPair,
		{Table: rows.People, Key: rows.HeaderKey(ref)},
		{Table: rows.Ledger, Key: rows.RefKey(ref)},
		{Table: rows.Control, Key: rows.ErasingKey(ref)},
	}
	own := len(pairs)
	asked := make(map[string]bool, len(first.rows))
	ask := func(key []byte) {
		if !asked[string(key)] {
			asked[string(key)] = true
			pairs = append(pairs, store.Key{Table: rows.People, Key: key})
		}
	}
	for i := range first.rows {
		ask(first.rows[i].Key)
	}
	for i := range first.records {
		if first.records[i].row == nil {
			continue
		}
		for _, items := range first.records[i].row.Fields {
			for _, item := range items.Items {
				ask(rows.CellKey(ref, items.Field, item))
			}
		}
	}
	people := len(pairs)
	for _, c := range w.policy.Collections() {
		number := uint16(c.ID)
		if !slices.ContainsFunc(first.records, func(r fsckRecord) bool { return r.collection == number }) {
			first.elsewhere = append(first.elsewhere, number)
		}
	}
	pairs = first.around(pairs)
	var have store.Rows
	if err := f.v.values.Get(ctx, pairs, &have); err != nil {
		return nil, err
	}
	if control, _ := have.Value(0); !bytes.Equal(control, w.control) {
		return nil, errFsckMoved
	}
	if header, ok := have.Value(1); !bytes.Equal(header, first.headerRow) || ok != (first.headerRow != nil) {
		return nil, errFsckMoved
	}
	p.ledger = present(have.Value(2))
	_, p.erasing = have.Value(3)
	for i := own; i < people; i++ {
		if row, ok := have.Value(i); ok {
			p.rows = append(p.rows, store.Row{Key: pairs[i].Key, Value: row})
		}
	}
	p.parse(f, w.names)
	// A record that is another lists other cells, and one more changes the header.
	if len(p.records) != len(first.records) || !bytes.Equal(p.identity, first.identity) {
		return nil, errFsckMoved
	}
	for i := range p.records {
		if !bytes.Equal(p.records[i].raw, first.records[i].raw) {
			return nil, errFsckMoved
		}
	}
	p.looked, p.hashes, p.unsure, p.shut = first.looked, first.hashes, first.unsure, first.shut
	p.elsewhere = first.elsewhere
	p.take(&have, people)
	if f.o.Deep {
		if now, err := f.v.finder(f.v.ring.Snapshot()); err != nil || !now.same(w.finder) {
			return nil, errors.Join(errFsckMoved, err)
		}
	}
	return p, nil
}

// present is a copy of a row that is there, and nil of one that is not.
func present(row []byte, ok bool) []byte {
	if !ok {
		return nil
	}
	return append([]byte{}, row...)
}

// key reads a person's key; nil when there is none.
func (f *fsck) key(ctx context.Context, ref uint64) ([]byte, error) {
	var have store.Rows
	if err := f.v.keys.Get(ctx, []store.Key{{Table: rows.Subjects, Key: rows.RefKey(ref)}}, &have); err != nil {
		return nil, err
	}
	return present(have.Value(0)), nil
}

// sameEpochs sees to it that a key of an epoch that began or ended since is not
// judged by those before: errFsckMoved.
func (f *fsck) sameEpochs(ctx context.Context, p *fsckPerson) error {
	if f.offline || p.keyLast == nil || !p.active() {
		return nil
	}
	was := f.v.epochs.set.Load()
	now, err := f.v.reloadEpochs(ctx)
	if err != nil {
		return err
	}
	if now != was {
		return errFsckMoved
	}
	return nil
}

// loneKey judges a key whose person has no rows.
func (s *fsckScan) loneKey(ctx context.Context, ref uint64) error {
	s.report.Keys++
	s.report.Rows++
	g, err := s.fsck.given(ctx)
	if err != nil && !fsckFault(err) {
		return err
	}
	if err == nil && !g.ahead(ref) && g.spare(ref) {
		s.report.SpareKeys++
		return nil
	}
	var have store.Rows
	if err := s.v.values.Get(ctx, []store.Key{{Table: rows.People, Key: rows.HeaderKey(ref)}}, &have); err != nil {
		return err
	}
	if _, ok := have.Value(0); ok {
		return s.secondLook(ctx, ref, 0)
	}
	row, err := s.key(ctx, ref)
	if err != nil || row == nil {
		return err
	}
	x := FsckFinding{Kind: FsckKeyOrphan, Table: keyTableOf(rows.Subjects), Person: (&deep{v: s.v}).handle(ref)}
	if g.ahead(ref) {
		x.Kind = FsckRefAhead
		s.find(x)
		return nil
	}
	return s.sweepOne(ctx, x, store.Row{Key: rows.RefKey(ref), Value: row})
}

// loneLedger judges a line of the ledger whose person has no rows: a header
// stays when all else goes.
func (s *fsckScan) loneLedger(ctx context.Context, ref uint64) error {
	var have store.Rows
	err := s.v.values.Get(ctx, []store.Key{
		{Table: rows.People, Key: rows.HeaderKey(ref)}, {Table: rows.Ledger, Key: rows.RefKey(ref)},
	}, &have)
	if err != nil {
		return err
	}
	_, header := have.Value(0)
	if _, ledger := have.Value(1); ledger && !header {
		s.find(FsckFinding{Kind: FsckHeaderMissing, Table: tableOf(rows.Ledger), Person: (&deep{v: s.v}).handle(ref)})
	}
	return nil
}
