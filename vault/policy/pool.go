package policy

// A pool keeps each different thing once, under a number. Number 0 is the
// zero value.
type pool[T comparable] struct {
	list   []T
	number map[T]uint32
	joined map[[2]uint32]uint32
}

func newPool[T comparable]() *pool[T] {
	var zero T
	return &pool[T]{
		list:   []T{zero},
		number: map[T]uint32{zero: 0},
		joined: map[[2]uint32]uint32{},
	}
}

// of returns the number of a thing.
func (p *pool[T]) of(thing T) uint32 {
	n, known := p.number[thing]
	if !known {
		n = uint32(len(p.list))
		p.list, p.number[thing] = append(p.list, thing), n
	}
	return n
}

// join returns the number of the union of two things. The union is worked out
// once a pair.
func (p *pool[T]) join(a, b uint32, union func(a, b T) T) uint32 {
	switch {
	case a == b || b == 0:
		return a
	case a == 0:
		return b
	}
	pair := [2]uint32{min(a, b), max(a, b)}
	n, known := p.joined[pair]
	if !known {
		n = p.of(union(p.list[a], p.list[b]))
		p.joined[pair] = n
	}
	return n
}

// seal turns a draft into a grant and returns its number.
func (c *compiler) seal(d *draft) uint32 {
	g := grant{allowed: d.allowed}
	for n := range d.rights {
		if d.rights[n] != (right{}) {
			g.rights[n] = c.rights.of(d.rights[n])
		}
	}
	return c.grants.of(g)
}

// union returns the grant that allows what either allows, and denies what
// either denies.
func (c *compiler) union(a, b grant) grant {
	a.allowed |= b.allowed
	for n := range a.rights {
		a.rights[n] = c.rights.join(a.rights[n], b.rights[n], right.union)
	}
	return a
}
