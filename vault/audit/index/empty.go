package index

import (
	"context"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// empty removes every row. The row of the format goes first and comes back
// last, so that emptying that was interrupted begins again.
func (x *Index) empty(ctx context.Context) (err error) {
	x.mu.Lock()
	x.asked = false
	x.emptying++
	x.lots, x.stale = nil, nil
	x.building.again(x.log.First())
	x.notify()
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if err != nil {
			x.asked = true
			return
		}
		x.emptied = x.emptying
		x.notify()
	}()
	var batch store.Batch
	batch.Delete(tableAbout, []byte(formatKey))
	if err := x.store.Commit(ctx, &batch); err != nil {
		return err
	}
	for _, table := range []uint8{tableLots, tableBlocks} {
		if err := x.clear(ctx, table); err != nil {
			return err
		}
	}
	batch.Reset()
	batch.Put(tableAbout, []byte(formatKey), []byte{formatVersion})
	return x.store.Commit(ctx, &batch)
}

// clear removes all rows of a table.
func (x *Index) clear(ctx context.Context, table uint8) error {
	var from []byte
	for {
		page, err := x.store.Scan(ctx, table, from, nil, pageRows)
		if err != nil || len(page) == 0 {
			return err
		}
		var batch store.Batch
		for i := range page {
			batch.Delete(table, page[i].Key)
		}
		if err := x.store.Commit(ctx, &batch); err != nil {
			return err
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// drop removes the lots whose entries the log no longer has. Queries stop
// using a lot before its rows go.
func (x *Index) drop(ctx context.Context) error {
	first := x.log.First()
	x.mu.Lock()
	n := 0
	for n < len(x.lots) && x.lots[n].end() <= first {
		n++
	}
	if n > 0 {
		x.stale = append(x.stale, x.lots[:n]...)
		x.lots = slices.Clone(x.lots[n:])
	}
	if x.building.end() < first { // the log was pruned past the index
		x.building.again(first)
		x.notify()
	}
	x.mu.Unlock()
	for len(x.stale) > 0 {
		if err := x.store.Commit(ctx, dropBatch(&x.stale[0])); err != nil {
			return err
		}
		x.stale = x.stale[1:]
	}
	return nil
}

// dropBatch removes a lot, wholly.
func dropBatch(l *lot) *store.Batch {
	batch := new(store.Batch)
	batch.Delete(tableLots, appendLotKey(nil, l.first))
	for block := range l.blocks() {
		batch.Delete(tableBlocks, appendBlockKey(nil, l.first, uint16(block)))
	}
	return batch
}
