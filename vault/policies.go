package vault

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
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
