package vault

import (
	"context"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Ring returns the vault's keysets.
func (v *Vault) Ring() *keys.Ring { return v.ring }

// Rewrap puts the outer lock of a cell on anew, under the primary version.
func (v *Vault) Rewrap(ctx context.Context, cell []byte) error {
	k, err := rows.ParsePersonKey(cell)
	if err != nil {
		return err
	}
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.People, Key: cell}}, &have); err != nil {
		return err
	}
	blob, _ := have.Value(0)
	place := v.cellPlace(v.state.Load().policy.Field(policy.FieldID(k.Field)), k.Ref, k.Item, firstKeyGeneration)
	lock := v.ring.Snapshot().Field(k.Field)
	again, err := seal.Rewrap(nil, lock, lock, &place, blob)
	if err != nil {
		return err
	}
	var b store.Batch
	b.Put(rows.People, cell, again)
	return v.values.Commit(ctx, &b)
}
