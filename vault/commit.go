package vault

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// commit stores the plans, then makes their audit entries durable, then
// finishes erasures. Together they are one batch, which costs one place in the
// engine's queue; when that batch conflicts over one of the records every plan
// stays open and is tried on its own at the next attempt.
func (w *writer) commit(ctx context.Context, plans []*plan, together bool) error {
	if len(plans) == 0 {
		return nil
	}
	if slices.ContainsFunc(plans, func(p *plan) bool { return p.frees }) {
		done, err := w.v.deletes(ctx)
		if err != nil {
			return err
		}
		defer done()
	}
	var stored []*plan
	var err error
	if together {
		stored, err = w.commitTogether(ctx, plans)
	} else {
		stored, err = w.commitEach(ctx, plans)
	}
	if len(stored) == 0 {
		return err
	}
	var waiting receipts
	ids := make([][16]byte, 0, len(stored))
	for _, p := range stored {
		p.finish()
		for i := range p.entries {
			ids = append(ids, p.entries[i].ID)
			waiting.add(w.v.log.Append(&p.entries[i]))
		}
	}
	gone := w.v.destroyErased(ctx, stored)
	if logged := waiting.wait(ctx); logged != nil {
		if isContext(logged) { // the caller left; the entries are still on their way
			w.v.background.Go(func() { w.v.settled(&waiting, ids) })
		} else {
			w.v.outbox.owe(ids...)
		}
		return errors.Join(logged, err, gone)
	}
	w.v.outbox.confirm(ids...)
	return errors.Join(err, gone)
}

func (w *writer) commitTogether(ctx context.Context, plans []*plan) ([]*plan, error) {
	n, m := 1, 0
	for _, p := range plans {
		n += len(p.batch.Requires)
		m += len(p.batch.Writes)
	}
	var all store.Batch
	all.Requires = make([]store.Require, 0, n)
	all.Writes = make([]store.Write, 0, m)
	w.requireControl(&all)
	for _, p := range plans {
		all.Requires = append(all.Requires, p.batch.Requires...)
		all.Writes = append(all.Writes, p.batch.Writes...)
	}
	riding := w.v.outbox.piggyback(&all)
	err := w.v.values.Commit(ctx, &all)
	if err == nil {
		return plans, nil
	}
	w.v.outbox.confirm(riding...)
	for _, p := range plans {
		w.lost(p, err)
	}
	if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
		w.stale = w.stale || conflict.Require == 0
		w.crossed = conflict.Require != 0
		return nil, nil
	}
	return nil, err
}

// atOnce bounds the batches of one call that wait in the engine's queue.
const atOnce = 64

// commitEach commits every plan as a batch of its own, all at once, so that
// the engine groups them.
func (w *writer) commitEach(ctx context.Context, plans []*plan) ([]*plan, error) {
	errs := make([]error, len(plans))
	var all sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for i, p := range plans {
		room <- struct{}{}
		all.Go(func() {
			w.requireControl(&p.batch)
			errs[i] = w.v.values.Commit(ctx, &p.batch)
			<-room
		})
	}
	all.Wait()
	var stored []*plan
	var failed error
	for i, p := range plans {
		conflict := (*store.ConflictError)(nil)
		switch {
		case errs[i] == nil:
			stored = append(stored, p)
			continue
		case errors.As(errs[i], &conflict):
			w.stale = w.stale || conflict.Require == len(p.batch.Requires)-1
		default:
			failed = errs[i]
		}
		w.lost(p, errs[i])
	}
	return stored, failed
}

// requireControl makes a batch conflict when the policy, the keysets or the
// freezes changed since the change was decided.
func (w *writer) requireControl(b *store.Batch) {
	b.RequireEqual(rows.People, rows.ControlKey, w.st.control)
}

// lost notes that a plan was not stored. Where that is certain a new person's
// key has no header and goes; after any other error the header may still come
// to be, so the key is left to the sweep at the next start, which looks.
func (w *writer) lost(p *plan, err error) {
	p.change.created, p.change.stored, p.change.deleted, p.change.item = false, false, 0, 0
	if p.fresh && (isConflict(err) || errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrBusy)) {
		w.orphans = append(w.orphans, p.key.ref)
	}
}

// finish notes that a plan was stored.
func (p *plan) finish() {
	c := p.change
	c.done, c.ref, c.header, c.record = true, p.key.ref, p.header, p.record
}

func isConflict(err error) bool {
	conflict := (*store.ConflictError)(nil)
	return errors.As(err, &conflict)
}

// destroyErased destroys the keys of persons whose erasure was committed.
func (v *Vault) destroyErased(ctx context.Context, stored []*plan) error {
	var refs []uint64
	for _, p := range stored {
		if p.header.State == rows.Erased {
			refs = append(refs, p.key.ref)
		}
	}
	return v.destroyKeys(ctx, refs)
}

// destroyKeys deletes persons' keys and then the marks of their unfinished
// erasures.
func (v *Vault) destroyKeys(ctx context.Context, refs []uint64) error {
	if len(refs) == 0 {
		return nil
	}
	var b, done store.Batch
	for _, ref := range refs {
		v.subjects.drop(ref)
		b.Delete(rows.Subjects, rows.RefKey(ref))
		done.Delete(rows.Control, rows.ErasingKey(ref))
	}
	// The erasure is committed: it goes on although the caller may have left.
	ctx = context.WithoutCancel(ctx)
	ended, err := v.deletes(ctx)
	if err != nil {
		return err
	}
	defer ended()
	if err := v.keys.Commit(ctx, &b); err != nil {
		return err
	}
	for _, ref := range refs {
		v.subjects.drop(ref) // also what a reveal is reading now
	}
	return v.values.Commit(ctx, &done)
}

// finishErasures destroys the keys of erasures that a crash interrupted.
func (v *Vault) finishErasures(ctx context.Context) error {
	from, to := rows.ErasingRange()
	for {
		page, err := v.values.Scan(ctx, rows.Control, from, to, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		refs := make([]uint64, len(page))
		for i, r := range page {
			if refs[i], err = rows.ParseErasingKey(r.Key); err != nil {
				return err
			}
		}
		if refs, err = v.reallyErased(ctx, refs); err != nil {
			return err
		}
		if err := v.destroyKeys(ctx, refs); err != nil {
			return err
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// reallyErased leaves out persons whose header does not say that they are
// erased: a key is not destroyed for good on the word of one row.
func (v *Vault) reallyErased(ctx context.Context, refs []uint64) ([]uint64, error) {
	pairs := make([]store.Key, len(refs))
	for i, ref := range refs {
		pairs[i] = store.Key{Table: rows.People, Key: rows.HeaderKey(ref)}
	}
	var have store.Rows
	if err := v.values.Get(ctx, pairs, &have); err != nil {
		return nil, err
	}
	out := refs[:0]
	for i, ref := range refs {
		row, ok := have.Value(i)
		if ok {
			if h, err := rows.ParseHeader(row); err != nil || h.State != rows.Erased {
				v.logger.Error("a row says that a person is being erased, and the person's header does not; the key is kept")
				continue
			}
		}
		out = append(out, ref)
	}
	return out, nil
}

// erased tells whether the ledger knows a person as erased.
func (v *Vault) erased(ctx context.Context, ref uint64) (bool, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Ledger, Key: rows.RefKey(ref)}}, &have); err != nil {
		return false, err
	}
	_, ok := have.Value(0)
	return ok, nil
}

// actionOf says what a change did, for its audit entry.
func actionOf(c *change, asked audit.Action) audit.Action {
	switch {
	case c.mode == remove:
		return audit.ActionDelete
	case asked == audit.ActionTokenize:
		return asked
	case c.created:
		return audit.ActionCreate
	}
	return audit.ActionUpdate
}
