package vault

import (
	"fmt"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// frozen is what is frozen, in the form in which calls ask. It is immutable; a
// state in which nothing is frozen has none.
type frozen struct {
	list        []storedFreeze // by rising number
	principals  map[string]bool
	fields      map[policy.FieldID]bool
	collections map[policy.CollectionID]bool
	vault       bool
}

// without returns the freezes but for one number.
func (z *frozen) without(number uint64) []storedFreeze {
	return slices.DeleteFunc(z.freezes(), func(f storedFreeze) bool { return f.number == number })
}

// freezes returns a copy of the list; none is fine.
func (z *frozen) freezes() []storedFreeze {
	if z == nil {
		return nil
	}
	return slices.Clone(z.list)
}

// stops reports whether every call of a principal is refused.
func (z *frozen) stops(principal string) bool { return z != nil && z.principals[principal] }

// hides reports whether no value of a field may be revealed or confirmed.
func (z *frozen) hides(f *policy.Field) bool {
	return z != nil && (z.vault || z.fields[f.ID] || z.collections[f.Collection.ID])
}

// everything reports whether the whole vault is frozen.
func (z *frozen) everything() bool { return z != nil && z.vault }

// restrict puts freezes in force in a state that is being made: its policy
// becomes the one without the rights of frozen roles. What the policy does not
// declare stays frozen, should it come back.
func (st *state) restrict(freezes []storedFreeze) error {
	st.frozen, st.policy = nil, st.whole
	if len(freezes) == 0 {
		return nil
	}
	z := &frozen{
		list: freezes, principals: map[string]bool{},
		fields: map[policy.FieldID]bool{}, collections: map[policy.CollectionID]bool{},
	}
	var roles []string
	for i := range freezes {
		switch f := &freezes[i]; f.Kind {
		case FreezePrincipal:
			z.principals[f.Target] = true
		case FreezeRole:
			roles = append(roles, f.Target)
		case FreezeField:
			z.fields[policy.FieldID(f.Number)] = true
		case FreezeCollection:
			z.collections[policy.CollectionID(f.Number)] = true
		case FreezeVault:
			z.vault = true
		}
	}
	st.frozen = z
	if !slices.ContainsFunc(roles, st.whole.HasRole) {
		return nil
	}
	var err error
	st.policy, err = st.whole.Suspend(roles...)
	return err
}

// stranger reports whether a freeze is of a principal that the policy does not
// know.
func (st *state) stranger(f *storedFreeze) bool {
	return f.Kind == FreezePrincipal && st.whole.Principal(f.Target) == nil
}

// strangers counts them.
func (st *state) strangers(list []storedFreeze) (n int) {
	for i := range list {
		if st.stranger(&list[i]) {
			n++
		}
	}
	return n
}

// released returns a problem for each frozen role that a policy no longer
// declares: its freeze would end with nobody having thawed it.
func (st *state) released(next *policy.Policy) (out policy.Problems) {
	for _, f := range st.frozen.freezes() {
		if f.Kind == FreezeRole && st.whole.HasRole(f.Target) && !next.HasRole(f.Target) {
			out = append(out, policy.Problem{Path: "roles", Line: 1, Message: fmt.Sprintf(
				"the role %s is frozen, and its freeze would end here: freeze its principals, thaw the role, then apply", f.Target)})
		}
	}
	return out
}

// thawable reports whether somebody could end a freeze.
func (st *state) thawable() bool {
	return slices.ContainsFunc(st.policy.Principals(), func(pr *policy.Principal) bool {
		return st.policy.Can(pr, policy.ActionThaw) && !st.frozen.stops(pr.ID)
	})
}

// may decides whether a caller could do the action on anything at all.
func (st *state) may(pr *policy.Principal, a policy.Action) *Error {
	switch {
	case pr == nil:
		return fail(PrincipalUnknown, "")
	case !st.policy.Can(pr, a):
		if st.suspends() && st.whole.Can(st.whole.Principal(pr.ID), a) {
			return fail(Frozen, "")
		}
		return fail(ActionDenied, "")
	case st.frozen.stops(pr.ID):
		return fail(Frozen, "")
	case st.sealed != "" && !sealedMay(a):
		return refuse(KeysUnavailable, "", "the vault is sealed: "+st.sealed)
	}
	return nil
}

// decide decides one request: 0 allows it. Who would be allowed but for a
// frozen role is told so, and nobody else.
func (st *state) decide(pr *policy.Principal, r policy.Request) Reason {
	d := st.policy.Decide(pr, r)
	switch {
	case d.Allowed:
		return 0
	case st.suspends() && pr != nil && st.whole.Decide(st.whole.Principal(pr.ID), r).Allowed:
		return Frozen
	}
	return refusalOf(d)
}

// suspends reports whether a role of the policy is frozen.
func (st *state) suspends() bool { return st.policy != st.whole }
