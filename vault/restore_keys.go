package vault

import (
	"context"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// retireKeys puts the versions out of use that were disabled or destroyed since
// the backup. What stands under a version that was destroyed since nothing
// needed it any more moves to the version in use first; what was destroyed
// although values needed it stays destroyed, with them.
func (x *restore) retireKeys(ctx context.Context) error {
	all := x.sortedFates()
	for _, k := range all {
		if _, ok := x.stateOf(k); !ok {
			x.report.KeysLost = append(x.report.KeysLost, x.keyName(k.id, k.version))
			delete(x.fates, k)
		}
	}
	for _, k := range all {
		fate, ok := x.fates[k]
		state, _ := x.stateOf(k)
		if !ok || state == keys.Destroyed || fate.action != audit.ActionKeyDisable && fate.action != audit.ActionKeyDestroy {
			continue
		}
		if err := x.retire(ctx, k, state, fate); err != nil {
			return fmt.Errorf("%s: %w", x.keyName(k.id, k.version), err)
		}
	}
	return x.v.refreshSubject()
}

// stateOf returns the state of a version; false when there is none.
func (x *restore) stateOf(k useKey) (keys.State, bool) {
	for _, in := range x.v.ring.Snapshot().Info() {
		if in.ID != k.id {
			continue
		}
		for _, version := range in.Versions {
			if version.Version == k.version {
				return version.State, true
			}
		}
	}
	return 0, false
}

func (x *restore) retire(ctx context.Context, k useKey, state keys.State, fate keyFate) error {
	// The vault itself needs its rows and the look-up. When the version went out
	// of use nothing was left under it, so here everything has to move.
	moves := fate.action == audit.ActionKeyDestroy && !fate.forced || k.id == rowsKey
	if state == keys.Disabled && moves {
		if err := x.v.ring.SetState(ctx, k.id, k.version, keys.Enabled); err != nil {
			return err
		}
		state = keys.Enabled
	}
	if state == keys.Enabled && moves {
		if err := x.moveFrom(ctx, k); err != nil {
			return err
		}
	}
	if state == keys.Enabled {
		if _, err := x.v.ring.Disable(ctx, k.id, k.version); err != nil {
			return err
		}
	}
	if fate.action == audit.ActionKeyDisable {
		x.report.KeysDisabled++
		return nil
	}
	x.report.KeysDestroyed++
	return x.v.ring.SetState(ctx, k.id, k.version, keys.Destroyed)
}

// moveFrom seals under another version what stands under this one. Of keysets
// that seal nothing there is nothing to move: the look-up is written anew, and
// what a domain or the audit-ref key made is outside.
func (x *restore) moveFrom(ctx context.Context, k useKey) error {
	if k.id.Kind != keys.KindField && k.id.Kind != keys.KindRows {
		return nil
	}
	if lock := x.v.ring.Snapshot().AEAD(k.id); lock != nil && lock.Primary() == k.version {
		if _, err := x.v.ring.Rotate(ctx, k.id); err != nil {
			return err
		}
	}
	if k.id.Kind == keys.KindRows {
		if err := x.v.resealRows(ctx); err != nil {
			return err
		}
	}
	return x.rewrapFrom(ctx, k)
}

// rewrapFrom changes the outer lock of all cells, or persons' ids, that a
// version locks.
func (x *restore) rewrapFrom(ctx context.Context, k useKey) error {
	now := x.v.ring.Snapshot()
	var header rows.Header
	from := store.Next(rows.ControlKey)
	for {
		page, err := x.v.values.Scan(ctx, rows.People, from, nil, deepPage)
		if err != nil || len(page) == 0 {
			return err
		}
		var b store.Batch
		for i := range page {
			at, err := rows.ParsePersonKey(page[i].Key)
			if err != nil {
				return err
			}
			if at.Header {
				if header, err = rows.ParseHeader(page[i].Value); err != nil {
					return err
				}
				continue
			}
			id, lock := lockOf(now, &at)
			if id != k.id || lock == nil {
				continue
			}
			if version, err := seal.OuterVersion(lock, page[i].Value); err != nil || version != k.version {
				continue
			}
			place := x.v.identityPlace(at.Ref, header.KeyGeneration)
			if f := x.st.whole.Field(policy.FieldID(at.Field)); f != nil {
				place = x.v.cellPlace(f, at.Ref, at.Item, header.KeyGeneration)
			}
			fresh, err := seal.Rewrap(nil, lock, lock, &place, page[i].Value)
			if err != nil {
				x.v.logger.Error("a value of the backup does not open, and is lost with the version of its key", "error", err)
				continue
			}
			b.Put(rows.People, page[i].Key, fresh)
			x.report.Rewrapped++
		}
		if len(b.Writes) > 0 {
			if err := x.v.values.Commit(ctx, &b); err != nil {
				return err
			}
		}
		if err := x.tick(ctx); err != nil {
			return err
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// pendingKey takes away the row of a change of a key that was under way, and
// returns the entry of one that came about and that nobody logged.
func (x *restore) pendingKey(ctx context.Context, b *store.Batch) (*audit.Entry, error) {
	k, _, err := x.v.pendingKeyChange(ctx)
	if err != nil || k == nil {
		return nil, err
	}
	b.Delete(rows.Control, rows.PendingKeyKey)
	for at := range x.fates {
		if at.id == k.id() {
			return nil, nil // the log tells of it
		}
	}
	if x.v.keyGeneration(k) <= k.Before {
		return nil, nil
	}
	return x.v.keyChangeEntry(x.st, k), nil
}
