package vault

import (
	"cmp"
	"slices"
)

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
