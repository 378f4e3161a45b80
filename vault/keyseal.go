package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// A vault whose KEK or epoch key it may not use any more gives up its keys: it
// is sealed. It keeps those that no value is under, so that its audit log goes
// on, can be read, and freezes can be made; everything else is refused, and
// nothing that would open a value is left in its stores' reach. It takes the
// keys back by itself when the providers let it.

// sealedMay are the rights that hold in a sealed vault: they need no key that
// it gave up.
func sealedMay(a policy.Action) bool {
	switch a {
	case policy.ActionPolicyRead, policy.ActionAuditRead, policy.ActionIncidentRead,
		policy.ActionFreeze, policy.ActionThaw, policy.ActionKeysRead:
		return true
	}
	return false
}

// keptSealed are the kinds of keysets that a sealed vault keeps.
var keptSealed = []keys.Kind{keys.KindRows, keys.KindLookup, keys.KindAuditRef, keys.KindAuditSigner}

// followKeysets takes over what another node changed, before a state is made.
func (v *Vault) followKeysets(ctx context.Context) error {
	if v.state.Load() == nil || v.sealed.Load() != nil {
		return nil // just opened, or given up
	}
	if err := v.ring.Reload(ctx); err != nil {
		return err
	}
	return v.refreshSubject()
}

// seal gives the keys up. Calls whose read starts afterwards are refused. What
// a call under way holds it still uses to its end.
func (v *Vault) seal(ctx context.Context, why string) {
	v.mu.Lock()
	st := v.state.Load()
	if st.sealed != "" {
		v.mu.Unlock()
		return
	}
	v.sealed.Store(&why)
	next := *st
	v.sealState(&next, why)
	v.ring.Seal(keptSealed...)
	next.keys = v.ring.Snapshot()
	v.state.Store(&next)
	v.bankEpochUses()
	v.closeEpochs()
	v.mu.Unlock()
	v.logger.Error("the vault is sealed: it gave up its keys and refuses to open values", "cause", why)
	v.selfEntry(ctx, audit.ActionSeal, why)
}

// sealState takes the keys out of a state.
func (v *Vault) sealState(st *state, why string) {
	st.sealed, st.tokens, st.primary = why, nil, nil
	st.keys = v.ring.Snapshot()
}

// unseal takes the keys back.
func (v *Vault) unseal(ctx context.Context) error {
	v.mu.Lock()
	err := v.unsealLocked(ctx)
	v.mu.Unlock()
	if err != nil {
		return err
	}
	v.logger.Info("the vault is unsealed")
	v.selfEntry(ctx, audit.ActionUnseal, "the providers let the keys be used")
	v.keyChanged()
	return nil
}

func (v *Vault) unsealLocked(ctx context.Context) error {
	if err := v.ring.Unseal(ctx, v.kek); err != nil {
		return err
	}
	was := v.sealed.Load()
	err := v.openEpochs(ctx)
	if err == nil {
		var row []byte
		if _, row, err = v.fitting(ctx); err == nil {
			v.sealed.Store(nil)
			var st *state
			if st, err = v.loadState(ctx, row); err == nil {
				v.state.Store(st)
				return nil
			}
		}
	}
	v.sealed.Store(was)
	v.ring.Seal(keptSealed...)
	v.closeEpochs()
	return err
}

// keyWatch is how a provider is.
type keyWatch struct {
	awaySince time.Time // zero: it answers
	told      bool      // that it is away
}

// keepSealed asks the providers again and again whether the keys may still be
// used, until the vault closes. Denied seals at once; away is told at once and
// seals after the time that the options give.
func (v *Vault) keepSealed(ctx context.Context) {
	var w keyWatch
	tick := time.NewTicker(v.probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		v.probe(ctx, &w)
	}
}

// probeTime bounds one look at the providers.
const probeTime = 30 * time.Second

// probe asks the providers once and does what follows from it.
func (v *Vault) probe(ctx context.Context, w *keyWatch) {
	bounded, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	if v.state.Load().sealed != "" {
		err := v.unseal(bounded)
		if err == nil {
			*w = keyWatch{}
		} else if ctx.Err() == nil {
			v.logger.Debug("the vault stays sealed", "error", err)
		}
		return
	}
	err := v.probeKeys(bounded)
	if ctx.Err() != nil {
		return
	}
	now := v.now()
	switch {
	case err == nil:
		if w.told {
			v.logger.Info("the key providers answer again")
		}
		*w = keyWatch{}
	case isAway(err):
		if w.awaySince.IsZero() {
			w.awaySince = now
		}
		if !w.told {
			w.told = true
			v.logger.Error("a key provider is away; the vault goes on for a time", "limit", v.awayLimit, "error", err)
			v.selfEntry(ctx, audit.ActionKeyAway, fmt.Sprintf("a key provider is away; the vault is sealed in %s", v.awayLimit))
		}
		if now.Sub(w.awaySince) >= v.awayLimit {
			v.seal(ctx, "a key provider was away for too long")
		}
	default:
		// Denied, disabled, destroyed, or another key: nothing that waiting mends.
		v.logger.Error("a key provider refuses", "error", err)
		v.seal(ctx, "a key provider refuses the use of its key")
	}
}

// isAway tells a provider that did not answer from one that refused.
func isAway(err error) bool { return errors.Is(err, keys.ErrAway) || isContext(err) }

// probeKeys asks the providers whether what they wrap may still be opened.
func (v *Vault) probeKeys(ctx context.Context) error {
	v.mu.Lock()
	kek := v.kek
	v.mu.Unlock()
	err := v.ring.Probe(ctx, kek)
	if err != nil && !isAway(err) {
		return err // worse than whatever the other says
	}
	other := v.probeEpochs(ctx)
	if other != nil && !isAway(other) {
		return other
	}
	return errors.Join(err, other)
}
