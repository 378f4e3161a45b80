package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// MaxKeys is how many keys a query may have.
const MaxKeys = 32

// Query says which entries are looked for. The zero value stands for all.
type Query struct {
	// All are keys that an entry must have, at most MaxKeys. None: every entry.
	All []Key
	// From and To bound the index of entries: From <= index < To. To 0 is no
	// bound.
	From, To uint64
	// After and Before bound the time of entries: After <= time < Before. Zero
	// is no bound. Only whole lots are left out by time.
	After, Before time.Time
	// Newest gives the entry with the highest index first.
	Newest bool
}

func (q *Query) check() error {
	if len(q.All) > MaxKeys {
		return fmt.Errorf("%w: keys: %d, at most %d", ErrQuery, len(q.All), MaxKeys)
	}
	return nil
}

// A lookup reads the rows of few lots first, since many callers stop after a
// page, and then of more at a time.
const (
	firstLots = 8
	maxRows   = 512 // of one read, but for a query with more keys
)

// Find calls fn with the index of every entry that may match, in rising order,
// or falling with Newest. No entry below covered that matches is left out; what
// the log holds from covered on, the caller reads himself. An entry may be
// given that does not match, so the caller reads it and checks. Entries that
// the log no longer keeps are not given.
//
// fn is called without a lock. An error of fn ends Find and is returned as it
// is. Other errors are ErrQuery, ErrClosed, ctx's, and those of the store, after
// which the caller has to read the log.
func (x *Index) Find(ctx context.Context, q Query, fn func(index uint64) error) (covered uint64, err error) {
	if err := q.check(); err != nil {
		return 0, err
	}
	f := x.finders.Get().(*finder)
	defer x.finders.Put(f)
	f.x, f.fn = x, fn
	defer func() { f.x, f.fn, f.lots = nil, nil, nil }()
	if covered, err = f.begin(&q); err != nil {
		return 0, err
	}
	parts := []func() error{func() error { return f.stored(ctx, &q) }, func() error { return f.give(f.first, f.open, q.Newest) }}
	if q.Newest {
		slices.Reverse(parts)
	}
	for _, part := range parts {
		if err := part(); err != nil {
			return covered, err
		}
	}
	return covered, nil
}

// finder is the memory of one Find, used by later ones again.
type finder struct {
	x    *Index
	fn   func(uint64) error
	keys []Key // rising by hash

	// What the index held when Find began.
	lots     []lot
	emptying uint64
	first    uint64   // of the lot being built
	open     []uint16 // what it has

	from, to uint64 // bounds of what is given

	names   []byte // keys of rows
	asked   []store.Key
	rows    store.Rows
	lists   []list
	offsets []uint16
}

// begin takes what the index holds now.
func (f *finder) begin(q *Query) (covered uint64, err error) {
	f.keys = append(f.keys[:0], q.All...)
	slices.SortFunc(f.keys, func(a, b Key) int { return cmp.Compare(a.hash, b.hash) })
	f.keys = slices.Compact(f.keys)
	x := f.x
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return 0, ErrClosed
	}
	covered = x.building.end()
	f.first, f.emptying = x.building.first, x.emptying
	f.open = x.building.find(f.open[:0], f.keys, q.After, q.Before)
	f.from, f.to = max(q.From, x.log.First()), covered
	if q.To != 0 {
		f.to = min(f.to, q.To)
	}
	f.lots = between(x.lots, f.from, f.to)
	return covered, nil
}

// between returns the lots that hold an entry with from <= index < to.
func between(lots []lot, from, to uint64) []lot {
	at := func(index uint64) int {
		n, _ := slices.BinarySearchFunc(lots, index, func(l lot, index uint64) int {
			if l.end() <= index {
				return -1
			}
			return 1
		})
		return n
	}
	if from >= to || len(lots) == 0 {
		return nil
	}
	last := at(to - 1)
	return lots[at(from):min(last+1, len(lots))]
}

// stored gives the entries of the lots in the store.
func (f *finder) stored(ctx context.Context, q *Query) error {
	some := make([]lot, 0, firstLots)
	most := max(1, maxRows/max(1, len(f.keys)))
	for size := firstLots; len(f.lots) > 0; size = min(4*size, most) {
		some = f.take(some[:0], min(size, most), q)
		if err := f.read(ctx, some); err != nil {
			return err
		}
		for i := range some {
			at := i
			if q.Newest {
				at = len(some) - 1 - i
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			f.match(at, &some[at])
			if err := f.give(some[at].first, f.offsets, q.Newest); err != nil {
				return err
			}
		}
	}
	return nil
}

// take moves at most n lots that the window of time does not leave out from
// the near end of f.lots to dst, rising.
func (f *finder) take(dst []lot, n int, q *Query) []lot {
	for len(f.lots) > 0 && len(dst) < n {
		next := &f.lots[0]
		if q.Newest {
			next = &f.lots[len(f.lots)-1]
			f.lots = f.lots[:len(f.lots)-1]
		} else {
			f.lots = f.lots[1:]
		}
		if next.within(q.After, q.Before) {
			dst = append(dst, *next)
		}
	}
	if q.Newest {
		slices.Reverse(dst)
	}
	return dst
}

// give calls fn with those of a lot's offsets that are within the bounds.
func (f *finder) give(first uint64, offsets []uint16, newest bool) error {
	for i := range offsets {
		at := i
		if newest {
			at = len(offsets) - 1 - i
		}
		if index := first + uint64(offsets[at]); index >= f.from && index < f.to {
			if err := f.fn(index); err != nil {
				return err
			}
		}
	}
	return nil
}
