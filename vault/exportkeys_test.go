package vault

import (
	"context"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/rows"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// SetUseLimits makes keysets rotate and seal no more after that many uses.
func (v *Vault) SetUseLimits(limit, end uint64) {
	v.uses.mu.Lock()
	v.uses.limit, v.uses.end = limit, end
	v.uses.mu.Unlock()
}

// LookAtUses does what the vault does each second.
func (v *Vault) LookAtUses(ctx context.Context) error {
	if err := v.reserveUses(ctx); err != nil {
		return err
	}
	for _, id := range v.worn() {
		v.rotateBySelf(ctx, id, "uses")
	}
	if v.epochWorn() {
		v.rotateRefBySelf(ctx, KeyRef{Kind: KeyEpoch}, "uses")
	}
	return nil
}

// LookAtAges does what the vault does each minute.
func (v *Vault) LookAtAges(ctx context.Context, warned map[KeyRef]time.Time) {
	v.lookAtAges(ctx, warned)
}

// CountUnder counts the values that need a version of a field's key.
func (v *Vault) CountUnder(ctx context.Context, ref KeyRef, version uint16) (uint64, error) {
	st := v.state.Load()
	number, _ := keyNumber(st, ref)
	return v.countUnder(ctx, (&keyChange{Kind: ref.Kind, Number: number}).id(), version)
}

// RootInfo describes the root.
func (v *Vault) RootInfo() keys.RootInfo { return v.ring.Root() }

// RewrapBetween re-wraps the values of a page as the job does, with something
// done between the sealing and the commit.
func (v *Vault) RewrapBetween(ctx context.Context, between func()) error {
	p := &rewrapPass{v: v, st: v.state.Load()}
	page, err := v.values.Scan(ctx, rows.People, rows.HeaderKey(1), nil, rewrapLot)
	if err != nil {
		return err
	}
	for i := range page {
		if err := p.row(&page[i]); err != nil {
			return err
		}
	}
	between()
	return p.flush(ctx)
}
