package vault

import (
	"context"
	"errors"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// administer runs a change of what every call is decided by. The right comes
// first, before the caller waits for anybody; then do runs alone, with the
// state in force. It returns a refusal, which is logged as entry (do may say more
// in it), or an error.
// When another node changed the control row meanwhile, all is done again for as
// long as the caller waits: who freezes something has no time to be told to try
// later, and each time somebody else got through.
func (v *Vault) administer(ctx context.Context, c Caller, a policy.Action, entry *audit.Entry, do func(*state) (*Error, error)) error {
	st := v.state.Load()
	if refused := st.may(st.policy.Principal(c.Principal), a); refused != nil {
		return v.refused(ctx, c, st, refused, *entry)
	}
	return v.alone(ctx, c, entry, func(st *state) (*Error, error) {
		if refused := st.may(st.policy.Principal(c.Principal), a); refused != nil {
			return refused, nil
		}
		return do(st)
	})
}

// alone is administer for who has the right already, or for the vault itself.
func (v *Vault) alone(ctx context.Context, c Caller, entry *audit.Entry, do func(*state) (*Error, error)) error {
	if err := v.log.Healthy(); err != nil {
		return &Error{Reason: AuditUnavailable, Detail: texts[AuditUnavailable], cause: err}
	}
	if err := v.settle(ctx); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for {
		st, err := v.reloadLocked(ctx)
		if err != nil {
			return failure(err)
		}
		if err := v.settleEarlier(ctx, st); err != nil { // a keyset generation has no change pending when it ends
			return err
		}
		if now := v.state.Load(); now != st {
			continue
		}
		refused, err := do(st)
		switch {
		case refused != nil:
			return v.refused(ctx, c, st, refused, *entry)
		case err == nil:
			return nil
		case !errors.Is(err, &Error{Reason: Contention}) || ctx.Err() != nil:
			return failure(err)
		}
	}
}

// nextControl is the control row after a change of freezes or honey marks.
func (st *state) nextControl() (rows.ControlRow, error) {
	control, err := rows.ParseControl(st.control)
	control.Freezes++
	return control, err
}

// enact commits a batch together with a new control row and the audit entries
// of the change, puts next in force, and returns when the entries are durable.
// The caller holds v.mu. An error of reason Contention means that nothing
// happened, since st was not in force any more.
func (v *Vault) enact(ctx context.Context, st, next *state, control rows.ControlRow, b *store.Batch, entries ...*audit.Entry) error {
	next.control = control.Append(nil)
	v.putControl(b, st, next)
	ids := make([][16]byte, len(entries))
	var outbox outboxRows
	for i, e := range entries {
		if err := outbox.put(v, b, e); err != nil {
			return err
		}
		ids[i] = e.ID
	}
	err := v.values.Commit(ctx, b)
	if isConflict(err) {
		return fail(Contention, "")
	}
	if err != nil {
		return failure(err)
	}
	v.state.Store(next)
	var waiting receipts
	for _, e := range entries {
		waiting.add(v.log.Append(e))
	}
	if err := waiting.wait(ctx); err != nil {
		v.outbox.owe(ids...)
		return err
	}
	v.outbox.confirm(ids...)
	return nil
}

// inspect begins an operation that reads what calls are decided by: the right
// first, then the state in force.
func (v *Vault) inspect(ctx context.Context, c Caller, a policy.Action, entry audit.Entry) (*state, error) {
	st := v.state.Load()
	refused := st.may(st.policy.Principal(c.Principal), a)
	if refused == nil {
		var err error
		if st, err = v.reload(ctx); err != nil {
			return nil, failure(err)
		}
		refused = st.may(st.policy.Principal(c.Principal), a)
	}
	if refused != nil {
		return nil, v.refused(ctx, c, st, refused, entry)
	}
	return st, nil
}

// inspected logs what inspect began, before it is answered.
func (v *Vault) inspected(ctx context.Context, c Caller, st *state, entry audit.Entry) error {
	entry.Request, entry.Principal = c.Request, c.Principal
	entry.PolicyVersion, entry.Outcome = st.policy.Version(), audit.Allowed
	return waitFor(ctx, v.log.Append(&entry))
}
