package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// pageRows is how many rows are read or deleted at a time.
const pageRows = 512

// load reads which lots the store holds. What cannot be used is left to the
// follower to empty.
func (x *Index) load(ctx context.Context) error {
	x.round = func() {}
	err := x.loadLots(ctx)
	if err == nil {
		err = x.sameLog()
	}
	first := x.log.First()
	switch {
	case errors.Is(err, errNew):
		x.lots, x.asked = nil, true
	case errors.Is(err, errDamaged), errors.Is(err, store.ErrCorrupt):
		x.o.Logger.Warn("the audit index cannot be used and is built anew", "error", err)
		x.lots, x.asked = nil, true
	case err != nil:
		return fmt.Errorf("read the audit index: %w", err)
	case len(x.lots) > 0:
		first = x.lots[len(x.lots)-1].end()
	}
	x.building = newBuilding(first)
	return nil
}

// errNew: the store holds no index, or one that is being emptied.
var errNew = errors.New("no index")

func (x *Index) loadLots(ctx context.Context) error {
	var rows store.Rows
	if err := x.store.Get(ctx, []store.Key{{Table: tableAbout, Key: []byte(formatKey)}}, &rows); err != nil {
		return err
	}
	format, exists := rows.Value(0)
	switch {
	case !exists:
		return errNew
	case len(format) != 1 || format[0] != formatVersion:
		return fmt.Errorf("%w: format: not %d", errDamaged, formatVersion)
	}
	var from []byte
	for {
		page, err := x.store.Scan(ctx, tableLots, from, nil, pageRows)
		if err != nil {
			return err
		}
		for _, row := range page {
			l, ok := decodeLot(row.Key, row.Value)
			if !ok {
				return fmt.Errorf("%w: lot %d cannot be read", errDamaged, len(x.lots))
			}
			if n := len(x.lots); n > 0 && x.lots[n-1].end() != l.first {
				return fmt.Errorf("%w: the lot of entry %d is missing", errDamaged, x.lots[n-1].end())
			}
			x.lots = append(x.lots, l)
		}
		if len(page) < pageRows {
			return nil
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// sameLog holds the last entry of the last lot against the log. No entry of a
// log ever changes, so when that one is the same, all before it are.
func (x *Index) sameLog() error {
	if len(x.lots) == 0 {
		return nil
	}
	if x.lots[0].first > x.log.First() {
		return fmt.Errorf("%w: it begins with entry %d, the log with %d", errDamaged, x.lots[0].first, x.log.First())
	}
	l := &x.lots[len(x.lots)-1]
	if l.end() > x.log.Size() {
		return fmt.Errorf("%w: it reaches to entry %d, the log to %d", errDamaged, l.end(), x.log.Size())
	}
	if l.end() <= x.log.First() {
		return nil // nothing of the index is kept
	}
	same := false
	err := x.log.Read(l.end()-1, func(index uint64, raw []byte) error {
		same = index == l.end()-1 && mark(raw) == l.last
		return errStop
	})
	switch {
	case err != nil && !errors.Is(err, errStop):
		return fmt.Errorf("%w: entry %d of the log cannot be read: %w", errDamaged, l.end()-1, err)
	case !same:
		return fmt.Errorf("%w: entry %d is not what the index was built from", errDamaged, l.end()-1)
	}
	return nil
}
