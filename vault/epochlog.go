package vault

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// endedKept is how many epochs that ended are remembered.
const endedKept = 100

// storedWish reads who asked for the end that is under way, and the row; nil:
// none is.
func (v *Vault) storedWish(ctx context.Context) (*epochWish, []byte, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.EpochEndKey}}, &have); err != nil {
		return nil, nil, err
	}
	row, ok := have.Value(0)
	if !ok {
		return nil, nil, nil
	}
	text, err := v.ring.Snapshot().Rows().Open(nil, row, sealedRow(v.id, "epoch-end", 0))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the row that says who asked for the end of an epoch (%s)", store.ErrCorrupt, err.Error())
	}
	if len(text) == 0 || text[0] != sealedFormat {
		return nil, nil, fmt.Errorf("%w: the row that says who asked for the end of an epoch", store.ErrFormat)
	}
	w := new(epochWish)
	if err := json.Unmarshal(text[1:], w); err != nil {
		return nil, nil, fmt.Errorf("%w: the row that says who asked for the end of an epoch", store.ErrCorrupt)
	}
	return w, row, nil
}

// openWish is storedWish, once an end whose last entry is missing was entered in
// the log: then nobody asks any more.
func (v *Vault) openWish(ctx context.Context, set *epochSet) (*epochWish, error) {
	asked, row, err := v.storedWish(ctx)
	if err != nil || asked == nil || set.previous != nil || asked.Epoch >= set.current.number {
		return asked, err
	}
	return nil, v.logEpochEnded(ctx, asked, row)
}

// logEpochEnd stores who asks, with the entry that the end begins.
func (v *Vault) logEpochEnd(ctx context.Context, st *state, w *epochWish) error {
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	text = append([]byte{sealedFormat}, text...)
	var b store.Batch
	b.RequireAbsent(rows.Control, rows.EpochEndKey)
	b.Put(rows.Control, rows.EpochEndKey, v.ring.Snapshot().Rows().Seal(nil, text, sealedRow(v.id, "epoch-end", 0)))
	return v.commitLogged(ctx, &b, v.epochEntry(st, w, "begins to end"))
}

// logEpochEnded forgets who asked, with the entry that the epoch ended. row is
// what stands in the store; nil: nothing.
func (v *Vault) logEpochEnded(ctx context.Context, w *epochWish, row []byte) error {
	var b store.Batch
	if row != nil {
		b.RequireEqual(rows.Control, rows.EpochEndKey, row)
		b.Delete(rows.Control, rows.EpochEndKey)
	}
	err := v.commitLogged(ctx, &b, v.epochEntry(v.state.Load(), w, "ended"))
	if isConflict(err) {
		return nil // another node did it
	}
	return err
}

func (v *Vault) epochEntry(st *state, w *epochWish, what string) *audit.Entry {
	e := v.changeEntry(Caller{Principal: w.Principal, Request: w.Request}, audit.ActionEpochEnd, st.policy.Version())
	e.Object = fmt.Sprintf("epoch %d %s", w.Epoch, what)
	e.Reason = knownReason(w.Reason)
	return e
}

// commitLogged commits a batch with the audit entry of the change, and returns
// when the entry is durable.
func (v *Vault) commitLogged(ctx context.Context, b *store.Batch, e *audit.Entry) error {
	if err := v.log.Healthy(); err != nil {
		return &Error{Reason: AuditUnavailable, Detail: texts[AuditUnavailable], cause: err}
	}
	var outbox outboxRows
	if err := outbox.put(v, b, e); err != nil {
		return err
	}
	if err := v.values.Commit(ctx, b); err != nil {
		return err
	}
	if err := waitFor(ctx, v.log.Append(e)); err != nil {
		v.outbox.owe(e.ID)
		return err
	}
	v.outbox.confirm(e.ID)
	return nil
}

// recordEnded takes the previous epoch out of use, in one batch, and remembers
// that and until when older copies could be opened.
func (v *Vault) recordEnded(ctx context.Context, set *epochSet) error {
	old, now, how := set.previous, v.now(), v.epochs.destruction()
	ended := rows.EndedEpoch{
		Number: old.number, Ended: now.UnixMilli(), Copies: now.Add(how.Delay).UnixMilli(), Certain: how.Certain, How: how.How,
	}
	if !old.made.IsZero() {
		ended.Made = old.made.UnixMilli()
	}
	before, err := v.endedEpochs(ctx)
	if err != nil {
		return err
	}
	var b store.Batch
	b.RequireEqual(rows.KeyControl, rows.PreviousEpochKey, old.row)
	b.Delete(rows.KeyControl, rows.PreviousEpochKey)
	b.Put(rows.KeyControl, rows.EndedEpochKey(old.number), ended.Append(nil))
	for i := range max(0, len(before)+1-endedKept) {
		b.Delete(rows.KeyControl, rows.EndedEpochKey(before[i].Number))
	}
	v.epochs.mu.Lock()
	defer v.epochs.mu.Unlock()
	err = v.keys.Commit(ctx, &b)
	if v.epochs.set.Load().closed {
		return err
	}
	_, again := v.loadEpochs(ctx)
	if isConflict(err) && again == nil && v.epochs.set.Load().previous == nil {
		return nil // another node did it
	}
	if err == nil {
		err = again
	}
	return err
}

// endedEpochs reads the epochs that ended and are remembered, the oldest first.
func (v *Vault) endedEpochs(ctx context.Context) ([]rows.EndedEpoch, error) {
	from, to := rows.EndedEpochRange()
	page, err := v.keys.Scan(ctx, rows.KeyControl, from, to, scanPage)
	if err != nil {
		return nil, err
	}
	all := make([]rows.EndedEpoch, len(page))
	for i := range page {
		if all[i], err = rows.ParseEndedEpoch(page[i].Value); err != nil {
			return nil, err
		}
	}
	return all, nil
}
