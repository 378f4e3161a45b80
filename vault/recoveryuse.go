package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// OpenRecovered is Open for a vault whose KEK is lost: the root is opened by
// the recovery key, proved by opening every row under it, wrapped by o.KEK,
// unwrapped by it again, and stored, and then the vault is opened by o.KEK. by
// is who does it, for the audit log. The lost KEK is not asked. keys.ErrNoKey
// when no recovery key is set, keys.ErrWrongKey when secret is another one;
// then nothing was changed. Other errors are those of Open, and of the provider
// of o.KEK.
//
// The duty to log it is stored before the root is, so a crash, or an Open that
// fails afterwards, leaves a vault that o.KEK opens and whose next start logs
// it; or a vault as it was. One case is left: an earlier change of a key that a
// crash interrupted after it came about is logged first, and a second crash
// just then leaves the recovery done and not logged; it may be repeated.
func OpenRecovered(ctx context.Context, o Options, secret keys.RecoverySecret, by string) (*Vault, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	id, info, err := RecoveryOf(ctx, o.Keys)
	if err != nil {
		return nil, err
	}
	k := &keyChange{Action: audit.ActionRecovery, Kind: KeyKEK, Object: recoveryText("use", &info.RecoveryPublic), Principal: by}
	noted, err := recoverRoot(ctx, o, id, secret, k)
	if err != nil {
		return nil, err
	}
	v, err := Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("the root was recovered and is wrapped by %s now; the vault does not open all the same: %w", o.KEK.Name(), err)
	}
	if noted {
		return v, nil
	}
	if err := waitFor(ctx, v.log.Append(v.keyChangeEntry(v.state.Load(), k))); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// recoverRoot stores the root as o.KEK wraps it, with k as the pending change,
// and tells whether the next start logs it.
func recoverRoot(ctx context.Context, o Options, id [16]byte, secret keys.RecoverySecret, k *keyChange) (noted bool, err error) {
	s, err := stageKeys(ctx, keyring{o.Keys})
	if err != nil {
		return false, err
	}
	if err := keys.Recover(ctx, s, id, secret, o.KEK); err != nil {
		return false, err
	}
	v := &Vault{id: id, keys: o.Keys, logger: o.Logger}
	if v.ring, err = keys.Open(ctx, s, o.KEK, id); err != nil {
		return false, fmt.Errorf("open the recovered root: %w", err)
	}
	defer v.ring.Close()
	if err := v.openValues(ctx, o); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, v.values.Close()) }()
	k.Before = uint64(v.ring.Root().Wrapping) - 1
	if noted, err = v.noteRecovery(ctx, k); err != nil {
		return false, fmt.Errorf("note what is about to be done: %w", err)
	}
	return noted, s.flush(ctx)
}

// noteRecovery writes the pending row. It takes the place of a change that
// never came about, such as an earlier try; false when one came about that is
// not logged yet, which must not be forgotten. v.ring holds the root as it will
// be, with one more wrapping than is stored.
func (v *Vault) noteRecovery(ctx context.Context, k *keyChange) (bool, error) {
	earlier, sealed, err := v.pendingKeyChange(ctx)
	if err != nil {
		return false, err
	}
	var b store.Batch
	if earlier == nil {
		b.RequireAbsent(rows.Control, rows.PendingKeyKey)
	} else {
		stored := v.keyGeneration(earlier)
		if earlier.Kind == KeyKEK {
			stored--
		}
		if stored != earlier.Before {
			return false, nil
		}
		b.RequireEqual(rows.Control, rows.PendingKeyKey, sealed)
	}
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{controlPair}, &have); err != nil {
		return false, err
	}
	row, _ := have.Value(0)
	control, err := rows.ParseControl(row)
	if err != nil {
		return false, err
	}
	k.Keysets = control.Keysets
	text, err := json.Marshal(k)
	if err != nil {
		return false, err
	}
	text = append([]byte{sealedFormat}, text...)
	b.Put(rows.Control, rows.PendingKeyKey, v.ring.Snapshot().Rows().Seal(nil, text, sealedRow(v.id, pendingRow, 0)))
	return true, v.values.Commit(ctx, &b)
}
