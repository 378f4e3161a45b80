package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A change of a key is in two stores: keys.db holds the keyset, values.db what
// every call is decided by and the duty to log the change. So it has three
// steps, and a crash between them leaves it done or as if never begun:
//
//  1. values.db: a pending row says what is about to be done;
//  2. keys.db: the one atomic step of the Ring;
//  3. values.db, one batch: the control row moves on, the generations of the
//     keysets are noted, the entry stands in the outbox, the pending row goes.
//
// Whoever finds a pending row looks in the Ring whether step 2 came about: then
// it does step 3, with the entry that the first would have written; else it
// takes the row away.

// Self is the principal of what the vault does by itself, such as a rotation
// that was due.
const Self = "cloakroomd"

// keyChange is a change of a key, as it stands in the pending row.
type keyChange struct {
	Action    audit.Action `json:"action"`
	Kind      KeyKind      `json:"kind"`
	Number    uint32       `json:"number,omitempty"`
	Version   uint16       `json:"version,omitempty"` // that is promoted, disabled, enabled or destroyed
	Before    uint64       `json:"before"`            // generation of the key before the change
	Object    string       `json:"object"`
	Principal string       `json:"principal"`
	Call      string       `json:"call,omitempty"` // id of the call
	Reason    string       `json:"reason,omitempty"`
	Approval  uint64       `json:"approval,omitempty"` // number of the request that is carried out
	// Keysets is the keyset generation of the control row at which it was begun.
	// It ends before that moves on, so a row of another one was put back.
	Keysets uint64 `json:"keysets"`
}

func (k *keyChange) id() keys.ID { return keys.ID{Kind: keys.Kind(k.Kind), Number: k.Number} }

const pendingRow = "pending-key"

// stepTime bounds the second step, which may ask a key provider: meanwhile
// nobody can freeze anything.
const stepTime = 20 * time.Second

// change carries out a change of a key under the state in force. The caller
// holds v.mu. An error of reason Contention means that nothing happened.
func (v *Vault) changeKey(ctx context.Context, st *state, k *keyChange, step func(context.Context) error) error {
	if err := v.settleEarlier(ctx, st); err != nil {
		return err
	}
	if k.leavesKeys() {
		// Due before it happens, so that a crash cannot keep the file from being
		// rewritten.
		ended, err := v.deletes(ctx)
		if err != nil {
			return failure(err)
		}
		defer ended()
	}
	// What an earlier change left may have moved the state on.
	if now := v.state.Load(); now != st {
		return fail(Contention, "")
	}
	control, err := rows.ParseControl(st.control)
	if err != nil {
		return failure(err)
	}
	k.Before, k.Keysets = v.keyGeneration(k), control.Keysets
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	text = append([]byte{sealedFormat}, text...)
	var b store.Batch
	b.RequireEqual(rows.People, rows.ControlKey, st.control)
	b.RequireAbsent(rows.Control, rows.PendingKeyKey)
	b.Put(rows.Control, rows.PendingKeyKey, v.ring.Snapshot().Rows().Seal(nil, text, sealedRow(v.id, pendingRow, 0)))
	if err := v.values.Commit(ctx, &b); err != nil {
		if isConflict(err) {
			return fail(Contention, "")
		}
		return failure(err)
	}
	// From here on it goes on although the caller may leave: half of it may be
	// done, and the answer says whether.
	ctx = context.WithoutCancel(ctx)
	bounded, stop := context.WithTimeout(ctx, stepTime)
	stepped := step(bounded)
	stop()
	if stepped != nil {
		// The storage may have taken it and lost the answer.
		if err := v.ring.Reload(ctx); err != nil && !errors.Is(err, keys.ErrSealed) {
			v.logger.Error("the keysets cannot be read after a change that failed", "error", err)
			return failure(errors.Join(stepped, err))
		}
	}
	if err := v.settleKeyChange(ctx, st); err != nil {
		return err
	}
	if stepped != nil && v.keyGeneration(k) == k.Before {
		return keyFailure(stepped)
	}
	if k.Kind == KeyAuditSigner {
		return failureOrNil(v.refreshSigners(ctx))
	}
	return nil
}

// leavesKeys reports whether keys.db still holds, on pages that the change
// freed, keys that it put out of use: a destroyed version, or the root as it was
// wrapped before.
func (k *keyChange) leavesKeys() bool {
	return k.Action == audit.ActionKeyDestroy || k.Kind == KeyRoot || k.Kind == KeyKEK
}

// settleEarlier is settleKeyChange of a change that was left behind. Whoever
// left it may have been unable to read the Ring again, so that is done first:
// else a change that came about would be taken for one that did not.
func (v *Vault) settleEarlier(ctx context.Context, st *state) error {
	k, _, err := v.pendingKeyChange(ctx)
	if err != nil {
		return failure(err)
	}
	if k == nil || v.sealed.Load() != nil { // what is left behind waits for the keys
		return nil
	}
	if err := v.ring.Reload(ctx); err != nil {
		return keyFailure(err)
	}
	return v.settleKeyChange(ctx, st)
}

// keyGeneration returns the number that rises when a key is changed.
func (v *Vault) keyGeneration(k *keyChange) uint64 {
	switch k.Kind {
	case KeyRoot:
		return uint64(v.ring.Root().Version)
	case KeyKEK:
		return uint64(v.ring.Root().Wrapping)
	}
	return v.ring.Snapshot().Generation(k.id())
}

// settleKeyChange brings the change that a pending row speaks of to its end, or
// takes the row away when the change never came about.
func (v *Vault) settleKeyChange(ctx context.Context, st *state) error {
	k, sealed, err := v.pendingKeyChange(ctx)
	if err != nil {
		return failure(err)
	}
	if k == nil {
		return nil
	}
	var b store.Batch
	b.RequireEqual(rows.Control, rows.PendingKeyKey, sealed)
	b.Delete(rows.Control, rows.PendingKeyKey)
	control, err := rows.ParseControl(st.control)
	if err != nil {
		return failure(err)
	}
	if k.Keysets != control.Keysets {
		v.logger.Error("the row of a pending change of a key is of another time: somebody put it back; it is taken away", "object", k.Object)
	}
	if v.keyGeneration(k) == k.Before || k.Keysets != control.Keysets {
		err := v.values.Commit(ctx, &b)
		if isConflict(err) {
			return fail(Contention, "")
		}
		return failureOrNil(err)
	}
	next := *st
	if k.Approval != 0 {
		b.Delete(rows.KeyRequests, rows.NumberKey(k.Approval))
		next.requests = withoutRequest(st.requests, k.Approval)
	}
	return v.enactKeys(ctx, st, &next, &b, v.keyChangeEntry(st, k))
}

// pendingKeyChange reads the pending row; nil when there is none.
func (v *Vault) pendingKeyChange(ctx context.Context) (*keyChange, []byte, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.PendingKeyKey}}, &have); err != nil {
		return nil, nil, err
	}
	sealed, ok := have.Value(0)
	if !ok {
		return nil, nil, nil
	}
	text, err := v.ring.Snapshot().Rows().Open(nil, sealed, sealedRow(v.id, pendingRow, 0))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the row of a pending change of a key: %w", store.ErrCorrupt, err)
	}
	k := new(keyChange)
	if len(text) == 0 || text[0] != sealedFormat {
		return nil, nil, fmt.Errorf("%w: the row of a pending change of a key", store.ErrFormat)
	}
	if err := json.Unmarshal(text[1:], k); err != nil {
		return nil, nil, fmt.Errorf("%w: the row of a pending change of a key", store.ErrCorrupt)
	}
	return k, sealed, nil
}

// keyChangeEntry is the audit entry of a change of a key that came about.
func (v *Vault) keyChangeEntry(st *state, k *keyChange) *audit.Entry {
	e := v.changeEntry(Caller{Principal: k.Principal, Request: k.Call}, k.Action, st.whole.Version())
	e.Object, e.Reason = k.Object, k.Reason
	if k.Kind != KeyField {
		return e
	}
	version := k.Version
	if lock := v.ring.Snapshot().Field(k.Number); lock != nil && version == 0 {
		version = lock.Primary()
	}
	if f := st.whole.Field(policy.FieldID(k.Number)); f != nil {
		e.Collection = f.Collection.Name
	}
	e.Count = 1
	e.Items = []audit.Item{{Field: k.Number, Outcome: audit.Allowed, KeyVersion: version}}
	return e
}

// enactKeys puts the keysets as they are now in force, with the requests of
// next, a batch and entries. The caller holds v.mu.
func (v *Vault) enactKeys(ctx context.Context, st, next *state, b *store.Batch, entries ...*audit.Entry) error {
	control, err := rows.ParseControl(st.control)
	if err != nil {
		return failure(err)
	}
	control.Keysets++
	if err := v.refreshSubject(); err != nil {
		return failure(err)
	}
	if err := v.fillKeys(next); err != nil {
		return failure(err)
	}
	v.putKeysets(b, control.Keysets, next.requests)
	noted := v.putUses(b, next.keys)
	if err := v.enact(ctx, st, next, control, b, entries...); err != nil {
		return err
	}
	noted()
	return nil
}

// keyFailure is failure for what a key provider or the Ring says to who changes
// a key: there what is missing is the key that was named, and what is refused
// the change.
func keyFailure(err error) error {
	switch {
	case errors.Is(err, keys.ErrNoKey):
		return &Error{Reason: KeyNotFound, Detail: texts[KeyNotFound], cause: err}
	case errors.Is(err, keys.ErrDestroyed):
		return &Error{Reason: KeyDestroyed, Detail: "this version is destroyed", cause: err}
	case errors.Is(err, keys.ErrDisabled):
		return &Error{Reason: KeyDisabled, Detail: "this version is disabled", cause: err}
	case errors.Is(err, keys.ErrUsage):
		return &Error{Reason: InvalidRequest, Field: "version", Detail: "the version cannot be changed so from the state it is in", cause: err}
	case errors.Is(err, keys.ErrSealed):
		return &Error{Reason: KeysUnavailable, Detail: texts[KeysUnavailable], cause: err}
	}
	return failure(err)
}

func failureOrNil(err error) error {
	if err == nil {
		return nil
	}
	return failure(err)
}

// recoverKeys brings the work on keys of an earlier run to its end, and reads
// what it left.
func (v *Vault) recoverKeys(ctx context.Context) error {
	if err := v.openUses(ctx); err != nil {
		return fmt.Errorf("read how often keys were used: %w", err)
	}
	if err := v.openRewrap(ctx); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.settleKeyChange(ctx, v.state.Load()); err != nil {
		return fmt.Errorf("finish a change of a key: %w", err)
	}
	return nil
}
