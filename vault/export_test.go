package vault

import (
	"context"
	"maps"
	"math"
)

// Tidy does one round of the work in the background.
func (v *Vault) Tidy(ctx context.Context) error { return v.tidyOnce(ctx) }

// WaitSwept waits for the sweep of orphaned keys that Open began, and for the
// first look of the work on keys.
func (v *Vault) WaitSwept() {
	<-v.swept
	v.begun.Wait()
}

// RebuildLookupVersion moves persons to the version of the lookup key in use.
func (v *Vault) RebuildLookupVersion(ctx context.Context) error {
	return v.rebuildLookupVersion(ctx, nil)
}

// PretendHoneys puts n more marks of nobody into the state in force, as if they
// were stored: numbers and refs so high are never given out.
func (v *Vault) PretendHoneys(n int) {
	next := *v.state.Load()
	next.honey = make(honeySet)
	maps.Copy(next.honey, v.state.Load().honey)
	for i := range uint64(n) {
		next.honey[math.MaxUint64-i] = honeyMark{number: math.MaxUint64 - i}
	}
	v.state.Store(&next)
}

// ResealRows seals rows that are no person's under the version in use.
func (v *Vault) ResealRows(ctx context.Context) error { return v.resealRows(ctx) }

// CountRows counts them by version.
func (v *Vault) CountRows(ctx context.Context) (map[uint16]uint64, error) { return v.countRows(ctx) }
