package vault

import "context"

// Tidy does one round of the work in the background.
func (v *Vault) Tidy(ctx context.Context) error { return v.tidyOnce(ctx) }

// WaitSwept waits for the sweep of orphaned keys that Open began.
func (v *Vault) WaitSwept() { <-v.swept }

// PretendHoneys puts n marks of nobody into the state in force, as if they were
// stored: refs so low are never given out.
func (v *Vault) PretendHoneys(n int) {
	next := *v.state.Load()
	next.honey = make(honeySet)
	for i := range uint64(n) {
		next.honey[i+1] = honeyMark{number: i + 1}
	}
	v.state.Store(&next)
}
