package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// The root of a vault can also be sealed to a recovery key, whose private half
// is split among people, for the day on which the KEK is lost. Making, removing
// and using that second wrapping is the act of who runs the machine: no right
// is asked, and the audit log tells of each, with "local:<uid>" as who did it.
//
// All three wrap the root by the KEK anew in the same step of keys.db, so the
// number of wrappings rises with them: by it a start that finds the pending row
// (see keychange.go) tells whether the change came about. A crash leaves it
// done and logged, or as if never begun.

// RecoveryOf describes the recovery of a vault by its key store alone, without
// any key, so unproven. It also returns the vault's id. ErrNotInitialised when
// the store holds no vault, keys.ErrNoKey when no recovery key is set.
func RecoveryOf(ctx context.Context, keyStore store.Store) (id [16]byte, info *keys.RecoveryInfo, err error) {
	if id, err = storedID(ctx, keyStore); err != nil {
		return id, nil, err
	}
	info, err = keys.RecoveryOf(ctx, keyring{keyStore})
	return id, info, err
}

// storedID reads the id of the vault that a key store is of.
func storedID(ctx context.Context, keyStore store.Store) (id [16]byte, err error) {
	var have store.Rows
	if err := keyStore.Get(ctx, []store.Key{{Table: rows.KeyControl, Key: rows.VaultKey}}, &have); err != nil {
		return id, fmt.Errorf("read the key store: %w", err)
	}
	row, ok := have.Value(0)
	switch {
	case !ok:
		return id, ErrNotInitialised
	case len(row) != len(id):
		return id, fmt.Errorf("%w: the vault's id", store.ErrCorrupt)
	}
	return [16]byte(row), nil
}

// SetRecovery seals the root to a recovery key, in place of the one before. by
// is who does it. Each of proofs is a private half of the key, put together
// from shares; at least one is required, and every one must have opened the
// root, and everything under it, before anything is stored: else
// keys.ErrWrongKey and nothing was changed.
func (v *Vault) SetRecovery(ctx context.Context, by string, to keys.RecoveryPublic, proofs ...keys.RecoverySecret) error {
	if len(proofs) == 0 {
		return fmt.Errorf("%w: a recovery key without a proof that it can be put together", keys.ErrUsage)
	}
	return v.changeRecovery(ctx, by, recoveryText("create", &to), func(ctx context.Context, s *stagedKeys, ring *keys.Ring) error {
		if err := ring.SetRecovery(ctx, v.kek, to); err != nil {
			return err
		}
		for _, secret := range proofs {
			if err := keys.Recover(ctx, s.copy(), v.id, secret, v.kek); err != nil {
				return fmt.Errorf("open the root by the recovery key: %w", err)
			}
		}
		return nil
	})
}

// RemoveRecovery removes the recovery key and returns what it was.
// keys.ErrNoKey when there is none. A copy of keys.db from before is still
// opened by its shares, until the root is rotated and that copy out of date.
func (v *Vault) RemoveRecovery(ctx context.Context, by string) (*keys.RecoveryInfo, error) {
	info := v.ring.Root().Recovery
	if info == nil {
		return nil, fmt.Errorf("%w: no recovery key is set", keys.ErrNoKey)
	}
	err := v.changeRecovery(ctx, by, recoveryText("remove", &info.RecoveryPublic), func(ctx context.Context, _ *stagedKeys, ring *keys.Ring) error {
		return ring.RemoveRecovery(ctx)
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// changeRecovery runs a change of the recovery alone. do works on a copy of the
// keyring; all of it is stored at once, or nothing. Errors say what the keys
// and the stores say: they are for who runs the machine.
func (v *Vault) changeRecovery(ctx context.Context, by, object string, do func(context.Context, *stagedKeys, *keys.Ring) error) error {
	refusal := &audit.Entry{Action: audit.ActionRecovery, Object: object}
	var failed error
	err := v.alone(ctx, Caller{Principal: by}, refusal, func(st *state) (*Error, error) {
		if st.sealed != "" {
			return fail(KeysUnavailable, ""), nil
		}
		k := &keyChange{Action: audit.ActionRecovery, Kind: KeyKEK, Object: object, Principal: by}
		return nil, v.changeKey(ctx, st, k, func(ctx context.Context) error {
			failed = v.stageRecovery(ctx, do)
			return failed
		})
	})
	var own *Error
	switch {
	case err == nil:
		return nil // also when the storage took it and answered with an error
	case failed != nil && errors.Is(err, failed):
		return failed
	case errors.As(err, &own) && own.cause != nil:
		return fmt.Errorf("%w: %w", own, own.cause)
	}
	return err
}

// stageRecovery is the one step of keys.db. The caller holds v.mu.
func (v *Vault) stageRecovery(ctx context.Context, do func(context.Context, *stagedKeys, *keys.Ring) error) error {
	s, err := stageKeys(ctx, keyring{v.keys})
	if err != nil {
		return err
	}
	ring, err := keys.Open(ctx, s, v.kek, v.id)
	if err != nil {
		return err
	}
	defer ring.Close()
	if err := do(ctx, s, ring); err != nil {
		return err
	}
	if err := ring.Rewrap(ctx, v.kek, v.kek); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	return v.ring.Reload(ctx)
}

// recoveryText is the object of an entry: "create 3 of 5 set 0123456789abcdef".
func recoveryText(what string, p *keys.RecoveryPublic) string {
	return fmt.Sprintf("%s %d of %d set %s", what, p.Threshold, p.Shares, hex.EncodeToString(p.Set[:]))
}
