package vault

import (
	"context"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Login enters in the audit log that a caller connected, and returns when that
// is durable, if the policy gives the caller any right that is not on fields:
// who changes the policy, reads the log or handles incidents. Of others there
// is no entry, since their calls have entries of their own. A frozen principal
// that the policy knows gets FROZEN, whatever its rights, and the attempt is
// entered. It is meant to be called once a connection.
func (v *Vault) Login(ctx context.Context, c Caller) error {
	st := v.state.Load()
	if !st.entersLogin(c.Principal) { // most callers: no read for them
		return nil
	}
	st, err := v.reload(ctx)
	if err != nil {
		return failure(err)
	}
	pr := st.whole.Principal(c.Principal)
	switch {
	case pr != nil && st.frozen.stops(pr.ID):
		return v.refused(ctx, c, st, fail(Frozen, ""), audit.Entry{Action: audit.ActionLogin})
	case !st.whole.Privileged(pr):
		return nil
	}
	return waitFor(ctx, v.log.Append(&audit.Entry{
		Request: c.Request, Principal: c.Principal, Action: audit.ActionLogin,
		PolicyVersion: st.policy.Version(), Outcome: audit.Allowed,
	}))
}

func (st *state) entersLogin(principal string) bool {
	pr := st.whole.Principal(principal)
	return pr != nil && (st.frozen.stops(pr.ID) || st.whole.Privileged(pr))
}
