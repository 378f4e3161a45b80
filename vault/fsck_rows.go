package vault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// eachTable reads an ordered table of the values, page by page.
func (f *fsck) eachTable(ctx context.Context, table uint8, size int, do func([]store.Row) error) error {
	from := []byte{0}
	for {
		began := time.Now()
		page, err := f.v.values.Scan(ctx, table, from, nil, size)
		if errors.Is(err, store.ErrCorrupt) {
			f.find(FsckFinding{Kind: FsckUnreadable, Table: tableOf(table), Detail: err.Error()})
			return nil
		}
		if err != nil {
			return err
		}
		f.report.Rows += uint64(len(page))
		if err := do(page); err != nil {
			return err
		}
		if err := f.flush(ctx); err != nil {
			return err
		}
		if len(page) < size {
			return nil
		}
		from = store.Next(page[len(page)-1].Key)
		if err := f.yield(ctx, began); err != nil {
			return err
		}
	}
}

// members checks that who is listed in a collection has a record in it.
func (f *fsck) members(ctx context.Context) error {
	var pairs []store.Key
	var have store.Rows
	return f.eachTable(ctx, rows.Members, scanPage, func(page []store.Row) error {
		f.report.Members += uint64(len(page))
		f.progress("collections", f.report.Members, f.report.Records)
		pairs = pairs[:0]
		for _, r := range page {
			ref, err := rows.ParseMemberKey(r.Key)
			if err != nil {
				f.find(FsckFinding{Kind: FsckRow, Table: tableOf(rows.Members), Detail: "a key is of another length"})
				continue
			}
			pairs = append(pairs, store.Key{Table: rows.People, Key: rows.RecordKey(ref, binary.BigEndian.Uint16(r.Key))})
		}
		if len(pairs) == 0 {
			return nil
		}
		err := f.v.values.Get(ctx, pairs, &have)
		if errors.Is(err, store.ErrCorrupt) {
			have.Resize(len(pairs)) // each for itself
		} else if err != nil {
			return err
		}
		for i := range pairs {
			row, ok := have.Value(i)
			if r, err := rows.ParseRecord(row); ok && (err != nil || r.Live) {
				continue // damaged: found with the person
			}
			k, err := rows.ParsePersonKey(pairs[i].Key)
			if err != nil {
				return err
			}
			if err := f.lookAtMember(ctx, k.Collection, k.Ref, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// lookAtMember looks at one row of the collections again, with its record.
func (f *fsck) lookAtMember(ctx context.Context, collection uint16, ref uint64, tried int) error {
	key, record := rows.MemberKey(collection, ref), rows.RecordKey(ref, collection)
	var have store.Rows
	err := f.v.values.Get(ctx, []store.Key{{Table: rows.Members, Key: key}, {Table: rows.People, Key: record}}, &have)
	if errors.Is(err, store.ErrCorrupt) {
		return nil // found with the person
	}
	if err != nil {
		return err
	}
	row, there := have.Value(1)
	r, err := rows.ParseRecord(row)
	if _, ok := have.Value(0); !ok || there && (err != nil || r.Live) {
		return nil
	}
	w, err := f.view(ctx, false)
	if err != nil {
		return err
	}
	x := FsckFinding{Kind: FsckMemberStray, Table: tableOf(rows.Members), Person: w.names.handle(ref), Field: w.names.collectionName(collection)}
	f.tell(x, func() *store.Batch {
		b := new(store.Batch)
		if there {
			b.RequireEqual(rows.People, record, bytes.Clone(row))
		} else {
			b.RequireAbsent(rows.People, record)
		}
		b.Delete(rows.Members, key)
		return b
	}, func(ctx context.Context) error { return f.lookAtMember(ctx, collection, ref, tried+1) }, tried)
	return nil
}

// fsckStale is how long after their time requests may be remembered while the
// vault serves: it forgets them each minute.
const fsckStale = time.Hour

// requests checks what is remembered of writes with a request id.
func (f *fsck) requests(ctx context.Context) error {
	var pairs []store.Key
	var have store.Rows
	stale := rows.ExpiryBefore(f.v.now().Add(-fsckStale).UnixMilli())
	late := false
	err := f.eachTable(ctx, rows.RequestExpiry, scanPage, func(page []store.Row) error {
		pairs = pairs[:0]
		for _, r := range page {
			hash, err := rows.ParseExpiryKey(r.Key)
			if err != nil {
				f.find(FsckFinding{Kind: FsckRow, Table: tableOf(rows.RequestExpiry), Detail: "a key is of another length"})
				continue
			}
			late = late || bytes.Compare(r.Key, stale) < 0
			pairs = append(pairs, store.Key{Table: rows.Requests, Key: hash[:]})
		}
		if len(pairs) == 0 {
			return nil
		}
		if err := f.v.values.Get(ctx, pairs, &have); err != nil {
			return err
		}
		for i := range pairs {
			if row, ok := have.Value(i); ok {
				if _, err := rows.ParseRequest(row); err != nil {
					f.find(FsckFinding{Kind: FsckRow, Table: tableOf(rows.Requests)})
				}
			}
		}
		return nil
	})
	// A directory that nobody served for long has some: the next start forgets
	// them.
	if err != nil || !late || f.offline {
		return err
	}
	left, err := f.v.values.Scan(ctx, rows.RequestExpiry, []byte{0}, stale, 1)
	if err != nil || len(left) == 0 {
		return err
	}
	x := FsckFinding{Kind: FsckRequestStale, Table: tableOf(rows.RequestExpiry)}
	if f.o.Repair {
		if err := f.v.forgetExpired(ctx); err != nil {
			return err
		}
		left, err := f.v.values.Scan(ctx, rows.RequestExpiry, []byte{0}, stale, 1)
		if err != nil {
			return err
		}
		x.Repaired = len(left) == 0
	}
	f.find(x)
	return nil
}

// outbox opens the entries that wait for the log.
func (f *fsck) outbox(ctx context.Context) error {
	return f.eachTable(ctx, rows.Outbox, scanPage, func(page []store.Row) error {
		if f.offline {
			f.report.Unfinished += uint64(len(page))
		}
		for i := range page {
			r := &page[i]
			if _, err := f.v.openOutbox(r.Key, r.Value); err == nil {
				continue
			}
			// Sealed anew, or logged, since it was read?
			var have store.Rows
			if err := f.v.values.Get(ctx, []store.Key{{Table: rows.Outbox, Key: r.Key}}, &have); err != nil {
				return err
			}
			row, ok := have.Value(0)
			if !ok {
				continue
			}
			if _, err := f.v.openOutbox(r.Key, row); err != nil {
				f.find(FsckFinding{Kind: FsckControl, Table: tableOf(rows.Outbox), Detail: fmt.Sprintf("row %d of a page: it does not open", i+1)})
			}
		}
		return nil
	})
}
