package vault

import "context"

// Tidy does one round of the work in the background.
func (v *Vault) Tidy(ctx context.Context) error { return v.tidyOnce(ctx) }

// Sweep removes keys without a header, as at the start.
func (v *Vault) Sweep(ctx context.Context, given uint64) error { return v.sweep(ctx, given) }
