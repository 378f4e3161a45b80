package vault

import (
	"context"
	"errors"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// receipts are entries on their way to the disk.
type receipts struct {
	some [2]audit.Receipt
	n    int
	more []audit.Receipt
}

func (r *receipts) add(one audit.Receipt) {
	if r.n < len(r.some) {
		r.some[r.n] = one
		r.n++
		return
	}
	r.more = append(r.more, one)
}

// wait returns when every entry is durable, or the error for the caller.
func (r *receipts) wait(ctx context.Context) error {
	for i := range r.n {
		if err := waitFor(ctx, r.some[i]); err != nil {
			return err
		}
	}
	for _, one := range r.more {
		if err := waitFor(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func waitFor(ctx context.Context, one audit.Receipt) error {
	_, err := one.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case isContext(err):
		return err
	}
	return &Error{Reason: AuditUnavailable, Detail: texts[AuditUnavailable], cause: err}
}

// refused writes the refusal of a whole call to the log and returns it. When
// the log cannot be written, that is what the caller is told.
func (v *Vault) refused(ctx context.Context, c Caller, st *state, why *Error, e audit.Entry) error {
	e.Request, e.Principal = c.Request, c.Principal
	e.PolicyVersion = st.policy.Version()
	e.Outcome, e.Refusal = audit.Refused, why.Reason.String()
	if err := waitFor(ctx, v.log.Append(&e)); err != nil {
		return err
	}
	return why
}

// may decides whether a caller could do the action on anything at all.
func (st *state) may(pr *policy.Principal, a policy.Action) *Error {
	switch {
	case pr == nil:
		return fail(PrincipalUnknown, "")
	case !st.policy.Can(pr, a):
		return fail(ActionDenied, "")
	}
	return nil
}

func outcomeOf(allowed, all int) audit.Outcome {
	switch allowed {
	case 0:
		return audit.Refused
	case all:
		return audit.Allowed
	}
	return audit.Mixed
}

func outcomeOfItems(items []audit.Item) audit.Outcome {
	allowed := 0
	for i := range items {
		if items[i].Outcome == audit.Allowed {
			allowed++
		}
	}
	return outcomeOf(allowed, len(items))
}

func viewName(v policy.View) string {
	if v == 0 {
		return ""
	}
	return v.String()
}

// knownName and knownReason keep what a caller made up out of the log.
func knownName(p *policy.Purpose) string {
	if p == nil {
		return ""
	}
	return p.Name
}

func knownReason(reason string) string {
	if checkReason(reason) != nil {
		return ""
	}
	return reason
}

func isMalformed(err error) bool { return errors.Is(err, token.ErrMalformed) }
