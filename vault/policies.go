package vault

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// storedPolicy is a row of the policies table: this, as JSON, compressed and
// sealed, so that who holds the disk cannot give himself a right.
type storedPolicy struct {
	Document  []byte           `json:"document"`
	Registry  *policy.Registry `json:"registry"`
	AppliedBy string           `json:"applied_by"`
	AppliedAt time.Time        `json:"applied_at"`
}

// PolicyDocument is a policy file as it was applied.
type PolicyDocument struct {
	Document  []byte
	Version   uint64
	AppliedBy string
	AppliedAt time.Time
}

// ApplyRequest replaces the policy.
type ApplyRequest struct {
	Document     []byte
	Expected     *uint64 // when set, the current version must be this one
	ValidateOnly bool
}

// ApplyPolicy replaces the policy by a document, atomically. It returns the
// version in force afterwards and whether it changed. From the answer on,
// every call is decided by it.
func (v *Vault) ApplyPolicy(ctx context.Context, c Caller, q ApplyRequest) (uint64, bool, error) {
	st := v.state.Load()
	if refused := st.may(st.policy.Principal(c.Principal), policy.ActionPolicyApply); refused != nil {
		return 0, false, v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionPolicyApply})
	}
	if err := v.log.Healthy(); err != nil {
		return 0, false, &Error{Reason: AuditUnavailable, Detail: texts[AuditUnavailable], cause: err}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	st, err := v.reloadLocked(ctx)
	if err != nil {
		return 0, false, failure(err)
	}
	next, refused, err := v.proposed(ctx, c, st, &q)
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
	policy *policy.Policy
	stored storedPolicy
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
	for _, id := range registry.Dropped(st.registry) {
		f := st.policy.Field(id)
		if f == nil {
			continue
		}
		holds, err := v.holdsValues(ctx, f)
		if err != nil {
			return nil, nil, err
		}
		if holds {
			return nil, refuse(FieldHoldsValues, f.Collection.Name+"."+f.Name, "still holds values and cannot be dropped"), nil
		}
	}
	return &proposal{compiled, storedPolicy{
		Document: q.Document, Registry: registry, AppliedBy: c.Principal, AppliedAt: v.now().UTC(),
	}}, nil, nil
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

// holdsValues tells whether any record holds a value of the field. It reads
// records in pages and stops at the first; dropping a field is rare.
func (v *Vault) holdsValues(ctx context.Context, f *policy.Field) (bool, error) {
	from, to := rows.MemberRange(uint16(f.Collection.ID), 0)
	for {
		page, err := v.values.Scan(ctx, rows.Members, from, to, scanPage)
		if err != nil || len(page) == 0 {
			return false, err
		}
		refs := make([]uint64, len(page))
		for i, r := range page {
			if refs[i], err = rows.ParseMemberKey(r.Key); err != nil {
				return false, err
			}
		}
		found, err := v.readRecords(ctx, f.Collection, refs)
		if err != nil {
			return false, err
		}
		for _, r := range found {
			if r.err != nil {
				return false, r.err // it might
			}
			if r.record == nil {
				continue
			}
			if items := r.record.Find(uint32(f.ID)); items != nil && len(items.Items) > 0 {
				return true, nil
			}
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// storePolicy commits a checked policy with its audit entry and puts it in
// force. Keysets of new fields and domains are durable before.
func (v *Vault) storePolicy(ctx context.Context, c Caller, st *state, next *proposal) error {
	fresh := &state{policy: next.policy, registry: next.stored.Registry}
	if err := v.makeKeys(ctx, st.policy, next.policy); err != nil {
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
	fresh.control = control.Append(nil)
	entry := v.changeEntry(c, audit.ActionPolicyApply, version)
	var b store.Batch
	b.RequireEqual(rows.People, rows.ControlKey, st.control)
	b.RequireAbsent(rows.Policies, rows.VersionKey(version))
	b.Put(rows.People, rows.ControlKey, fresh.control)
	b.Put(rows.Policies, rows.VersionKey(version), sealed)
	b.Put(rows.Outbox, bytes.Clone(entry.ID[:]), entry.Append(nil))
	err = v.values.Commit(ctx, &b)
	if isConflict(err) {
		return fail(Contention, "")
	}
	if err != nil {
		return failure(err)
	}
	v.state.Store(fresh)
	if err := waitFor(ctx, v.log.Append(entry)); err != nil {
		v.outbox.owe(entry.ID)
		return err
	}
	v.outbox.confirm(entry.ID)
	return nil
}

func (v *Vault) sealPolicy(version uint64, p *storedPolicy) ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return v.ring.Snapshot().Rows().Seal(nil, packed.Bytes(), sealedRow(v.id, "policy", version)), nil
}

// readPolicy reads a stored policy; nil when there is none of that version.
func (v *Vault) readPolicy(ctx context.Context, version uint64) (*storedPolicy, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Policies, Key: rows.VersionKey(version)}}, &have); err != nil {
		return nil, err
	}
	sealed, ok := have.Value(0)
	if !ok {
		return nil, nil
	}
	packed, err := v.ring.Snapshot().Rows().Open(nil, sealed, sealedRow(v.id, "policy", version))
	if err != nil {
		return nil, fmt.Errorf("%w: policy version %d: %w", store.ErrCorrupt, version, err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%w: policy version %d: %w", store.ErrCorrupt, version, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: policy version %d: %w", store.ErrCorrupt, version, err)
	}
	p := &storedPolicy{Registry: new(policy.Registry)}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("%w: policy version %d: %w", store.ErrCorrupt, version, err)
	}
	return p, nil
}

// loadPolicy compiles a stored policy.
func (v *Vault) loadPolicy(ctx context.Context, version uint64) (*policy.Policy, *policy.Registry, error) {
	p, err := v.readPolicy(ctx, version)
	if err != nil {
		return nil, nil, err
	}
	if p == nil {
		return nil, nil, fmt.Errorf("%w: policy version %d is missing", store.ErrCorrupt, version)
	}
	file, err := policy.Parse(p.Document)
	if err != nil {
		return nil, nil, fmt.Errorf("the stored policy version %d is not accepted by this program: %w", version, err)
	}
	compiled, err := policy.Compile(file, p.Registry, version)
	return compiled, p.Registry, err
}

// bootstrapPolicy is the policy of a vault that has none yet.
func (v *Vault) bootstrapPolicy(ctx context.Context) (*policy.Policy, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.BootstrapKey}}, &have); err != nil {
		return nil, err
	}
	sealed, ok := have.Value(0)
	if !ok {
		return nil, fmt.Errorf("%w: the first administrator's row is missing", store.ErrCorrupt)
	}
	admin, err := v.ring.Snapshot().Rows().Open(nil, sealed, sealedRow(v.id, "bootstrap", 0))
	if err != nil {
		return nil, fmt.Errorf("%w: the first administrator's row: %w", store.ErrCorrupt, err)
	}
	return policy.Bootstrap(string(admin)), nil
}

// GetPolicy returns a policy document; version 0 asks for the current one.
func (v *Vault) GetPolicy(ctx context.Context, c Caller, version uint64) (*PolicyDocument, error) {
	st := v.state.Load()
	if refused := st.may(st.policy.Principal(c.Principal), policy.ActionPolicyRead); refused != nil {
		return nil, v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionPolicyRead})
	}
	if version == 0 {
		version = st.policy.Version()
	}
	out := &PolicyDocument{Version: version}
	if version > 0 {
		p, err := v.readPolicy(ctx, version)
		if err != nil {
			return nil, failure(err)
		}
		if p == nil {
			return nil, v.refused(ctx, c, st, refuse(PolicyNotFound, "version", "no policy of this version is kept"), audit.Entry{Action: audit.ActionPolicyRead})
		}
		out.Document, out.AppliedBy, out.AppliedAt = p.Document, p.AppliedBy, p.AppliedAt
	}
	if err := v.logPolicy(ctx, c, st, audit.ActionPolicyRead); err != nil {
		return nil, err
	}
	return out, nil
}

// Identity says who the vault takes a caller for.
type Identity struct {
	Principal     string
	Known         bool
	Roles         []string
	PolicyVersion uint64
}

// WhoAmI says who the caller is. It reveals nothing of others and is open to
// every authenticated caller.
func (v *Vault) WhoAmI(c Caller) Identity {
	p := v.state.Load().policy
	out := Identity{Principal: c.Principal, PolicyVersion: p.Version()}
	if pr := p.Principal(c.Principal); pr != nil {
		out.Known, out.Roles = true, pr.Roles
	}
	return out
}

func (v *Vault) logPolicy(ctx context.Context, c Caller, st *state, a audit.Action) error {
	return waitFor(ctx, v.log.Append(&audit.Entry{
		Request: c.Request, Principal: c.Principal, Action: a,
		PolicyVersion: st.policy.Version(), Outcome: audit.Allowed,
	}))
}
