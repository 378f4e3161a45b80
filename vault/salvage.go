package vault

import (
	"context"
	"errors"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// salvage reads rows for many items of a call: pairs are first rows that every
// item needs and then size rows for each. Should the engine meet a damaged
// page, it reads item by item, so that one page does not cost the neighbours
// their answers: damaged tells the items that cannot be read, whose rows are
// then absent. Each other item still has one snapshot with the first rows;
// changed tells that these were not the same for all.
func salvage(ctx context.Context, s store.Store, pairs []store.Key, first, size int, out *store.Rows) (damaged map[int]bool, changed bool, err error) {
	err = s.Get(ctx, pairs, out)
	if !errors.Is(err, store.ErrCorrupt) {
		return nil, false, err
	}
	damaged = make(map[int]bool)
	out.Resize(len(pairs))
	var one store.Rows
	ask := make([]store.Key, first+size)
	copy(ask, pairs[:first])
	if first > 0 {
		if err := s.Get(ctx, ask[:first], &one); err != nil {
			return nil, false, err
		}
	}
	for i := range first {
		if row, ok := one.Value(i); ok {
			out.Set(i, row)
		}
	}
	for n := 0; first+n*size < len(pairs); n++ {
		at := first + n*size
		copy(ask[first:], pairs[at:at+size])
		err := s.Get(ctx, ask, &one)
		if errors.Is(err, store.ErrCorrupt) {
			damaged[n] = true
			continue
		}
		if err != nil {
			return nil, false, err
		}
		for i := range ask {
			to := i
			if i >= first {
				to = at + i - first
			}
			row, ok := one.Value(i)
			if !ok {
				continue
			}
			if was, had := out.Value(to); i < first && had && string(was) != string(row) {
				changed = true
			}
			out.Set(to, row)
		}
	}
	return damaged, changed, nil
}
