package vault

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// agesEvery is how often it is looked whether a key is due.
const agesEvery = time.Minute

// keepAges rotates keys that are as old as the options say, and warns before,
// until the vault closes.
func (v *Vault) keepAges(ctx context.Context) {
	warned := make(map[KeyRef]time.Time)
	tick := time.NewTicker(agesEvery)
	defer tick.Stop()
	first := sync.OnceFunc(v.begun.Done)
	for {
		v.lookAtAges(ctx, warned)
		first()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lookAtAges rotates what is due and warns of what will be. warned says for
// which due times that was done.
func (v *Vault) lookAtAges(ctx context.Context, warned map[KeyRef]time.Time) {
	st := v.state.Load()
	if st.sealed != "" {
		return
	}
	now := v.now()
	look := func(ref KeyRef, made time.Time, rotate func()) {
		due := v.ages.due(ref.Kind, made)
		switch {
		case due.IsZero():
		case !now.Before(due):
			rotate()
		case !now.Before(due.Add(-v.warnBefore)) && !warned[ref].Equal(due):
			warned[ref] = due
			v.warnDue(ctx, ref, due)
		}
	}
	for _, in := range st.keys.Info() {
		for _, version := range in.Versions {
			if version.Version == in.Primary {
				look(keyRef(st, in.ID), version.Made, func() { v.rotateBySelf(ctx, in.ID, "age") })
			}
		}
	}
	root := KeyRef{Kind: KeyRoot}
	look(root, v.ring.Root().Made, func() { v.rotateRefBySelf(ctx, root, "age") })
}

// warnDue enters into the log that a key will rotate soon.
func (v *Vault) warnDue(ctx context.Context, ref KeyRef, due time.Time) {
	v.logger.Warn("a key rotates by itself soon", "key", ref.String(), "due", due)
	v.selfEntry(ctx, audit.ActionKeyDue, fmt.Sprintf("%s rotates by itself on %s", ref, due.UTC().Format(time.DateOnly)))
}

// selfEntry logs what the vault noticed by itself. Nobody waits for it.
func (v *Vault) selfEntry(ctx context.Context, a audit.Action, object string) {
	err := waitFor(ctx, v.log.Append(&audit.Entry{
		Principal: Self, Action: a, Object: objectText(object),
		PolicyVersion: v.state.Load().policy.Version(), Outcome: audit.Allowed,
	}))
	if err != nil && ctx.Err() == nil {
		v.logger.Warn("what the vault noticed is not in the audit log", "what", object, "error", err)
	}
}

// rotateBySelf rotates a keyset that is due. why is "age" or "uses".
func (v *Vault) rotateBySelf(ctx context.Context, id keys.ID, why string) {
	v.rotateRefBySelf(ctx, keyRef(v.state.Load(), id), why)
}

func (v *Vault) rotateRefBySelf(ctx context.Context, ref KeyRef, why string) {
	version, err := v.rotateSelf(ctx, KeyChange{Key: ref, Reason: why})
	switch {
	case err == nil:
		v.logger.Info("a key was rotated, as it was due", "key", ref.String(), "version", version, "why", why)
	case ctx.Err() == nil:
		v.logger.Warn("a key that is due could not be rotated; it is tried again", "key", ref.String(), "why", why, "error", err)
	}
}
