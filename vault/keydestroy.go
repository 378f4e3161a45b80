package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// DestroyKey removes a disabled version of a keyset for ever and has the file
// that held it rewritten. Before that everything that is stored is counted:
// KeyInUse, with the number, when values need the version. With Force it then
// becomes a request, which is returned, and nothing is destroyed until two other
// principals approve it (see ApproveKeyRequest). So does, with or without
// Force, what no count can prove unneeded: a version of a domain, whose tokens
// are outside, and one of the audit-ref key, which older entries need.
func (v *Vault) DestroyKey(ctx context.Context, c Caller, q KeyChange) (*KeyRequest, error) {
	entry := audit.Entry{Action: audit.ActionKeyDestroy, Reason: knownReason(q.Reason)}
	st, err := v.inspect(ctx, c, policy.ActionKeysDestroy, entry)
	if err != nil {
		return nil, err
	}
	k, refused := v.keyChangeOf(st, &q)
	if refused == nil {
		entry.Object = objectText(k.Object)
		if refused = requireReason(q.Reason); refused == nil {
			if refused = ofKeyset(&q, k); refused == nil {
				refused = v.mayDestroy(k.id(), k.Version)
			}
		}
	}
	if refused != nil {
		return nil, v.refused(ctx, c, st, refused, entry)
	}
	// The count may take long, so it is made before anybody has to wait. It
	// holds, since nothing is sealed under a version that is disabled, as long as
	// the keyset stays as it is.
	before := v.keyGeneration(k)
	left, refused, err := v.countForCaller(ctx, k)
	if err != nil {
		return nil, failure(err)
	}
	if refused != nil {
		return nil, v.refused(ctx, c, st, refused, entry)
	}
	needsApproval := left > 0 || k.Kind == KeyDomain || k.Kind == KeyAuditRef
	if left > 0 && !q.Force {
		return nil, v.refused(ctx, c, st, inUse(&q, left), entry)
	}
	var out *KeyRequest
	err = v.keyOperation(ctx, c, policy.ActionKeysDestroy, audit.ActionKeyDestroy, &q, func(st *state, k *keyChange) (*Error, error) {
		if v.keyGeneration(k) != before {
			return changedMeanwhile(), nil
		}
		if needsApproval {
			var err error
			out, err = v.requestDestruction(ctx, c, st, &q, k, left)
			return nil, err
		}
		return nil, v.changeKey(ctx, st, k, func(ctx context.Context) error {
			return v.ring.SetState(ctx, k.id(), k.Version, keys.Destroyed)
		})
	})
	if err != nil || out != nil {
		return out, err
	}
	v.keyDestroyed()
	return nil, nil
}

// keyDestroyed has the file rewritten that still holds the old keyset.
func (v *Vault) keyDestroyed() {
	v.keyChanged()
	v.compactNow()
}

// mayDestroy refuses a version that is not disabled.
func (v *Vault) mayDestroy(id keys.ID, version uint16) *Error {
	for _, in := range v.ring.Snapshot().Info() {
		if in.ID != id {
			continue
		}
		for _, have := range in.Versions {
			if have.Version != version {
				continue
			}
			switch have.State {
			case keys.Disabled:
				return nil
			case keys.Destroyed:
				return refuse(KeyDestroyed, "version", "this version is destroyed")
			}
			return refuse(InvalidRequest, "version", "must be disabled before it is destroyed")
		}
	}
	return fail(KeyNotFound, "version")
}

const (
	// approvals is how many principals, other than who asked, must approve.
	approvals = 2
	// requestLife is how long a request waits.
	requestLife = 24 * time.Hour
)

// storedRequest is a row of the key_requests table.
type storedRequest struct {
	number     uint64
	Kind       KeyKind   `json:"kind"`
	Number     uint32    `json:"number,omitempty"`
	Version    uint16    `json:"version"`
	Generation uint64    `json:"generation"` // of the keyset when it was asked for
	Reason     string    `json:"reason"`
	By         string    `json:"by"`
	At         time.Time `json:"at"`
	Approved   []string  `json:"approved,omitempty"`
	Values     uint64    `json:"values,omitempty"`
}

func (r *storedRequest) id() keys.ID { return keys.ID{Kind: keys.Kind(r.Kind), Number: r.Number} }

// shown is the request as callers see it.
func (r *storedRequest) shown(st *state) *KeyRequest {
	ref := keyRef(st, r.id())
	return &KeyRequest{
		ID: r.number, Key: ref, Version: uint32(r.Version), Reason: r.Reason, By: r.By, At: r.At,
		Expires: r.At.Add(requestLife), Approved: r.Approved, Values: r.Values, Loss: r.loss(ref),
	}
}

// loss says what is lost with the version.
func (r *storedRequest) loss(ref KeyRef) string {
	switch r.Kind {
	case KeyDomain:
		return fmt.Sprintf("Every token of the domain %s made under version %d stops to mean anything, wherever it is stored; nobody can renew it afterwards.", ref.Name, r.Version)
	case KeyAuditRef:
		return fmt.Sprintf("Entries of the audit log made under version %d can no longer be found by the person, nor told whom they were about; nor that this vault made them.", r.Version)
	case KeyLookup:
		return fmt.Sprintf("Whoever was stored under version %d can no longer be found by the caller's id.", r.Version)
	}
	return fmt.Sprintf("%d stored value(s) under version %d of %s are lost for ever, here and in every backup.", r.Values, r.Version, ref)
}

// requestDestruction stores a request. The caller holds v.mu.
func (v *Vault) requestDestruction(ctx context.Context, c Caller, st *state, q *KeyChange, k *keyChange, left uint64) (*KeyRequest, error) {
	r := &storedRequest{
		Kind: k.Kind, Number: k.Number, Version: k.Version, Generation: v.keyGeneration(k),
		Reason: q.Reason, By: c.Principal, At: v.now().UTC(), Values: left,
	}
	control, err := rows.ParseControl(st.control)
	if err != nil {
		return nil, err
	}
	r.number = control.Keysets + 1 // which enactKeys gives out, once
	var b store.Batch
	if err := v.putRow(&b, rows.KeyRequests, r.number, r); err != nil {
		return nil, err
	}
	waiting, err := v.requests(ctx)
	if err != nil {
		return nil, err
	}
	if len(waiting) >= maxRequests {
		return nil, refuse(Busy, "", fmt.Sprintf("%d requests wait for approval already; withdraw some", maxRequests))
	}
	next := *st
	next.requests = withRequest(nil, r)
	for i := range waiting {
		next.requests[waiting[i].number] = len(waiting[i].Approved)
	}
	for number := range st.requests { // those that lapsed go
		if _, ok := next.requests[number]; !ok {
			b.Delete(rows.KeyRequests, rows.NumberKey(number))
		}
	}
	if err := v.enactKeys(ctx, st, &next, &b, v.requestEntry(c, st, audit.ActionKeyRequest, r, "asked for", q.Reason)); err != nil {
		return nil, err
	}
	return r.shown(st), nil
}

func (v *Vault) requestEntry(c Caller, st *state, a audit.Action, r *storedRequest, what, reason string) *audit.Entry {
	e := v.changeEntry(c, a, st.policy.Version())
	e.Object = objectText(fmt.Sprintf("#%d %s: destruction of %s, %d value(s)", r.number, what, versioned(keyRef(st, r.id()), uint32(r.Version)), r.Values))
	e.Reason = reason
	return e
}

// maxRequests bounds how many wait at once.
const maxRequests = 100

// withRequest returns the requests with one as it is now; withoutRequest without
// one.
func withRequest(all map[uint64]int, r *storedRequest) map[uint64]int {
	next := maps.Clone(all)
	if next == nil {
		next = make(map[uint64]int)
	}
	next[r.number] = len(r.Approved)
	return next
}

func withoutRequest(all map[uint64]int, number uint64) map[uint64]int {
	next := maps.Clone(all)
	delete(next, number)
	return next
}

// KeyRequests lists the destructions that wait for approval, oldest first.
func (v *Vault) KeyRequests(ctx context.Context, c Caller) ([]KeyRequest, error) {
	entry := audit.Entry{Action: audit.ActionKeyRead, Object: "requests"}
	st, err := v.inspect(ctx, c, policy.ActionKeysRead, entry)
	if err != nil {
		return nil, err
	}
	all, err := v.requests(ctx)
	if err != nil {
		return nil, failure(err)
	}
	out := make([]KeyRequest, len(all))
	for i := range all {
		out[i] = *all[i].shown(st)
	}
	entry.Count = uint32(len(out))
	return out, v.inspected(ctx, c, st, entry)
}

// requests reads those that have not lapsed, by time or since their keyset was
// changed.
func (v *Vault) requests(ctx context.Context) ([]storedRequest, error) {
	var all []storedRequest
	err := v.eachRow(ctx, rows.KeyRequests, func(number uint64, decode func(any) error) error {
		r := storedRequest{number: number}
		if err := decode(&r); err != nil {
			return err
		}
		if noted, ok := v.state.Load().requests[number]; !ok || noted != len(r.Approved) {
			v.logger.Error("a row that asks for the destruction of a key is not the one that the vault wrote last: somebody put it back", "number", number)
			return nil
		}
		now := v.ring.Snapshot().Generation(r.id()) // 0: given up for the time being
		if v.now().Before(r.At.Add(requestLife)) && (now == r.Generation || now == 0) {
			all = append(all, r)
		}
		return nil
	})
	return all, err
}

// ApproveKeyRequest approves a destruction that somebody else asked for. The
// second approval, of another principal, carries it out. It is refused when the
// keyset changed since: what was counted may not be so any more.
func (v *Vault) ApproveKeyRequest(ctx context.Context, c Caller, id uint64, reason string) (destroyed bool, err error) {
	refusal := &audit.Entry{Action: audit.ActionKeyApprove, Reason: knownReason(reason), Object: fmt.Sprintf("#%d", id)}
	err = v.administer(ctx, c, policy.ActionKeysApprove, refusal, func(st *state) (*Error, error) {
		if refused := requireReason(reason); refused != nil {
			return refused, nil
		}
		r, refused, err := v.request(ctx, id)
		if r == nil {
			return refused, err
		}
		ref := keyRef(st, r.id())
		refusal.Object = objectText(refusal.Object, versioned(ref, uint32(r.Version)))
		switch {
		case r.By == c.Principal:
			return refuse(ActionDenied, "id", "who asked for a destruction cannot approve it"), nil
		case slices.Contains(r.Approved, c.Principal):
			return refuse(ActionDenied, "id", "the caller has approved it already; the second approval must be another principal's"), nil
		case v.ring.Snapshot().Generation(r.id()) != r.Generation:
			return refuse(ApprovalNotFound, "id", "the keyset was changed since this was asked for; ask again"), nil
		}
		r.Approved = append(r.Approved, c.Principal)
		if len(r.Approved) < approvals {
			var b store.Batch
			if err := v.putRow(&b, rows.KeyRequests, r.number, r); err != nil {
				return nil, err
			}
			next := *st
			next.requests = withRequest(st.requests, r)
			return nil, v.enactKeys(ctx, st, &next, &b, v.requestEntry(c, st, audit.ActionKeyApprove, r, "approved", reason))
		}
		k := &keyChange{
			Action: audit.ActionKeyDestroy, Kind: r.Kind, Number: r.Number, Version: r.Version, Approval: r.number,
			Object:    objectText(fmt.Sprintf("%s #%d, with %d value(s)", versioned(ref, uint32(r.Version)), r.number, r.Values)),
			Principal: c.Principal, Call: c.Request, Reason: reason,
		}
		err = v.changeKey(ctx, st, k, func(ctx context.Context) error {
			return v.ring.SetState(ctx, r.id(), r.Version, keys.Destroyed)
		})
		destroyed = err == nil
		return nil, err
	})
	if destroyed {
		v.keyDestroyed()
	}
	return destroyed, err
}

// WithdrawKeyRequest takes a request back, or turns it down: whoever asked for
// it may, and who may approve.
func (v *Vault) WithdrawKeyRequest(ctx context.Context, c Caller, id uint64, reason string) error {
	refusal := &audit.Entry{Action: audit.ActionKeyApprove, Reason: knownReason(reason), Object: fmt.Sprintf("#%d withdrawn", id)}
	right := policy.ActionKeysApprove
	if st := v.state.Load(); st.may(st.policy.Principal(c.Principal), right) != nil {
		right = policy.ActionKeysDestroy
	}
	return v.administer(ctx, c, right, refusal, func(st *state) (*Error, error) {
		if refused := requireReason(reason); refused != nil {
			return refused, nil
		}
		r, refused, err := v.request(ctx, id)
		if r == nil {
			return refused, err
		}
		if right == policy.ActionKeysDestroy && r.By != c.Principal {
			return refuse(ActionDenied, "id", "only who asked for it, or who may approve, can withdraw it"), nil
		}
		var b store.Batch
		b.Delete(rows.KeyRequests, rows.NumberKey(id))
		next := *st
		next.requests = withoutRequest(st.requests, id)
		return nil, v.enactKeys(ctx, st, &next, &b, v.requestEntry(c, st, audit.ActionKeyApprove, r, "withdrawn", reason))
	})
}

// request finds one that waits.
func (v *Vault) request(ctx context.Context, id uint64) (*storedRequest, *Error, error) {
	all, err := v.requests(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		if all[i].number == id {
			return &all[i], nil, nil
		}
	}
	return nil, fail(ApprovalNotFound, "id"), nil
}
