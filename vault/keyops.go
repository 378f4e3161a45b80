package vault

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// RotateKey gives a key a fresh version and returns its number. It is in use
// from the answer on, also for calls under way, unless AddOnly is set; older
// versions open what they sealed. Work that follows, such as the re-wrap of
// stored values, goes on in the background: see WatchKeyWork. The version of an
// epoch that is returned is the one that is to begin.
func (v *Vault) RotateKey(ctx context.Context, c Caller, q KeyChange) (fresh uint32, err error) {
	rotate, done := v.rotation(ctx, c, &q, &fresh)
	if err := v.keyOperation(ctx, c, policy.ActionKeysRotate, audit.ActionKeyRotate, &q, rotate); err != nil {
		return 0, err
	}
	done()
	return fresh, nil
}

// rotateSelf is RotateKey by the vault itself.
func (v *Vault) rotateSelf(ctx context.Context, q KeyChange) (fresh uint32, err error) {
	c := Caller{Principal: Self}
	rotate, done := v.rotation(ctx, c, &q, &fresh)
	refusal := &audit.Entry{Action: audit.ActionKeyRotate, Object: objectText(q.Key.String()), Reason: q.Reason}
	if err := v.alone(ctx, c, refusal, v.keyStep(c, audit.ActionKeyRotate, &q, refusal, rotate)); err != nil {
		return 0, err
	}
	done()
	return fresh, nil
}

// keyDo is what an operation on keys does under the state in force.
type keyDo = func(st *state, k *keyChange) (*Error, error)

// rotation returns what a rotation does, and what follows it.
func (v *Vault) rotation(ctx context.Context, c Caller, q *KeyChange, fresh *uint32) (keyDo, func()) {
	return func(st *state, k *keyChange) (*Error, error) {
		switch q.Key.Kind {
		case KeyKEK:
			return refuse(InvalidRequest, "key", "the KEK is rotated where it lives; the root is wrapped anew with RewrapRoot"), nil
		case KeyEpoch, KeyRoot:
			if q.AddOnly {
				return refuse(InvalidRequest, "add_only", "is for keysets"), nil
			}
		case KeyLookup:
			if q.AddOnly {
				return refuse(InvalidRequest, "add_only", "is not for the lookup key, which is used at once or not at all"), nil
			}
		}
		switch q.Key.Kind {
		case KeyEpoch:
			var err error
			*fresh, err = v.beginEpochEnd(ctx, c, st, q.Reason)
			return nil, err
		case KeyRoot:
			k.Object = versioned(q.Key, v.ring.Root().Version+1)
			err := v.changeKey(ctx, st, k, func(ctx context.Context) error { return v.ring.RotateRoot(ctx, v.kek) })
			*fresh = v.ring.Root().Version
			return nil, err
		}
		k.Object = versioned(q.Key, v.nextVersion(k.id()))
		if q.AddOnly {
			k.Object += " added"
		}
		return nil, v.changeKey(ctx, st, k, func(ctx context.Context) error {
			add := v.ring.Rotate
			if q.AddOnly {
				add = v.ring.AddVersion
			}
			version, err := add(ctx, k.id())
			*fresh = uint32(version)
			return err
		})
	}, v.keyChanged
}

// PromoteKey puts an enabled version of a keyset to use.
func (v *Vault) PromoteKey(ctx context.Context, c Caller, q KeyChange) error {
	err := v.keyOperation(ctx, c, policy.ActionKeysRotate, audit.ActionKeyPromote, &q, func(st *state, k *keyChange) (*Error, error) {
		if refused := ofKeyset(&q, k); refused != nil {
			return refused, nil
		}
		if q.Key.Kind == KeyLookup {
			return refuse(InvalidRequest, "key", "the lookup key is rotated only"), nil
		}
		return nil, v.changeKey(ctx, st, k, func(ctx context.Context) error { return v.ring.Promote(ctx, k.id(), k.Version) })
	})
	if err == nil {
		v.keyChanged()
	}
	return err
}

// DisableKey refuses a version of a keyset from the answer on. The version in
// use is replaced by a fresh one in the same step, whose number is returned,
// else 0. Of the rows and the lookup key a version can be disabled only when
// nothing is left under it, since the vault itself could not go on: KeyInUse.
func (v *Vault) DisableKey(ctx context.Context, c Caller, q KeyChange) (uint32, error) {
	var fresh uint32
	before, err := v.unneeded(ctx, c, &q)
	if err != nil {
		return 0, err
	}
	err = v.keyOperation(ctx, c, policy.ActionKeysDisable, audit.ActionKeyDisable, &q, func(st *state, k *keyChange) (*Error, error) {
		refused := ofKeyset(&q, k)
		if refused == nil {
			refused = requireReason(q.Reason)
		}
		if refused != nil {
			return refused, nil
		}
		if before != 0 && v.keyGeneration(k) != before {
			return changedMeanwhile(), nil
		}
		if signer := v.ring.Snapshot().Signer(auditSignerKey); k.Kind == KeyAuditSigner && signer != nil && signer.Version() == k.Version {
			// Its successor must have signed the log before it stops: see
			// refreshSigners.
			first := *k
			first.Action, first.Version = audit.ActionKeyRotate, 0
			first.Object = versioned(q.Key, v.nextVersion(k.id()))
			err := v.changeKey(ctx, st, &first, func(ctx context.Context) error {
				version, err := v.ring.Rotate(ctx, k.id())
				fresh = uint32(version)
				return err
			})
			if err != nil {
				return nil, err
			}
			st = v.state.Load()
		}
		return nil, v.changeKey(ctx, st, k, func(ctx context.Context) error {
			version, err := v.ring.Disable(ctx, k.id(), k.Version)
			if version != 0 {
				fresh = uint32(version)
			}
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	v.keyChanged()
	return fresh, nil
}

// EnableKey takes a disabled version of a keyset back.
func (v *Vault) EnableKey(ctx context.Context, c Caller, q KeyChange) error {
	err := v.keyOperation(ctx, c, policy.ActionKeysRotate, audit.ActionKeyEnable, &q, func(st *state, k *keyChange) (*Error, error) {
		refused := ofKeyset(&q, k)
		if refused == nil {
			refused = requireReason(q.Reason)
		}
		if refused != nil {
			return refused, nil
		}
		return nil, v.changeKey(ctx, st, k, func(ctx context.Context) error {
			return v.ring.SetState(ctx, k.id(), k.Version, keys.Enabled)
		})
	})
	if err == nil {
		v.keyChanged()
	}
	return err
}

// RewrapRoot wraps the root by the next KEK of the options, or by the present
// one anew when there is none, and returns their names. The wrapping is opened
// and compared before it replaces the old one. The old KEK is not needed
// afterwards, but by backups of keys.db made before.
func (v *Vault) RewrapRoot(ctx context.Context, c Caller, reason string) (before, after string, err error) {
	q := KeyChange{Key: KeyRef{Kind: KeyKEK}, Reason: reason}
	err = v.keyOperation(ctx, c, policy.ActionKeysRotate, audit.ActionKeyRewrap, &q, func(st *state, k *keyChange) (*Error, error) {
		to := v.kek
		if v.nextKEK != nil {
			var err error
			if to, err = v.nextKEK(ctx); err != nil {
				v.logger.Error("the next KEK cannot be used", "error", err)
				return nil, keyFailure(err)
			}
		}
		before, after = v.ring.Root().KEK, to.Name()
		k.Object = objectText("kek", before, "to", after)
		err := v.changeKey(ctx, st, k, func(ctx context.Context) error { return v.ring.Rewrap(ctx, v.kek, to) })
		if err == nil {
			v.kek = to
		}
		return nil, err
	})
	return before, after, err
}

// keyOperation runs a change of a key: the right first, then the form of the
// request, then do under the state in force.
func (v *Vault) keyOperation(ctx context.Context, c Caller, right policy.Action, action audit.Action, q *KeyChange, do keyDo) error {
	refusal := &audit.Entry{Action: action, Reason: knownReason(q.Reason)}
	return v.administer(ctx, c, right, refusal, v.keyStep(c, action, q, refusal, do))
}

// keyStep checks the form of a request before do.
func (v *Vault) keyStep(c Caller, action audit.Action, q *KeyChange, refusal *audit.Entry, do keyDo) func(*state) (*Error, error) {
	return func(st *state) (*Error, error) {
		if refused := checkReason(q.Reason); refused != nil {
			return refused, nil
		}
		k, refused := v.keyChangeOf(st, q)
		if refused != nil {
			return refused, nil
		}
		refusal.Object = objectText(k.Object)
		k.Action, k.Principal, k.Call, k.Reason = action, c.Principal, c.Request, q.Reason
		return do(st, k)
	}
}

// keyChangeOf finds the key that a request names.
func (v *Vault) keyChangeOf(st *state, q *KeyChange) (*keyChange, *Error) {
	k := &keyChange{Kind: q.Key.Kind, Version: uint16(q.Version), Object: q.Key.String()}
	if uint32(k.Version) != q.Version {
		return nil, fail(KeyNotFound, "version")
	}
	if q.Version != 0 {
		k.Object = versioned(q.Key, q.Version)
	}
	named := q.Key.Kind == KeyField || q.Key.Kind == KeyIndex || q.Key.Kind == KeyDomain
	switch {
	case q.Key.Kind < KeyField || q.Key.Kind > KeyEpoch:
		return nil, refuse(InvalidRequest, "key", "is of no known kind")
	case named == (q.Key.Name == ""):
		return nil, refuse(InvalidRequest, "key", "must have a name if it is a field's, an index's or a domain's, and none otherwise")
	case !named:
		return k, nil
	}
	number, ok := keyNumber(st, q.Key)
	k.Number = number
	if !ok || v.ring.Snapshot().Generation(k.id()) == 0 {
		return nil, fail(KeyNotFound, "key")
	}
	return k, nil
}

// keyNumber returns the number of a field or a domain by its name. What the
// policy no longer declares goes by its number.
func keyNumber(st *state, ref KeyRef) (uint32, bool) {
	switch ref.Kind {
	case KeyField, KeyIndex:
		collection, field, _ := strings.Cut(ref.Name, ".")
		if f := st.whole.FieldByName(collection, field); f != nil {
			return uint32(f.ID), true
		}
	case KeyDomain:
		if d := st.whole.Domain(ref.Name); d != nil {
			return uint32(d.ID), true
		}
	}
	n, err := strconv.ParseUint(ref.Name, 10, 32)
	return uint32(n), err == nil
}

// keyRef is keyNumber the other way round.
func keyRef(st *state, id keys.ID) KeyRef {
	ref := KeyRef{Kind: KeyKind(id.Kind)}
	switch id.Kind {
	case keys.KindField, keys.KindIndex:
		ref.Name = strconv.FormatUint(uint64(id.Number), 10)
		if f := st.whole.Field(policy.FieldID(id.Number)); f != nil {
			ref.Name = f.Collection.Name + "." + f.Name
		}
	case keys.KindDomain:
		ref.Name = strconv.FormatUint(uint64(id.Number), 10)
		if d := st.whole.DomainByID(policy.DomainID(id.Number)); d != nil {
			ref.Name = d.Name
		}
	}
	return ref
}

// ofKeyset refuses a request about a version that does not name one.
func ofKeyset(q *KeyChange, k *keyChange) *Error {
	switch {
	case q.Key.Kind >= KeyRoot:
		return refuse(InvalidRequest, "key", "must be a keyset: the root, the KEK and the epoch have no versions that could be chosen")
	case k.Version == 0:
		return refuse(InvalidRequest, "version", "is required")
	}
	return nil
}

func inUse(q *KeyChange, left uint64) *Error {
	return refuse(KeyInUse, "version", fmt.Sprintf("%s is still needed by %d stored value(s)", versioned(q.Key, q.Version), left))
}

// nextVersion returns the version that a keyset gets next.
func (v *Vault) nextVersion(id keys.ID) uint32 {
	for _, in := range v.ring.Snapshot().Info() {
		if in.ID == id {
			return uint32(in.Versions[len(in.Versions)-1].Version) + 1
		}
	}
	return 0
}

// keyChanged sets what follows a change of keys going.
func (v *Vault) keyChanged() {
	v.showRewrapToCome()
	v.rewrap.wake()
	v.relookup.wake()
}
