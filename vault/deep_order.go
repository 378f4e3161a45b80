package vault

import (
	"bytes"
	"cmp"
	"context"
	"slices"
)

// historiesAtOnce bounds the histories that are held in memory.
const historiesAtOnce = 1 << 17

// settleOrder finds the last event of the slots whose order is unsure.
func (c *deep) settleOrder(ctx context.Context) error {
	var unsure []uint32
	for n := uint32(1); n <= c.book.used; n++ {
		if c.book.at(n).has(slotUnsure) {
			unsure = append(unsure, n)
		}
	}
	c.either = make(map[uint32][]event)
	for some := range slices.Chunk(unsure, historiesAtOnce) {
		all, err := c.histories(ctx, some)
		if err != nil {
			return err
		}
		for n, events := range all {
			last := lastOf(c.kept(events))
			c.book.at(n).take(&last[0])
			if len(last) > 1 {
				c.either[n] = slices.Clone(last)
			}
		}
	}
	return nil
}

// histories reads the log again for the events of some slots, without
// repetitions, in order.
func (c *deep) histories(ctx context.Context, slots []uint32) (map[uint32][]event, error) {
	all := make(map[uint32][]event, len(slots))
	for _, n := range slots {
		c.book.at(n).set(slotWanted)
	}
	err := c.changes(ctx, nil, func(t told) error {
		_, err := c.events(ctx, &t, func(ref uint64, field uint32, item uint16, e *event) {
			if n := c.book.find(ref, field, item); n != 0 && c.book.at(n).has(slotWanted) {
				all[n] = append(all[n], *e)
			}
		})
		return err
	})
	for _, n := range slots {
		c.book.at(n).unset(slotWanted)
	}
	for n, events := range all {
		slices.SortFunc(events, func(a, b event) int {
			return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.order, b.order))
		})
		events = slices.CompactFunc(events, func(a, b event) bool { return a.id == b.id })
		slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.order, b.order) })
		all[n] = events
	}
	return all, err
}

// kept leaves out events from before a log that was pruned or begun anew, where
// others are known: their entries can be told again by who has a copy of the old
// log, and the entries that would give the repetition away are gone.
func (c *deep) kept(events []event) []event {
	old := func(e event) bool { return e.at < c.since }
	if c.whole || !slices.ContainsFunc(events, func(e event) bool { return !old(e) }) {
		return events
	}
	return slices.DeleteFunc(events, old)
}

// lastOf returns the events that may be the last, the last by order first: no
// later one of theirs has a time that is not earlier.
func lastOf(events []event) []event {
	var last []event
	for _, e := range slices.Backward(events) {
		if len(last) == 0 || e.at > last[len(last)-1].at {
			last = append(last, e)
		}
	}
	return last
}

// maybe tells whether a slot may be in a state: deleted, or written with a
// hash.
func (c *deep) maybe(n uint32, gone bool, hash [16]byte) bool {
	if all := c.either[n]; all != nil {
		return slices.ContainsFunc(all, func(e event) bool { return e.gone == gone && (gone || e.hash == hash) })
	}
	s := c.book.at(n)
	return s.has(slotGone) == gone && (gone || s.hash == hash)
}

// writtenMaybe tells whether the item of a slot may be there.
func (c *deep) writtenMaybe(n uint32) bool {
	if all := c.either[n]; all != nil {
		return slices.ContainsFunc(all, func(e event) bool { return !e.gone })
	}
	return !c.book.at(n).has(slotGone)
}

// live tells whether a record's slot may be live; gone whether it may not.
func (c *deep) live(n uint32) bool { return c.maybe(n, false, [16]byte{}) }
func (c *deep) gone(n uint32) bool { return c.maybe(n, true, [16]byte{}) }

// erased tells whether the log says that a person has no record any more, and
// by which entry. It cannot say so when it does not tell of everything.
func (c *deep) erased(ref uint64) (EntryNumber, bool) {
	first := c.book.person(ref)
	if !c.whole || first == 0 {
		return 0, false
	}
	var last EntryNumber
	for n := first; n != 0; n = c.book.at(n).next {
		s := c.book.at(n)
		if s.field() != 0 {
			continue
		}
		if s.item() == 0 || c.live(n) {
			return 0, false
		}
		last = max(last, s.entry())
	}
	return last, true
}
