package vault

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// MaxFrozenStrangers is how many principals that the policy does not know may
// be frozen at once. Nothing else is refused for number, so that nobody can use
// up what an incident needs: there are at most as many freezes as the policy has
// principals, roles, fields and collections, and these, and one of the vault
// (some 9,700 by the limits of package policy, a kilobyte each). What a later
// policy drops comes on top, for as long as it stays frozen.
const MaxFrozenStrangers = 200

// FreezeKind says what kind of thing is frozen. Numbers are stored.
type FreezeKind uint8

// What can be frozen.
//
// A frozen principal is refused every call but WhoAmI. What a frozen role
// allows is gone for all who have it; what it denies stays denied, and what
// another role allows stays allowed. No value of a frozen field or collection
// is revealed or confirmed, and none at all while the vault is frozen; writes,
// tokens and metadata go on, so that nothing is lost while an incident is
// handled. A Tokenize confirms what a field holds and is refused; a record can
// be stored all the same.
const (
	FreezePrincipal  FreezeKind = iota + 1 // a principal, known to the policy or not
	FreezeRole                             // a role of the policy
	FreezeField                            // a field, as "collection.field"
	FreezeCollection                       // a collection
	FreezeVault                            // everything; the target is empty
)

// String returns "principal", "role", "field", "collection", "vault", or
// "freeze(n)" for a number that has no name.
func (k FreezeKind) String() string {
	switch k {
	case FreezePrincipal:
		return "principal"
	case FreezeRole:
		return "role"
	case FreezeField:
		return "field"
	case FreezeCollection:
		return "collection"
	case FreezeVault:
		return "vault"
	}
	return fmt.Sprintf("freeze(%d)", uint8(k))
}

// Freeze is a freeze in force.
type Freeze struct {
	ID     uint64 // never used again; later ones are greater
	Kind   FreezeKind
	Target string // the name now, if the policy still has it; empty for the vault
	Reason string // a code or ticket
	By     string // the principal who froze it
	At     time.Time
	// UnknownPrincipal tells that the policy in force names no such principal: it
	// may be mistyped.
	UnknownPrincipal bool
}

// FreezeRequest freezes one thing.
type FreezeRequest struct {
	Kind   FreezeKind
	Target string
	Reason string // a code or ticket; required
}

// storedFreeze is a row of the freezes table. Fields and collections are kept
// by number, so that a new name does not end the freeze; principals and roles
// have only names.
type storedFreeze struct {
	number uint64

	Kind   FreezeKind `json:"kind"`
	Number uint32     `json:"number,omitempty"` // of a field or collection
	Target string     `json:"target,omitempty"` // the name when it was frozen
	Reason string     `json:"reason"`
	By     string     `json:"by"`
	At     time.Time  `json:"at"`
}

// same reports whether both freeze the same thing.
func (f *storedFreeze) same(o *storedFreeze) bool {
	if f.Kind != o.Kind || f.Number != o.Number {
		return false
	}
	return f.Number != 0 || f.Target == o.Target
}

// shown returns the freeze as callers see it under a policy.
func (f *storedFreeze) shown(p *policy.Policy) *Freeze {
	out := &Freeze{ID: f.number, Kind: f.Kind, Target: f.Target, Reason: f.Reason, By: f.By, At: f.At}
	switch f.Kind {
	case FreezePrincipal:
		out.UnknownPrincipal = p.Principal(f.Target) == nil
	case FreezeField:
		if field := p.Field(policy.FieldID(f.Number)); field != nil {
			out.Target = field.Collection.Name + "." + field.Name
		}
	case FreezeCollection:
		if coll := p.CollectionByID(policy.CollectionID(f.Number)); coll != nil {
			out.Target = coll.Name
		}
	}
	return out
}

// enter says in an audit entry what a freeze is of.
func (f *storedFreeze) enter(e *audit.Entry, p *policy.Policy) {
	shown := f.shown(p)
	e.Object = f.Kind.String()
	if shown.Target != "" {
		e.Object += " " + shown.Target
	}
	switch f.Kind {
	case FreezeField:
		e.Collection, _, _ = strings.Cut(shown.Target, ".")
		e.Items = []audit.Item{{Field: f.Number, Outcome: audit.Allowed}}
	case FreezeCollection:
		e.Collection = shown.Target
	}
	e.Count = uint32(len(e.Items))
}

// Freeze freezes a principal, a role, a field, a collection or the vault, and
// returns the freeze. Every call whose read starts after the answer obeys, and
// so does the vault after a restart, until it is thawed. What is frozen already
// keeps its freeze, which is returned.
//
// Fields and collections stay frozen under another name, and a principal that a
// policy drops stays frozen, should it come back. A role is frozen by its name,
// so while it is frozen ApplyPolicy refuses a policy that drops or renames it.
// What the freeze of a role cannot see is a policy that gives its rights to a
// role of another name; freeze the principals where that may come. Refused is
// to freeze oneself, and what would leave nobody who could thaw.
func (v *Vault) Freeze(ctx context.Context, c Caller, q FreezeRequest) (*Freeze, error) {
	var out *Freeze
	refusal := &audit.Entry{Action: audit.ActionFreeze, Reason: knownReason(q.Reason)}
	err := v.administer(ctx, c, policy.ActionFreeze, refusal, func(st *state) (*Error, error) {
		fresh, refused := st.freezeOf(c, &q)
		if refused != nil {
			return refused, nil
		}
		entry := v.changeEntry(c, audit.ActionFreeze, st.policy.Version())
		entry.Reason = q.Reason
		fresh.enter(entry, st.policy)
		refusal.Object = entry.Object
		all := st.frozen.freezes()
		for i := range all {
			if all[i].same(fresh) {
				out = all[i].shown(st.policy)
				entry.Object = all[i].object(entry.Object)
				entry.ID = [16]byte{} // no change: it gets an id like other entries
				return nil, waitFor(ctx, v.log.Append(entry))
			}
		}
		if st.stranger(fresh) && st.strangers(all) >= MaxFrozenStrangers {
			return refuse(InvalidRequest, "target", fmt.Sprintf("no more than %d principals that the policy does not know may be frozen", MaxFrozenStrangers)), nil
		}
		control, err := st.nextControl()
		if err != nil {
			return nil, err
		}
		fresh.number, fresh.By, fresh.At = control.Freezes, c.Principal, v.now().UTC()
		entry.Object = fresh.object(entry.Object)
		next := *st
		if err := next.restrict(append(all, *fresh)); err != nil {
			return nil, err
		}
		if !next.thawable() {
			return refuse(InvalidRequest, "target", "nobody could thaw afterwards: no principal that is not frozen would hold incident.thaw"), nil
		}
		var b store.Batch
		if err := v.putRow(&b, rows.Freezes, fresh.number, fresh); err != nil {
			return nil, err
		}
		out = fresh.shown(st.policy)
		return nil, v.enact(ctx, st, &next, control, &b, entry)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Thaw ends a freeze. From the answer on, calls are decided without it.
func (v *Vault) Thaw(ctx context.Context, c Caller, id uint64, reason string) error {
	return v.administer(ctx, c, policy.ActionThaw, &audit.Entry{Action: audit.ActionThaw, Reason: knownReason(reason)}, func(st *state) (*Error, error) {
		if refused := requireReason(reason); refused != nil {
			return refused, nil
		}
		all := st.frozen.freezes()
		rest := st.frozen.without(id)
		if len(rest) == len(all) {
			return fail(FreezeNotFound, "id"), nil
		}
		entry := v.changeEntry(c, audit.ActionThaw, st.policy.Version())
		entry.Reason = reason
		for i := range all {
			if all[i].number == id {
				all[i].enter(entry, st.policy)
				entry.Object = all[i].object(entry.Object)
			}
		}
		control, err := st.nextControl()
		if err != nil {
			return nil, err
		}
		next := *st
		if err := next.restrict(rest); err != nil {
			return nil, err
		}
		var b store.Batch
		b.Delete(rows.Freezes, rows.NumberKey(id))
		return nil, v.enact(ctx, st, &next, control, &b, entry)
	})
}

// Freezes lists the freezes in force, oldest first.
func (v *Vault) Freezes(ctx context.Context, c Caller) ([]Freeze, error) {
	entry := audit.Entry{Action: audit.ActionIncidentRead, Object: "freezes"}
	st, err := v.inspect(ctx, c, policy.ActionIncidentRead, entry)
	if err != nil {
		return nil, err
	}
	all := st.frozen.freezes()
	out := make([]Freeze, len(all))
	for i := range all {
		out[i] = *all[i].shown(st.policy)
	}
	entry.Count = uint32(len(out))
	return out, v.inspected(ctx, c, st, entry)
}

// freezeOf checks a request and finds what it is about.
func (st *state) freezeOf(c Caller, q *FreezeRequest) (*storedFreeze, *Error) {
	if refused := requireReason(q.Reason); refused != nil {
		return nil, refused
	}
	out := &storedFreeze{Kind: q.Kind, Target: q.Target, Reason: q.Reason}
	switch q.Kind {
	case FreezePrincipal:
		if policy.CheckPrincipalID(q.Target) != nil {
			return nil, refuse(InvalidRequest, "target", "is not the id of a principal")
		}
		if q.Target == c.Principal {
			return nil, refuse(InvalidRequest, "target", "a principal cannot freeze itself")
		}
	case FreezeRole:
		if !st.whole.HasRole(q.Target) {
			return nil, refuse(InvalidRequest, "target", "no such role is declared")
		}
	case FreezeField:
		collection, name, _ := strings.Cut(q.Target, ".")
		field := st.policy.FieldByName(collection, name)
		if field == nil {
			return nil, refuse(UnknownField, "target", "no such field is declared; want collection.field")
		}
		out.Number = uint32(field.ID)
	case FreezeCollection:
		coll := st.policy.Collection(q.Target)
		if coll == nil {
			return nil, fail(UnknownCollection, "target")
		}
		out.Number = uint32(coll.ID)
	case FreezeVault:
		if q.Target != "" {
			return nil, refuse(InvalidRequest, "target", "must be empty for the vault")
		}
	default:
		return nil, refuse(InvalidRequest, "kind", "must be principal, role, field, collection or vault")
	}
	return out, nil
}

// requireReason is checkReason where the audit log must be told why.
func requireReason(reason string) *Error {
	if reason == "" {
		return refuse(InvalidRequest, "reason", "must not be empty")
	}
	return checkReason(reason)
}
