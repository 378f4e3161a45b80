package vault

import "context"

// Tidy does one round of the work in the background.
func (v *Vault) Tidy(ctx context.Context) error { return v.tidyOnce(ctx) }

// WaitSwept waits for the sweep of orphaned keys that Open began.
func (v *Vault) WaitSwept() { <-v.swept }
