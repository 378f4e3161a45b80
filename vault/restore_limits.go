package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// restoreReason is the reason of what a restore itself does.
const restoreReason = "restore"

// restrictAgain puts what calls are decided by in force, in one batch: the
// freezes and marks of now, the policy of the backup, the whole vault frozen
// where a newer policy was lost, the lane of refs, and the entries that tell of
// all this, in the outbox.
func (x *restore) restrictAgain(ctx context.Context) error {
	st, err := x.v.reload(ctx)
	if err != nil {
		return err
	}
	control, err := rows.ParseControl(st.control)
	if err != nil {
		return err
	}
	next := *st
	var b store.Batch
	var entries []*audit.Entry
	if err := x.keepPolicy(ctx, &b, &next, &control); err != nil {
		return err
	}
	x.report.PolicyNow = control.Policy
	caller := Caller{Principal: x.r.By}
	if x.report.PolicyNow != next.whole.Version() {
		e := x.v.changeEntry(caller, audit.ActionPolicyApply, x.report.PolicyNow)
		e.Reason = restoreReason
		entries = append(entries, e)
	}
	freezes, err := x.freezesNow(&b, st)
	if err != nil {
		return err
	}
	if next.honey, err = x.honeyNow(ctx, &b, st); err != nil {
		return err
	}
	x.number = max(x.number, control.Freezes)
	if x.report.PolicyLost > 0 || x.report.Unread > 0 {
		e, err := x.freezeAll(&b, caller, &freezes)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	control.Freezes = x.number + 1
	control.Keysets += x.keyOps + 1
	if err := x.restarts(ctx, &b); err != nil {
		return err
	}
	if e, err := x.pendingKey(ctx, &b); err != nil {
		return err
	} else if e != nil {
		entries = append(entries, e)
	}
	x.v.putKeysets(&b, control.Keysets, nil)
	entries = append([]*audit.Entry{x.restoreEntry()}, entries...)
	var outbox outboxRows
	for _, e := range entries {
		if err := outbox.put(x.v, &b, e); err != nil {
			return err
		}
	}
	next.control = control.Append(nil)
	if err := next.restrict(freezes); err != nil {
		return err
	}
	x.v.putControl(&b, st, &next)
	if err := x.v.values.Commit(ctx, &b); err != nil {
		return err
	}
	// Read back, with all checks of a start.
	x.st, err = x.v.reload(ctx)
	return err
}

// keepPolicy stores the policy of the backup under a version that the log does
// not know yet, when newer ones were applied since, with the numbers of fields
// and collections that those gave out kept free.
func (x *restore) keepPolicy(ctx context.Context, b *store.Batch, next *state, control *rows.ControlRow) error {
	if x.policy <= control.Policy {
		return nil
	}
	x.report.PolicyLost = x.policy
	if control.Policy == 0 {
		return nil // the first administrator's, which is no document
	}
	p, err := x.v.readPolicy(ctx, control.Policy)
	if err != nil {
		return err
	}
	if p == nil {
		return fmt.Errorf("%w: policy version %d is missing", store.ErrCorrupt, control.Policy)
	}
	if p.Registry, err = p.Registry.Reserve(policy.FieldID(x.maxField), len(x.unknown)); err != nil {
		return err
	}
	p.AppliedBy, p.AppliedAt = x.r.By, x.v.now().UTC()
	control.Policy = x.policy + 1
	sealed, err := x.v.sealPolicy(control.Policy, p)
	if err != nil {
		return err
	}
	b.Put(rows.Policies, rows.VersionKey(control.Policy), sealed)
	next.registry = p.Registry
	return nil
}

// freezesNow are the freezes of the copy without those that were thawed since,
// and with those that began.
func (x *restore) freezesNow(b *store.Batch, st *state) ([]storedFreeze, error) {
	var out []storedFreeze
	for _, f := range st.frozen.freezes() {
		if x.told[numbered{rows.Freezes, f.number}].ended != 0 {
			b.Delete(rows.Freezes, rows.NumberKey(f.number))
			x.report.Thawed++
			continue
		}
		out = append(out, f)
	}
	for _, number := range slices.Sorted(maps.Keys(x.freezes)) {
		x.number = max(x.number, number)
		f := x.freezes[number]
		if x.told[numbered{rows.Freezes, number}].ended != 0 || slices.ContainsFunc(out, func(have storedFreeze) bool { return have.number == number }) {
			continue
		}
		if err := x.v.putRow(b, rows.Freezes, number, f); err != nil {
			return nil, err
		}
		out = append(out, *f)
		x.report.Freezes++
	}
	return out, nil
}

// honeyNow are the marks of the copy without those that were ended since.
func (x *restore) honeyNow(ctx context.Context, b *store.Batch, st *state) (honeySet, error) {
	marks := maps.Clone(st.honey)
	have := map[uint64]bool{}
	err := x.v.eachRow(ctx, rows.Honey, func(number uint64, decode func(any) error) error {
		var h storedHoney
		if err := decode(&h); err != nil {
			return err
		}
		have[number] = true
		if x.told[numbered{rows.Honey, number}].ended != 0 {
			b.Delete(rows.Honey, rows.NumberKey(number))
			delete(marks, h.Ref)
			x.report.HoneyEnded++
		}
		return nil
	})
	for at, told := range x.told {
		x.number = max(x.number, at.number)
		if at.table == rows.Honey && told.ended == 0 && !have[at.number] {
			x.report.HoneyLost++
		}
	}
	return marks, err
}

// freezeAll freezes the whole vault, unless it is.
func (x *restore) freezeAll(b *store.Batch, c Caller, freezes *[]storedFreeze) (*audit.Entry, error) {
	x.number++
	f := &storedFreeze{number: x.number, Kind: FreezeVault, Reason: restoreReason, By: c.Principal, At: x.v.now().UTC()}
	if err := x.v.putRow(b, rows.Freezes, f.number, f); err != nil {
		return nil, err
	}
	*freezes = append(*freezes, *f)
	x.report.Frozen = true
	e := x.v.changeEntry(c, audit.ActionFreeze, x.report.PolicyNow)
	e.Reason = restoreReason
	f.enter(e, x.st.policy)
	e.Object = f.object(e.Object)
	return e, nil
}

// restarts begins a lane of refs that was never used, and forgets what belongs
// to the run that the backup was made in.
func (x *restore) restarts(ctx context.Context, b *store.Batch) error {
	x.report.Lane = x.lane + 1
	if x.report.Lane > rows.MaxLane {
		return fmt.Errorf("%w: this vault was restored %d times, which is the most", store.ErrUsage, x.lane-1)
	}
	b.Put(rows.Control, rows.LaneKey, store.AppendCounter(nil, int64(x.report.Lane)))
	b.Delete(rows.Control, rows.RefBlockKey)
	b.Delete(rows.Control, rows.SweptKey)
	// What was deleted and destroyed again stands on freed pages of the new files.
	b.Put(rows.Control, rows.CompactKey, rows.AppendCompactDue(nil, x.v.now().UnixMilli()))
	if err := x.usesSince(ctx, b); err != nil {
		return err
	}
	// Approvals were given for what was then.
	err := x.v.eachRow(ctx, rows.KeyRequests, func(number uint64, _ func(any) error) error {
		b.Delete(rows.KeyRequests, rows.NumberKey(number))
		return nil
	})
	if err != nil {
		return err
	}
	// What of the copy's outbox is in the log already.
	from := []byte{0}
	for {
		page, err := x.v.values.Scan(ctx, rows.Outbox, from, nil, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			if _, missing := x.outbox[[16]byte(r.Key)]; !missing {
				b.Delete(rows.Outbox, r.Key)
			}
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// usesPerItem is more than any key seals for one entry, or one of its items.
const usesPerItem = 16

// usesSince counts as used what the keys may have sealed since the backup, of
// which the copy knows nothing: whatever each entry and each of its items can
// have cost, a re-wrap of everything, and the block that was reserved.
func (x *restore) usesSince(ctx context.Context, b *store.Batch) error {
	more := usesPerItem*(x.report.To-x.report.From+x.items) + x.loaded + UseBlock
	from := []byte{0}
	for {
		page, err := x.v.values.Scan(ctx, rows.KeyUses, from, nil, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			if len(r.Key) == 0 || keys.Kind(r.Key[0]) == keys.KindDomain {
				continue // when its tokens were last seen
			}
			n, err := store.Counter(r.Value)
			if err != nil {
				return err
			}
			b.Put(rows.KeyUses, r.Key, store.AppendCounter(nil, n+int64(more)))
		}
		from = store.Next(page[len(page)-1].Key)
	}
}
