package vault

import (
	"bytes"
	"context"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// fsckView is by what rows are judged: those that were read under the control
// row.
type fsckView struct {
	control []byte
	policy  *policy.Policy
	blind   bool  // offline: the policy does not load, and no cell can be judged
	names   *deep // for names and keysets
	finder  *finder
}

// view returns what is in force. With fresh it is that of the stored control
// row.
func (f *fsck) view(ctx context.Context, fresh bool) (*fsckView, error) {
	if f.offline {
		if f.alone == nil {
			var err error
			if f.alone, err = f.offlineView(ctx); err != nil {
				return nil, err
			}
		}
		return f.alone, nil
	}
	st := f.v.state.Load()
	if fresh {
		var err error
		if st, err = f.v.reload(ctx); err != nil {
			return nil, err
		}
	}
	if st.sealed != "" {
		return nil, refuse(KeysUnavailable, "", "the vault is sealed: "+st.sealed)
	}
	finder, err := f.v.finder(st.keys)
	if err != nil {
		return nil, err
	}
	return &fsckView{
		control: st.control, policy: st.whole, finder: finder,
		names: &deep{v: f.v, policy: st.whole, registry: st.registry, keys: st.keys},
	}, nil
}

// offlineView loads the policy. That it does not load was found already, with
// the other rows of its kind.
func (f *fsck) offlineView(ctx context.Context) (*fsckView, error) {
	w := &fsckView{policy: policy.Bootstrap(""), blind: true}
	w.names = &deep{v: f.v, policy: w.policy, keys: f.v.ring.Snapshot()}
	var err error
	if w.finder, err = f.v.finder(w.names.keys); err != nil {
		return nil, err
	}
	row, err := f.controlRow(ctx)
	if err != nil {
		return nil, err
	}
	w.control = bytes.Clone(row)
	control, err := rows.ParseControl(row)
	if err != nil {
		return w, nil
	}
	if control.Policy == 0 {
		w.blind = false // nothing is declared
		return w, nil
	}
	p, registry, err := f.v.loadPolicy(ctx, control.Policy)
	if err != nil {
		return w, ctx.Err()
	}
	w.policy, w.names.policy, w.names.registry, w.blind = p, p, registry, false
	return w, nil
}
