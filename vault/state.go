package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// state is what a call decides by: immutable, replaced as a whole when the
// control row changes. A call that finds another control row in its snapshot
// loads the state anew and starts again.
type state struct {
	control  []byte         // the control row this state was made for
	policy   *policy.Policy // by which is decided: without the rights of frozen roles
	whole    *policy.Policy // as applied; the same when no role is frozen
	registry *policy.Registry
	keys     *keys.Snapshot
	tokens   *token.Codec
	primary  map[uint16]uint16 // by domain: the version that new tokens are of
	retired  map[uint32]Reason // by domain<<16 | version: why its tokens do not open

	frozen *frozen  // nil: nothing is
	honey  honeySet // nil: nobody is

	closed map[policy.FieldID]bool // fields that take no values now; see closeFields

	sealed string // why the vault gave up its keys; empty: it did not

	// requests are the destructions that wait for approval, by number: how many
	// approvals each has. The rows must agree.
	requests map[uint64]int
}

var controlPair = store.Key{Table: rows.People, Key: rows.ControlKey}

// current tells whether st still holds, given the control row of a snapshot.
func (st *state) current(control []byte, ok bool) bool { return ok && bytes.Equal(control, st.control) }

// reload makes the state fit the stored control row and returns it. Whoever
// changes the row publishes its state before it goes on, so mostly there is
// nothing to wait for.
func (v *Vault) reload(ctx context.Context) (*state, error) {
	if st, _, err := v.fitting(ctx); st != nil || err != nil {
		return st, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reloadLocked(ctx)
}

// fitting returns the state if it fits the stored control row, and the row.
func (v *Vault) fitting(ctx context.Context) (*state, []byte, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{controlPair}, &have); err != nil {
		return nil, nil, err
	}
	row, ok := have.Value(0)
	if !ok {
		return nil, nil, fmt.Errorf("%w: the control row is missing", store.ErrCorrupt)
	}
	if st := v.state.Load(); st != nil && st.current(row, true) {
		return st, row, nil
	}
	return nil, row, nil
}

func (v *Vault) reloadLocked(ctx context.Context) (*state, error) {
	for {
		st, row, err := v.fitting(ctx)
		if st != nil || err != nil {
			return st, err
		}
		st, err = v.loadState(ctx, row)
		if err == nil {
			v.state.Store(st)
			return st, nil
		}
		if !errors.Is(err, store.ErrCorrupt) {
			return nil, err
		}
		// The rows were not read at one moment: what disagrees may be of two
		// generations. It counts only when there is one.
		_, now, again := v.fitting(ctx)
		if again != nil || bytes.Equal(row, now) {
			return nil, errors.Join(err, again)
		}
	}
}

// loadState makes the state that belongs to a control row.
func (v *Vault) loadState(ctx context.Context, row []byte) (*state, error) {
	control, err := rows.ParseControl(row)
	if err != nil {
		return nil, err
	}
	st := &state{control: bytes.Clone(row)}
	if err := v.followKeysets(ctx); err != nil {
		return nil, err
	}
	if err := v.fillPolicy(ctx, st, control.Policy); err != nil {
		return nil, err
	}
	freezes, honey, err := v.loadRestrictions(ctx, func(_ numbered, err error) error { return err })
	if err != nil {
		return nil, err
	}
	if err := v.checkGuard(ctx, row, freezes, honey); err != nil {
		return nil, err
	}
	st.honey = honey
	if err := st.restrict(freezes); err != nil {
		return nil, err
	}
	if st.requests, err = v.checkKeysets(ctx, control); err != nil {
		return nil, err
	}
	if why := v.sealed.Load(); why != nil {
		v.sealState(st, *why)
		return st, nil
	}
	return st, v.fillKeys(st)
}

// fillPolicy takes a version of the policy: from the state in force, when only
// something else changed, or from the store.
func (v *Vault) fillPolicy(ctx context.Context, st *state, version uint64) (err error) {
	was := v.state.Load()
	switch {
	case was != nil && was.whole.Version() == version:
		st.whole, st.registry = was.whole, was.registry
	case version == 0:
		st.whole, err = v.bootstrapPolicy(ctx)
	default:
		st.whole, st.registry, err = v.loadPolicy(ctx, version)
	}
	return err
}

// fillKeys takes the keysets of the state's fields and domains. One that is
// missing is an error: a key is made only when a policy declares something
// new, never in place of one that was lost.
func (v *Vault) fillKeys(st *state) error {
	st.keys = v.ring.Snapshot()
	for _, f := range st.whole.Fields() {
		if st.keys.Field(uint32(f.ID)) == nil {
			return fmt.Errorf("%w: the keyset of field %s.%s is missing", keys.ErrNoKey, f.Collection.Name, f.Name)
		}
	}
	v.noteSeen()
	st.primary, st.retired = make(map[uint16]uint16), nil
	var domains []token.Domain
	for _, d := range st.whole.Domains() {
		prf := st.keys.PRF(domainKey(d.ID))
		if prf == nil {
			return fmt.Errorf("%w: the keyset of domain %s is missing", keys.ErrNoKey, d.Name)
		}
		st.primary[uint16(d.ID)] = prf.Primary()
		domains = append(domains, token.Domain{Number: uint16(d.ID), PRF: prf})
	}
	for _, in := range st.keys.Info() {
		if in.ID.Kind != keys.KindDomain {
			continue
		}
		for _, version := range in.Versions {
			if version.State == keys.Enabled {
				continue
			}
			if st.retired == nil {
				st.retired = make(map[uint32]Reason)
			}
			st.retired[in.ID.Number<<16|uint32(version.Version)] = retiredReason(version.State)
		}
	}
	var err error
	st.tokens, err = token.NewCodec(domains)
	return err
}

func retiredReason(s keys.State) Reason {
	if s == keys.Destroyed {
		return KeyDestroyed
	}
	return KeyDisabled
}

// unread says why a token that the codec does not know does not open: its
// version may be out of use.
func (st *state) unread(text string) Reason {
	if st.retired == nil {
		return TokenNotFound
	}
	domain, version, err := token.Header(text)
	if reason, ok := st.retired[uint32(domain)<<16|uint32(version)]; ok && err == nil {
		return reason
	}
	return TokenNotFound
}

// newKey is a keyset that a policy needs and the one in force does not.
type newKey struct {
	id    keys.ID
	field *policy.Field // nil: of a domain
	name  string        // for the audit log: "field customers.email", "domain analytics"
}

// newKeys lists the keysets of what a policy declares and the one in force
// does not. Numbers are never used again, so none of them was in use before;
// one may be there all the same, when an earlier attempt ended after the keys
// were made.
func newKeys(now, next *policy.Policy) []newKey {
	var fresh []newKey
	for _, f := range next.Fields() {
		if now.Field(f.ID) == nil {
			fresh = append(fresh, newKey{keys.ID{Kind: keys.KindField, Number: uint32(f.ID)}, f, "field " + f.Collection.Name + "." + f.Name})
		}
	}
	for _, d := range next.Domains() {
		if now.DomainByID(d.ID) == nil {
			fresh = append(fresh, newKey{id: domainKey(d.ID), name: "domain " + d.Name})
		}
	}
	return fresh
}

// makeKeys makes the keysets durable.
func (v *Vault) makeKeys(ctx context.Context, fresh []newKey) error {
	if len(fresh) == 0 {
		return nil
	}
	ids := make([]keys.ID, len(fresh))
	for i := range fresh {
		ids[i] = fresh[i].id
	}
	return v.ring.Ensure(ctx, ids...)
}

// keyEntries are the audit entries of keysets that come into use with a policy.
func (v *Vault) keyEntries(c Caller, st *state, fresh []newKey) []*audit.Entry {
	out := make([]*audit.Entry, 0, len(fresh))
	for _, k := range fresh {
		e := v.changeEntry(c, audit.ActionKeyCreate, st.whole.Version())
		e.Object = k.name
		if k.field != nil {
			e.Collection, e.Count = k.field.Collection.Name, 1
			e.Items = []audit.Item{{
				Field: k.id.Number, Outcome: audit.Allowed, KeyVersion: st.keys.Field(k.id.Number).Primary(),
			}}
		}
		out = append(out, e)
	}
	return out
}

func domainKey(id policy.DomainID) keys.ID {
	return keys.ID{Kind: keys.KindDomain, Number: uint32(id)}
}
