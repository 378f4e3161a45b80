package vault

import (
	"context"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

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
	if err := s.v.epochs.set.Load().unwrap(sealed, p.ref, p.generation, &key); err != nil {
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
