package vault

import (
	"context"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// sealedAt is a row under the rows keyset, and the associated data that binds
// it to its place.
type sealedAt struct {
	table       uint8
	key, sealed []byte
	place       []byte
}

// sealedControl are the sealed rows of the control table, and what they are.
// Whoever adds one adds it here, or it dies with its version of the key.
func sealedControl() []struct {
	key  []byte
	what string
} {
	return []struct {
		key  []byte
		what string
	}{
		{rows.BootstrapKey, "bootstrap"},
		{rows.MarkKey, "mark"},
		{rows.GuardKey, "guard"},
		{rows.KeysetsKey, "keysets"},
		{rows.PendingKeyKey, pendingRow},
		{rows.RewrapKey, "rewrap"},
		{rows.EpochEndKey, "epoch-end"},
	}
}

// sealedTables are the tables of which every row is sealed.
var sealedTables = [...]uint8{rows.Policies, rows.Freezes, rows.Honey, rows.KeyRequests, rows.Outbox}

// policyPage is how many policies are held at a time, which may be large.
const policyPage = 16

// eachSealed calls fn for the rows under the rows keyset, page by page, but for
// persons' ids, which have a second lock: the re-wrap of values takes those.
// What an engine keeps for itself is not among them.
func (v *Vault) eachSealed(ctx context.Context, fn func([]sealedAt) error) error {
	var page []sealedAt
	pairs := make([]store.Key, 0, len(sealedControl()))
	for _, c := range sealedControl() {
		pairs = append(pairs, store.Key{Table: rows.Control, Key: c.key})
	}
	var have store.Rows
	if err := v.values.Get(ctx, pairs, &have); err != nil {
		return err
	}
	for i, c := range sealedControl() {
		if row, ok := have.Value(i); ok {
			page = append(page, sealedAt{rows.Control, c.key, row, sealedRow(v.id, c.what, 0)})
		}
	}
	if err := fn(page); err != nil {
		return err
	}
	for _, table := range sealedTables {
		if err := v.eachSealedOf(ctx, table, fn); err != nil {
			return err
		}
	}
	return nil
}

func (v *Vault) eachSealedOf(ctx context.Context, table uint8, fn func([]sealedAt) error) error {
	from, most := []byte{0}, scanPage
	if table == rows.Policies {
		most = policyPage
	}
	for {
		found, err := v.values.Scan(ctx, table, from, nil, most)
		if err != nil || len(found) == 0 {
			return err
		}
		page := make([]sealedAt, len(found))
		for i, r := range found {
			page[i] = sealedAt{table, r.Key, r.Value, nil}
			if table == rows.Outbox {
				page[i].place = v.outboxPlace(nil, r.Key)
				continue
			}
			number, err := rows.ParseNumberKey(r.Key) // that of a policy is its version
			if err != nil {
				return err
			}
			what := "policy"
			if table != rows.Policies {
				what = rowName(table)
			}
			page[i].place = sealedRow(v.id, what, number)
		}
		if err := fn(page); err != nil || len(found) < most {
			return err
		}
		from = store.Next(found[len(found)-1].Key)
	}
}

// countRows counts the rows under each version of the rows keyset, as
// eachSealed finds them. When it returns, the engine keeps nothing for itself
// any more that it sealed before the call.
func (v *Vault) countRows(ctx context.Context) (map[uint16]uint64, error) {
	if err := v.drain(ctx); err != nil {
		return nil, err
	}
	count := map[uint16]uint64{}
	err := v.eachSealed(ctx, func(page []sealedAt) error {
		lock := v.ring.Snapshot().Rows()
		for i := range page {
			version, err := lock.KeyVersion(page[i].sealed)
			if err != nil {
				return fmt.Errorf("%w: a sealed row of table %d: %w", store.ErrCorrupt, page[i].table, err)
			}
			count[version]++
		}
		return nil
	})
	return count, err
}

// resealRows seals under the primary version of the rows keyset what stands
// under another, persons' ids excepted, and has the engine put away what it
// keeps sealed for itself. It may run while the vault serves, and again after it
// was ended at any point. A row that does not open is an error, and is left as
// it is.
//
// What needs an older version when it returns is persons' ids alone. A version
// must not be disabled before: the vault would not open.
func (v *Vault) resealRows(ctx context.Context) error {
	for left := -1; left != 0; {
		left = 0
		err := v.eachSealed(ctx, func(page []sealedAt) error {
			n, err := v.resealPage(ctx, page)
			left += n
			return err
		})
		if err != nil {
			return err
		}
	}
	return v.drain(ctx)
}

// drain has an engine put away what it keeps sealed for itself, if there is
// anything but the primary version that it could have sealed it under. What it
// seals from now on is under that.
func (v *Vault) drain(ctx context.Context) error {
	engine, ok := v.values.(store.Drainer)
	if !ok {
		return nil
	}
	for _, info := range v.ring.Snapshot().Info() {
		if info.ID == rowsKey && len(info.Versions) > 1 {
			return engine.Drain(ctx)
		}
	}
	return nil
}

// resealPage seals the rows of a page that are under older versions. It returns
// how many there were: somebody may have changed them meanwhile, so all are
// looked at again.
func (v *Vault) resealPage(ctx context.Context, page []sealedAt) (int, error) {
	lock := v.ring.Snapshot().Rows()
	var old []store.Batch
	for i := range page {
		r := &page[i]
		version, err := lock.KeyVersion(r.sealed)
		if err == nil && version == lock.Primary() {
			continue
		}
		var plain []byte
		if err == nil {
			plain, err = lock.Open(nil, r.sealed, r.place)
		}
		if err != nil {
			return 0, fmt.Errorf("%w: a sealed row of table %d: %w", store.ErrCorrupt, r.table, err)
		}
		var b store.Batch
		b.RequireEqual(r.table, r.key, r.sealed)
		b.Put(r.table, r.key, lock.Seal(nil, plain, r.place))
		clear(plain)
		old = append(old, b)
	}
	if len(old) == 0 {
		return 0, nil
	}
	var all store.Batch
	for i := range old {
		all.Requires = append(all.Requires, old[i].Requires...)
		all.Writes = append(all.Writes, old[i].Writes...)
	}
	err := v.values.Commit(ctx, &all)
	if !isConflict(err) {
		return len(old), err
	}
	for i := range old { // each for itself: rows of the outbox come and go
		if err := v.values.Commit(ctx, &old[i]); err != nil && !isConflict(err) {
			return 0, err
		}
	}
	return len(old), nil
}
