package vault

import (
	"context"
	"errors"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

// cell takes one cell of the person.
func (s *deepScan) cell(ctx context.Context, k rows.PersonKey, blob []byte) error {
	s.report.Cells++
	n := s.book.find(k.Ref, k.Field, k.Item)
	field := s.policy.Field(policy.FieldID(k.Field))
	hash, err := s.openCell(field, k, blob)
	if n != 0 {
		s.book.at(n).set(slotSeen)
	}
	if errors.Is(err, keys.ErrDisabled) || errors.Is(err, keys.ErrDestroyed) {
		s.report.Unread++
		return nil
	}
	f := Finding{Item: k.Item}
	switch {
	case n == 0 && s.whole:
		f.Kind = CellUnwritten
	case n == 0 && err != nil:
		f.Kind = CellClosed
	case n == 0:
		s.report.Older++
		return nil
	case !s.writtenMaybe(n):
		f.Kind = CellDeleted
		if s.person.erased {
			f.Kind = CellErased
		}
	case err != nil:
		f.Kind = CellClosed
	case s.maybe(n, false, hash):
		if field == nil || s.lists(field, k) {
			return nil
		}
		f.Kind = CellUnlisted
	default:
		f.Kind = CellOlder
	}
	f.Person, f.Field = s.handle(k.Ref), s.fieldName(k.Field)
	if n == 0 {
		s.find(f)
		return nil
	}
	f.Last = s.book.at(n).entry()
	if err != nil || f.Kind == CellUnlisted {
		s.find(f)
		return nil
	}
	return s.suspect(ctx, f, n, hash)
}

// openCell takes the outer lock off a cell and returns the hash of the inner
// one, as entries have it.
func (s *deepScan) openCell(f *policy.Field, k rows.PersonKey, blob []byte) (hash [16]byte, err error) {
	if f == nil { // a field that holds values is never dropped
		return hash, keys.ErrNoKey
	}
	place := s.v.cellPlace(f, k.Ref, k.Item, s.person.generation)
	whole, err := seal.InnerHash(s.keys.Field(k.Field), &place, blob)
	return [16]byte(whole[:16]), err
}

// lists tells whether the record of a cell lists it.
func (s *deepScan) lists(f *policy.Field, k rows.PersonKey) bool {
	for i := range s.person.records {
		if r := &s.person.records[i]; r.collection == uint16(f.Collection.ID) {
			items := r.row.Find(k.Field)
			return items != nil && slices.Contains(items.Items, k.Item)
		}
	}
	return false
}

// suspect is a cell that does not hold what was written last: its history says
// which entry wrote what it holds.
type suspect struct {
	slot uint32
	hash [16]byte
}

// pendingMost bounds the findings that wait for the histories of suspects.
const pendingMost = historiesAtOnce

// find tells a finding, behind those that wait.
func (c *deep) find(f Finding) {
	if len(c.pending) > 0 {
		c.pending = append(c.pending, f)
		return
	}
	c.tell(f)
}

func (c *deep) tell(f Finding) {
	for _, r := range c.restores {
		if f.Last > r.from && f.Last < r.by {
			f.Restored = r.by
		}
	}
	if f.Restored != 0 {
		c.report.Restored++
	}
	c.report.Findings++
	if c.options.Found != nil {
		c.options.Found(f)
	}
}

// suspect holds a finding back until the log was asked about it.
func (c *deep) suspect(ctx context.Context, f Finding, n uint32, hash [16]byte) error {
	if c.suspects == nil {
		c.suspects = make(map[int]suspect)
	}
	c.suspects[len(c.pending)] = suspect{n, hash}
	c.pending = append(c.pending, f)
	if len(c.pending) < pendingMost {
		return nil
	}
	return c.flush(ctx)
}

// flush asks the log about the suspects and tells what waits.
func (c *deep) flush(ctx context.Context) error {
	if len(c.pending) == 0 {
		return nil
	}
	slots := make([]uint32, 0, len(c.suspects))
	for _, s := range c.suspects {
		slots = append(slots, s.slot)
	}
	all, err := c.histories(ctx, slots)
	if err != nil {
		return err
	}
	for i := range c.pending {
		if s, ok := c.suspects[i]; ok {
			c.pending[i].explain(all[s.slot], s.hash)
		}
		c.tell(c.pending[i])
	}
	c.pending, c.suspects = c.pending[:0], nil
	return nil
}

// explain names the entry that wrote what a cell holds. A cell that was
// written, and holds what no entry wrote, is unwritten.
func (f *Finding) explain(events []event, hash [16]byte) {
	for _, e := range slices.Backward(events) {
		if !e.gone && e.hash == hash {
			f.Earlier = e.entry
			return
		}
	}
	if f.Kind == CellOlder {
		f.Kind = CellUnwritten
	}
}
