package vault

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// An entry may stand in the log twice, under one id: once as it was made, and
// once more out of the outbox, after a crash or an outage of the log. And it
// may come late, behind a change that was stored after it. So the last state of
// an item is that of the last entry whose time is not below an earlier one's;
// where this is not so, the whole history of the item is looked at, without
// the repetitions.

// told is a committed change as the log tells of it.
type told struct {
	entry  *audit.Entry
	number EntryNumber
	order  uint64 // rises; also in the outbox
}

// event is what one change did with one item or record.
type event struct {
	id    [16]byte
	order uint64
	entry EntryNumber
	at    int64
	hash  [16]byte
	gone  bool
}

// changes calls fn for each change of the log, then of the outbox, in order;
// foreign for those that this vault did not make, when it is not nil.
func (c *deep) changes(ctx context.Context, foreign func(EntryNumber, time.Time), fn func(t told) error) error {
	first, size := c.report.First, c.log.Size()
	order := uint64(0)
	one := func(e *audit.Entry, n EntryNumber) error {
		order++
		switch {
		case !isChange(e):
			return nil
		case !c.v.stamped(e, &c.scratch):
			if foreign != nil {
				foreign(n, e.Time)
			}
			return nil
		}
		return fn(told{e, n, order})
	}
	err := c.log.Read(first, func(index uint64, raw []byte) error {
		if index%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			c.progress("entries", index-first, size-first)
		}
		e, err := c.decoder.Decode(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", EntryNumber(index+1), err)
		}
		if index == first {
			c.since = e.Time.UnixNano()
		}
		return one(e, EntryNumber(index+1))
	})
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	c.report.Outbox = 0
	from := []byte{0}
	for {
		page, err := c.v.values.Scan(ctx, rows.Outbox, from, nil, scanPage)
		if err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		}
		for _, r := range page {
			c.report.Outbox++
			e, err := c.v.openOutbox(r.Key, r.Value)
			if err == nil {
				err = one(e, InOutbox)
			}
			if err != nil {
				return err
			}
		}
		if len(page) < scanPage {
			c.progress("entries", size-first, size-first)
			return nil
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// readLog enters the last state of everything into the book.
func (c *deep) readLog(ctx context.Context) error {
	var foreign []made
	var retired time.Time // when a version of the key of the tags was last taken out of use
	own := false
	err := c.changes(ctx, func(n EntryNumber, at time.Time) { foreign = append(foreign, made{n, at}) }, func(t told) error {
		own = true
		switch t.entry.Action {
		case audit.ActionKeyDisable, audit.ActionKeyDestroy:
			if retiresTags(t.entry) && t.entry.Time.After(retired) {
				retired = t.entry.Time
			}
		case audit.ActionPolicyApply:
			if v := t.entry.PolicyVersion; v > c.applied.version {
				c.applied = applied{v, t.number}
			}
		case audit.ActionFreeze, audit.ActionThaw, audit.ActionHoney:
			c.told.note(t.entry, t.number)
		case audit.ActionRestore:
			if from, ok := restoreFrom(t.entry.Object); ok {
				c.restores = append(c.restores, restoredSpan{EntryNumber(from), t.number})
			}
		}
		known, err := c.events(ctx, &t, func(ref uint64, field uint32, item uint16, e *event) {
			n, fresh := c.book.enter(ref, field, item)
			c.book.at(n).note(fresh, e)
		})
		if err == nil && !known {
			c.untold(t.entry.Time)
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(foreign) > 0 && !own && !c.subjects.retired {
		return fmt.Errorf("%w: this vault made none of the %d changes that it tells of", ErrLogOther, len(foreign))
	}
	for _, m := range foreign {
		if c.subjects.retired && !m.at.After(retired) {
			c.untold(m.at)
			continue
		}
		c.find(Finding{Kind: EntryForeign, Last: m.number})
	}
	return nil
}

// made is an entry and when it was made, as it says itself.
type made struct {
	number EntryNumber
	at     time.Time
}

// retiresTags tells the entries by which a version of the key of the tags, and
// of what stands for persons, went out of use.
func retiresTags(e *audit.Entry) bool {
	name, _, ok := strings.Cut(e.Object, " v")
	return ok && name == auditRefKey.Kind.String()
}

// untold takes note of a change that the log tells of and that nobody can tell
// any more whom it was about, or whether this vault made it: the version of the
// audit-ref key is out of use. From then on the log is like one that was pruned.
func (c *deep) untold(at time.Time) {
	c.report.Untold++
	c.whole = false
	c.since = max(c.since, at.UnixNano()+1)
}

// events calls fn for what a change did with records and items, which not every
// change is about; a record is field 0, and its item the collection, 0 for one
// that cannot be told. known is false when it named a person whom nobody can
// tell any more.
func (c *deep) events(ctx context.Context, t *told, fn func(ref uint64, field uint32, item uint16, e *event)) (known bool, err error) {
	e := t.entry
	switch e.Action {
	case audit.ActionCreate, audit.ActionUpdate, audit.ActionDelete, audit.ActionTokenize:
	default:
		return true, nil
	}
	collection, err := c.collection(ctx, t)
	if err != nil {
		return false, err
	}
	known = true
	last := uint64(0)
	for i := range e.Items {
		it := &e.Items[i]
		ref, _, ok := c.subjects.decipher(&it.Subject)
		if !ok && c.subjects.retired {
			known = false
			continue
		}
		if !ok || it.Field > slotField {
			return false, fmt.Errorf("%w: %s names a person or a field that this vault does not have", ErrLogOther, t.number)
		}
		ev := event{id: e.ID, order: t.order, entry: t.number, at: e.Time.UnixNano()}
		if ref != last {
			ev.gone = e.Action == audit.ActionDelete
			fn(ref, 0, collection, &ev)
			last = ref
		}
		if it.Field != 0 && it.Outcome == audit.Allowed {
			ev.hash = it.Hash
			ev.gone = it.Hash == [16]byte{}
			fn(ref, it.Field, it.Item, &ev)
		}
	}
	return known, nil
}

// namedAt is a collection's name under a policy version.
type namedAt struct {
	version uint64
	name    string
}

// collection returns the number of the collection of a change. Names can
// change and be used again, so the policy by which it was decided is asked;
// 0 when that is not kept.
func (c *deep) collection(ctx context.Context, t *told) (uint16, error) {
	at := namedAt{t.entry.PolicyVersion, t.entry.Collection}
	if n, ok := c.collections[at]; ok {
		return n, nil
	}
	number := uint16(0)
	p, _, err := c.v.loadPolicy(ctx, at.version)
	switch {
	case isContext(err):
		return 0, err
	case err == nil:
		if coll := p.Collection(at.name); coll != nil {
			number = uint16(coll.ID)
		}
	}
	if number == 0 && !c.lost[at.version] {
		c.lost[at.version] = true
		c.find(Finding{Kind: PolicyMissing, Number: at.version, Last: t.number})
	}
	c.collections[at] = number
	return number, nil
}

// note takes an event into a slot.
func (s *slot) note(fresh bool, e *event) {
	same := s.has(slotGone) == e.gone && s.hash == e.hash
	switch {
	case fresh || e.at > s.at:
		s.unset(slotUnsure)
		s.at = e.at
	case e.at == s.at && same:
		return // told again
	default:
		s.set(slotUnsure)
	}
	s.take(e)
}

func (s *slot) take(e *event) {
	s.hash = e.hash
	s.setEntry(e.entry)
	if s.unset(slotGone); e.gone {
		s.set(slotGone)
	}
}
