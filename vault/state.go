package vault

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// state is what a call decides by: immutable, replaced as a whole when the
// control row changes. A call that finds another control row in its snapshot
// loads the state anew and starts again.
type state struct {
	control  []byte // the control row this state was made for
	policy   *policy.Policy
	registry *policy.Registry
	keys     *keys.Snapshot
	tokens   *token.Codec
	primary  map[uint16]uint16 // by domain: the version that new tokens are of
}

var controlPair = store.Key{Table: rows.Control, Key: rows.ControlKey}

// current tells whether st still holds, given the control row of a snapshot.
func (st *state) current(control []byte, ok bool) bool { return ok && bytes.Equal(control, st.control) }

// reload makes the state fit the stored control row and returns it.
func (v *Vault) reload(ctx context.Context) (*state, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reloadLocked(ctx)
}

func (v *Vault) reloadLocked(ctx context.Context) (*state, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{controlPair}, &have); err != nil {
		return nil, err
	}
	row, ok := have.Value(0)
	if !ok {
		return nil, fmt.Errorf("%w: the control row is missing", store.ErrCorrupt)
	}
	if st := v.state.Load(); st != nil && st.current(row, true) {
		return st, nil
	}
	control, err := rows.ParseControl(row)
	if err != nil {
		return nil, err
	}
	st := &state{control: bytes.Clone(row)}
	if control.Policy == 0 {
		st.policy, err = v.bootstrapPolicy(ctx)
	} else {
		st.policy, st.registry, err = v.loadPolicy(ctx, control.Policy)
	}
	if err != nil {
		return nil, err
	}
	if err := v.fillKeys(ctx, st); err != nil {
		return nil, err
	}
	v.state.Store(st)
	return st, nil
}

// fillKeys makes sure that every field and domain of the state's policy has
// its keyset, and takes them.
func (v *Vault) fillKeys(ctx context.Context, st *state) error {
	var ids []keys.ID
	for _, f := range st.policy.Fields() {
		ids = append(ids, keys.ID{Kind: keys.KindField, Number: uint32(f.ID)})
	}
	for _, d := range st.policy.Domains() {
		ids = append(ids, keys.ID{Kind: keys.KindDomain, Number: uint32(d.ID)})
	}
	if err := v.ring.Ensure(ctx, ids...); err != nil {
		return fmt.Errorf("make keysets: %w", err)
	}
	st.keys = v.ring.Snapshot()
	st.primary = make(map[uint16]uint16)
	var domains []token.Domain
	for _, d := range st.policy.Domains() {
		prf := st.keys.PRF(keys.ID{Kind: keys.KindDomain, Number: uint32(d.ID)})
		if prf == nil {
			return fmt.Errorf("%w: domain %d", keys.ErrNoKey, d.ID)
		}
		st.primary[uint16(d.ID)] = prf.Primary()
		domains = append(domains, token.Domain{Number: uint16(d.ID), PRF: prf})
	}
	var err error
	st.tokens, err = token.NewCodec(domains)
	return err
}
