package vault

import (
	"context"
	"fmt"

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
