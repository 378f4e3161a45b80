package exposure

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"time"
)

// Row is what was revealed of one field of one subject, all its items
// together.
type Row struct {
	// Subject is the enciphered reference of the log; zero when the log did not
	// know the subject.
	Subject [16]byte
	Field   uint32
	// First and Last are the least and greatest times of the reveals; zero if
	// none has a time.
	First, Last time.Time
	// Count is the number of reveals: each item of each entry is one.
	Count uint64
	// Views, Principals and Purposes are names, sorted, each once. They are
	// shared between rows and must not be changed.
	Views, Principals, Purposes []string
	// FirstEntry and LastEntry are the lowest and highest index of the entries.
	// They need not be those of First and Last.
	FirstEntry, LastEntry uint64
}

// Rows yields every row, by subject and then by field. The tally must not be
// changed meanwhile.
func (t *Tally) Rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		n := t.names()
		for i := range t.grid.shards {
			s := &t.grid.shards[i]
			further := s.combinations()
			for _, number := range s.sorted() {
				if !yield(n.row(s.row(number), number, further)) {
					return
				}
			}
		}
	}
}

// sorted returns the numbers of the rows by subject and field.
func (s *shard) sorted() []uint32 {
	if len(s.order) == int(s.n) {
		return s.order
	}
	type key struct { // what most comparisons need stands together
		subject uint64
		number  uint32
	}
	keys := make([]key, s.n)
	for n := range s.n {
		keys[n] = key{binary.BigEndian.Uint64(s.row(n).subject[:]), n}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.subject != b.subject {
			return cmp.Compare(a.subject, b.subject)
		}
		x, y := s.row(a.number), s.row(b.number)
		return cmp.Or(bytes.Compare(x.subject[:], y.subject[:]), cmp.Compare(x.field, y.field))
	})
	s.order = make([]uint32, s.n)
	for i, k := range keys {
		s.order[i] = k.number
	}
	return s.order
}

// combinations returns the further combinations of all rows, by row.
func (s *shard) combinations() []uint64 {
	list := make([]uint64, 0, len(s.further))
	for key := range s.further {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}

// names makes rows, and shares lists of names between them.
type names struct {
	labels []label
	single []lists // of a row with one combination, by its number; made when needed
	gather lists   // of the row at hand; its memory is used again
}

type lists struct{ views, principals, purposes []string }

func (t *Tally) names() *names {
	all := t.grid.labels.all()
	return &names{labels: all, single: make([]lists, len(all))}
}

func (n *names) row(r *row, number uint32, further []uint64) Row {
	out := Row{
		Subject: r.subject, Field: r.field, First: instant(r.first), Last: instant(r.last),
		Count: r.count, FirstEntry: r.firstEntry, LastEntry: r.lastEntry,
	}
	id := r.label &^ furtherLabels
	var l lists
	if r.label&furtherLabels == 0 {
		if n.single[id].views == nil {
			n.single[id].add(n.labels[id])
		}
		l = n.single[id]
	} else {
		l = n.several(id, number, further)
	}
	out.Views, out.Principals, out.Purposes = l.views, l.principals, l.purposes
	return out
}

// several returns the lists of a row with more than one combination, in one
// allocation.
func (n *names) several(id, number uint32, further []uint64) lists {
	g := &n.gather
	g.views, g.principals, g.purposes = g.views[:0], g.principals[:0], g.purposes[:0]
	g.add(n.labels[id])
	at, _ := slices.BinarySearch(further, uint64(number)<<32)
	for ; at < len(further) && uint32(further[at]>>32) == number; at++ {
		g.add(n.labels[uint32(further[at])])
	}
	for _, list := range []*[]string{&g.views, &g.principals, &g.purposes} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	all := slices.Concat(g.views, g.principals, g.purposes)
	v, p := len(g.views), len(g.views)+len(g.principals)
	return lists{views: all[:v:v], principals: all[v:p:p], purposes: all[p:len(all):len(all)]}
}

func (l *lists) add(x label) {
	l.views = append(l.views, x.view)
	l.principals = append(l.principals, x.principal)
	l.purposes = append(l.purposes, x.purpose)
}

// instant is the time of nanoseconds since 1970, of which 0 is none.
func instant(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
