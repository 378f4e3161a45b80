package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// read reads the rows of all keys in lots, which rise, and leaves the lists in
// f.lists: those of the first lot, then those of the second. A row that cannot
// be used gives a list of every entry.
func (f *finder) read(ctx context.Context, lots []lot) error {
	f.names, f.asked, f.lists = f.names[:0], f.asked[:0], f.lists[:0]
	if len(f.keys) == 0 || len(lots) == 0 {
		return nil
	}
	f.names = slices.Grow(f.names, len(lots)*len(f.keys)*blockKeyLen)
	for i := range lots {
		for _, k := range f.keys {
			at := len(f.names)
			f.names = appendBlockKey(f.names, lots[i].first, k.block(lots[i].bits))
			f.asked = append(f.asked, store.Key{Table: tableBlocks, Key: f.names[at:]})
		}
	}
	if err := f.x.store.Get(ctx, f.asked, &f.rows); err != nil {
		if errors.Is(err, store.ErrCorrupt) {
			f.x.damaged(lots[0], f.emptying, err)
		}
		return fmt.Errorf("read the audit index: %w", err)
	}
	// Rows that were read while the index was emptied can be of another cut of
	// the log.
	usable := f.x.unchanged(f.emptying)
	for i := range lots {
		for n, k := range f.keys {
			at := i*len(f.keys) + n
			row, exists := f.rows.Value(at)
			found, has, ok := list{}, false, false
			if usable && exists {
				found, has, ok = lookUp(f.asked[at].Key, row, &lots[i], k)
			}
			switch {
			case !ok:
				f.x.damaged(lots[i], f.emptying, errDamaged)
				f.from = max(f.from, f.x.log.First()) // the lot may have been dropped
				found = every(lots[i].entries)
			case !has:
				found = list{form: formNone}
			}
			f.lists = append(f.lists, found)
		}
	}
	return nil
}

// match leaves the offsets in lot number i of those read that have all keys in
// f.offsets.
func (f *finder) match(i int, l *lot) {
	f.offsets = f.offsets[:0]
	lists := f.lists[i*len(f.keys) : (i+1)*len(f.keys)]
	if len(lists) == 0 {
		lists = []list{every(l.entries)}
	}
	slices.SortFunc(lists, func(a, b list) int { return cmp.Compare(a.weight(), b.weight()) })
	if lists[0].form == formNone {
		return
	}
	var ok bool
	f.offsets, ok = lists[0].appendTo(f.offsets)
	for n := 1; ok && n < len(lists) && len(f.offsets) > 0; n++ {
		f.offsets, ok = lists[n].keep(f.offsets)
	}
	if !ok {
		f.x.damaged(*l, f.emptying, errDamaged)
		f.offsets, _ = every(l.entries).appendTo(f.offsets[:0])
	}
}

// unchanged reports whether the index was not emptied since then.
func (x *Index) unchanged(emptying uint64) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.emptying == emptying
}

// damaged has the index built anew because of a lot, unless that happened
// already or the lot is no longer in use.
func (x *Index) damaged(l lot, emptying uint64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.emptying != emptying || x.asked || len(x.lots) == 0 || x.lots[0].first > l.first {
		return
	}
	x.o.Logger.Warn("a lot of the audit index is damaged; the index is built anew", "entry", l.first, "error", err)
	x.ask()
}
