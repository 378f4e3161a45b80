package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// ApplyRequest replaces the policy.
type ApplyRequest struct {
	Document     []byte
	Expected     *uint64 // when set, the current version must be this one
	ValidateOnly bool
}

// ApplyPolicy replaces the policy by a document, atomically. It returns the
// version in force afterwards and whether it changed. From the answer on,
// every call is decided by it. While there are freezes, PolicyInvalid is also a
// policy that no longer declares a frozen role, or leaves nobody to thaw.
func (v *Vault) ApplyPolicy(ctx context.Context, c Caller, q ApplyRequest) (uint64, bool, error) {
	st := v.state.Load()
	if refused := st.may(st.policy.Principal(c.Principal), policy.ActionPolicyApply); refused != nil {
		return 0, false, v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionPolicyApply})
	}
	if err := v.log.Healthy(); err != nil {
		return 0, false, &Error{Reason: AuditUnavailable, Detail: texts[AuditUnavailable], cause: err}
	}
	if err := v.settle(ctx); err != nil {
		return 0, false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	st, err := v.reloadLocked(ctx)
	if err != nil {
		return 0, false, failure(err)
	}
	if err := v.settleEarlier(ctx, st); err != nil { // a keyset generation has no change pending when it ends
		return 0, false, err
	}
	st = v.state.Load()
	next, refused, err := v.proposed(ctx, c, st, &q)
	if err == nil && refused == nil && next != nil && len(next.dropped) > 0 {
		if !q.ValidateOnly {
			defer v.openFields()
			st, err = v.closeFields(ctx, st, next.dropped)
		}
		if err == nil {
			refused, err = v.mayDrop(ctx, next.dropped)
		}
	}
	if err != nil {
		return 0, false, failure(err)
	}
	if refused != nil {
		return 0, false, v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionPolicyApply})
	}
	if next == nil || q.ValidateOnly {
		version := st.policy.Version()
		if next != nil {
			version = next.policy.Version()
		}
		if err := v.logPolicy(ctx, c, st, audit.ActionPolicyRead); err != nil {
			return 0, false, err
		}
		return version, false, nil
	}
	if err := v.storePolicy(ctx, c, st, next); err != nil {
		return 0, false, err
	}
	return next.policy.Version(), true, nil
}

// proposal is a policy that was checked and not stored yet.
type proposal struct {
	policy  *policy.Policy
	state   *state // with the freezes and marks in force; without keys yet
	stored  storedPolicy
	dropped []*policy.Field // of the policy in force
}

// proposed checks a document against the policy in force. Nothing and no
// refusal means that it is the document in force.
func (v *Vault) proposed(ctx context.Context, c Caller, st *state, q *ApplyRequest) (*proposal, *Error, error) {
	pr := st.policy.Principal(c.Principal)
	if refused := st.may(pr, policy.ActionPolicyApply); refused != nil {
		return nil, refused, nil
	}
	current := st.policy.Version()
	if q.Expected != nil && *q.Expected != current {
		return nil, refuse(PolicyVersionMismatch, "expected_version", fmt.Sprintf("the current version is %d", current)), nil
	}
	if current > 0 {
		was, err := v.readPolicy(ctx, current)
		if err != nil {
			return nil, nil, err
		}
		if bytes.Equal(was.Document, q.Document) {
			return nil, nil, nil
		}
	}
	file, err := policy.Parse(q.Document)
	if err != nil {
		return nil, mistakes(err), nil
	}
	registry, err := file.Register(st.registry)
	if err != nil {
		return nil, mistakes(err), nil
	}
	compiled, err := policy.Compile(file, registry, current+1)
	if err != nil {
		return nil, mistakes(err), nil
	}
	next := &proposal{policy: compiled, stored: storedPolicy{
		Document: q.Document, Registry: registry, AppliedBy: c.Principal, AppliedAt: v.now().UTC(),
	}}
	next.state = &state{whole: compiled, registry: registry, honey: st.honey, requests: st.requests}
	if err := next.state.restrict(st.frozen.freezes()); err != nil {
		return nil, mistakes(err), nil
	}
	problems := st.released(compiled)
	if st.frozen != nil && !next.state.thawable() {
		problems = append(problems, policy.Problem{Path: "principals", Line: 1,
			Message: "there are freezes in force, and no principal that is not frozen would hold incident.thaw: nobody could end them"})
	}
	if len(problems) > 0 {
		return nil, mistakes(problems), nil
	}
	for _, id := range registry.Dropped(st.registry) {
		if f := st.policy.Field(id); f != nil {
			next.dropped = append(next.dropped, f)
		}
	}
	return next, nil, nil
}

// mistakes turns the problems of a document into an error for the caller.
func mistakes(err error) *Error {
	e := &Error{Reason: PolicyInvalid, Detail: "the policy document has mistakes", cause: err}
	var problems policy.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			e.Problems = append(e.Problems, Problem{Path: p.Path, Line: p.Line, Message: p.Message})
		}
		e.Detail = fmt.Sprintf("the policy document has %d mistake(s)", len(problems))
	}
	return e
}

// storePolicy commits a checked policy with its audit entries and puts it in
// force. Keysets of new fields and domains are durable before.
func (v *Vault) storePolicy(ctx context.Context, c Caller, st *state, next *proposal) error {
	fresh, made := next.state, newKeys(st.whole, next.policy)
	if err := v.makeKeys(ctx, made); err != nil {
		return failure(err)
	}
	if err := v.fillKeys(fresh); err != nil {
		return failure(err)
	}
	version := next.policy.Version()
	sealed, err := v.sealPolicy(version, &next.stored)
	if err != nil {
		return failure(err)
	}
	if len(sealed) > store.MaxValueLen {
		return refuse(InvalidRequest, "document", "is too large to be stored")
	}
	control, err := rows.ParseControl(st.control)
	if err != nil {
		return failure(err)
	}
	control.Policy = version
	var b store.Batch
	noted := func() {}
	if len(made) > 0 {
		control.Keysets++
		v.putKeysets(&b, control.Keysets, fresh.requests)
		noted = v.putUses(&b, fresh.keys)
	}
	b.RequireAbsent(rows.Policies, rows.VersionKey(version))
	b.Put(rows.Policies, rows.VersionKey(version), sealed)
	entries := append([]*audit.Entry{v.changeEntry(c, audit.ActionPolicyApply, version)}, v.keyEntries(c, fresh, made)...)
	if err := v.enact(ctx, st, fresh, control, &b, entries...); err != nil {
		return err
	}
	noted()
	return nil
}
