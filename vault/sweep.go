package vault

import (
	"context"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// scattered is what an engine offers that keeps scattered tables in a file
// that can be lost, since it can be made anew.
type scattered interface {
	// ScatteredLost reports that rows of scattered tables may be missing.
	ScatteredLost() bool
	// ResetScattered empties the scattered tables.
	ResetScattered(ctx context.Context) error
	// ScatteredRebuilt says that their rows were written again.
	ScatteredRebuilt(ctx context.Context) error
}

// rebuildLookup writes the look-up of persons anew when the engine lost it:
// each person's id is opened and hashed again, under the version of the key that
// is in use now. Remembered requests cannot be rebuilt; they are forgotten, and
// the log says so.
func (v *Vault) rebuildLookup(ctx context.Context) error {
	if err := v.loadSettled(ctx); err != nil {
		return err
	}
	engine, ok := v.values.(scattered)
	if !ok || !engine.ScatteredLost() {
		return nil
	}
	v.logger.Warn("the scattered tables are lost: the look-up of persons is rebuilt, remembered requests are forgotten")
	if err := engine.ResetScattered(ctx); err != nil {
		return err
	}
	if _, _, err := v.writeLookup(ctx); err != nil {
		return err
	}
	return engine.ScatteredRebuilt(ctx)
}

// writeLookup writes a row for every person into an empty look-up, and returns
// how many records can be found by it, and how many are of persons whose id
// does not open.
func (v *Vault) writeLookup(ctx context.Context) (found, closed uint64, err error) {
	// Members name every person with a record, in pages of rising refs.
	from := []byte{0}
	for {
		page, err := v.values.Scan(ctx, rows.Members, from, nil, scanPage)
		if err != nil {
			return found, closed, err
		}
		if len(page) > 0 {
			n, bad, err := v.rebuildPage(ctx, page)
			if err != nil {
				return found, closed, err
			}
			found, closed = found+n, closed+bad
			from = store.Next(page[len(page)-1].Key)
		}
		if len(page) < scanPage {
			break
		}
	}
	f, err := v.finder(v.ring.Snapshot())
	if err != nil {
		return found, closed, err
	}
	return found, closed, v.settleLookup(ctx, f.primary())
}

func (v *Vault) rebuildPage(ctx context.Context, page []store.Row) (found, closed uint64, err error) {
	refs := make([]uint64, len(page))
	for i, r := range page {
		if refs[i], err = rows.ParseMemberKey(r.Key); err != nil {
			return 0, 0, err
		}
	}
	ids, err := v.identities(ctx, refs)
	if err != nil {
		return 0, 0, err
	}
	var b store.Batch
	seen := make(map[rows.Hash]bool, len(refs))
	for i, id := range ids {
		if id.err != nil {
			v.logger.Error("a person cannot be found again by the caller's id", "reason", id.err.Reason.String())
			closed++
			continue
		}
		found++
		hash, err := v.lookupHash(id.subject)
		if err != nil {
			return 0, 0, err
		}
		if !seen[hash] {
			seen[hash] = true
			b.Put(rows.Lookup, hash[:], rows.RefKey(refs[i]))
		}
	}
	if len(b.Writes) == 0 {
		return found, closed, nil
	}
	return found, closed, v.values.Commit(ctx, &b)
}

// sweepOrphans deletes keys that a crash left without a header. Every write of
// an earlier run has ended, so all refs below the first of this run are looked
// at, once: the mark of how far is kept. given is how many refs earlier runs
// took.
func (v *Vault) sweepOrphans(ctx context.Context, given uint64) {
	if err := v.sweep(ctx, given); err != nil && ctx.Err() == nil {
		v.logger.Warn("orphaned keys are swept at the next start", "error", err)
	}
}

func (v *Vault) sweep(ctx context.Context, given uint64) error {
	swept, err := readCounter(ctx, v.values, rows.SweptKey)
	if err != nil {
		return err
	}
	if given <= swept {
		return nil
	}
	from, to := rows.RefKey(rows.Ref(v.refs.lane, swept+1)), rows.RefKey(rows.Ref(v.refs.lane, given+1))
	removed := 0
	for {
		page, err := v.keys.Scan(ctx, rows.Subjects, from, to, scanPage)
		if err != nil {
			return err
		}
		n, err := v.sweepPage(ctx, page)
		if err != nil {
			return err
		}
		removed += n
		if len(page) < scanPage {
			break
		}
		from = store.Next(page[len(page)-1].Key)
	}
	if removed > 0 {
		v.logger.Info("orphaned keys of persons swept", "count", removed)
	}
	_, err = addCounter(ctx, v.values, rows.SweptKey, given-swept)
	return err
}

// sweepPage deletes the keys of a page whose persons have no header.
func (v *Vault) sweepPage(ctx context.Context, page []store.Row) (int, error) {
	if len(page) == 0 {
		return 0, nil
	}
	pairs := make([]store.Key, len(page))
	for i, r := range page {
		ref, err := rows.ParseRef(r.Key)
		if err != nil {
			return 0, fmt.Errorf("subjects: %w", err)
		}
		pairs[i] = store.Key{Table: rows.People, Key: rows.HeaderKey(ref)}
	}
	var have store.Rows
	if err := v.values.Get(ctx, pairs, &have); err != nil {
		return 0, err
	}
	var b store.Batch
	for i, r := range page {
		if _, ok := have.Value(i); ok {
			continue
		}
		// Before a key is destroyed for good: a header that is only damaged has
		// other rows of its person beside it.
		ref, err := rows.ParseRef(r.Key)
		if err != nil {
			return 0, fmt.Errorf("subjects: %w", err)
		}
		from, to := rows.PersonRange(ref)
		left, err := v.values.Scan(ctx, rows.People, from, to, 1)
		if err != nil {
			return 0, err
		}
		if len(left) > 0 {
			v.logger.Error("a person has rows and no header; the key is kept")
			continue
		}
		b.Delete(rows.Subjects, r.Key)
	}
	if len(b.Writes) == 0 {
		return 0, nil
	}
	return len(b.Writes), v.keys.Commit(ctx, &b)
}
