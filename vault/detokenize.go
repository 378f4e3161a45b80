package vault

import (
	"context"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// DetokenizeRequest asks for the values of 1 to MaxBatch tokens.
type DetokenizeRequest struct {
	Tokens  []string
	Purpose string
	View    policy.View // 0: the widest held
	Reason  string      // a code or ticket for the audit log
}

// Detokenize reveals tokens. Each item of out is a value or an error of its
// own; the call fails as a whole when the caller may reveal nothing, the
// request is out of form, or the vault cannot serve. On error out is empty.
func (v *Vault) Detokenize(ctx context.Context, c Caller, q DetokenizeRequest, out *Revealed) error {
	s := detokenizers.Get().(*detokenizer)
	defer s.release()
	err := v.detokenize(ctx, c, &q, out, s)
	if err != nil {
		out.Wipe()
	}
	return err
}

func (v *Vault) detokenize(ctx context.Context, c Caller, q *DetokenizeRequest, out *Revealed, s *detokenizer) error {
	v.pace.calls.Add(1)
	for range maxAttempts {
		st := v.state.Load()
		pr := st.policy.Principal(c.Principal)
		purpose, refused := st.checkDetokenize(pr, q)
		if refused != nil {
			return v.refused(ctx, c, st, refused, audit.Entry{
				Action: audit.ActionReveal, Purpose: knownName(purpose), Reason: knownReason(q.Reason),
				View: viewName(q.View), Count: uint32(len(q.Tokens)),
			})
		}
		s.decide(st, pr, purpose, q)
		if st.frozen.everything() && s.stopped() {
			return v.refused(ctx, c, st, fail(Frozen, ""), audit.Entry{
				Action: audit.ActionReveal, Purpose: purpose.Name, Reason: q.Reason,
				View: viewName(q.View), Count: uint32(len(q.Tokens)),
			})
		}
		s.ask()
		damaged, changed, err := salvage(ctx, v.values, s.pairs, 1, 2, &s.rows)
		if err != nil {
			return failure(err)
		}
		if row, ok := s.rows.Value(0); changed || !st.current(row, ok) {
			if _, err := v.reload(ctx); err != nil {
				return failure(err)
			}
			continue
		}
		s.refuseDamaged(damaged)
		s.judge(st, purpose)
		if err := v.personKeys(ctx, s); err != nil {
			return failure(err)
		}
		receipts := v.auditReveal(c, st, purpose, q.Reason, q.View, s.items)
		v.openAll(st, s, out)
		v.auditUnopened(c, st, purpose, q.Reason, s, &receipts)
		return receipts.wait(ctx)
	}
	return fail(Contention, "")
}

// maxAttempts bounds how often a call starts again because what it decided by
// was changed meanwhile.
const maxAttempts = 16

// checkDetokenize checks the caller's right to reveal anything for the
// purpose, and the form of the request.
func (st *state) checkDetokenize(pr *policy.Principal, q *DetokenizeRequest) (*policy.Purpose, *Error) {
	if err := st.may(pr, policy.ActionReveal); err != nil {
		return nil, err
	}
	if len(q.Tokens) == 0 || len(q.Tokens) > MaxBatch {
		return nil, refuse(InvalidRequest, "tokens", fmt.Sprintf("must be 1 to %d", MaxBatch))
	}
	if err := checkReason(q.Reason); err != nil {
		return nil, err
	}
	if err := checkView(q.View); err != nil {
		return nil, err
	}
	return purposeOf(st, q.Purpose)
}
