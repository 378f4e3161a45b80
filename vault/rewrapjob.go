package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// The re-wrap puts stored values under the version of their keyset that is in
// use. It opens and closes the outer lock alone, so that no value is in clear.
// It goes through the persons once for all fields, in batches that require the
// control row and each value unchanged. How far it is stands in its row, which
// goes with each batch; a crash costs nothing but the batch under way. What it
// could not take along, since somebody else changed it at that moment, is found
// by the count that ends it.

// rewrapRow is the row of the re-wrap, sealed.
type rewrapRow struct {
	// Keysets is the keyset generation for which everything was re-wrapped.
	Keysets uint64 `json:"keysets"`
	// Paused says that somebody stopped it.
	Paused bool `json:"paused,omitempty"`
	// Cursor is the person at whom it goes on; 0: it does not run.
	Cursor  uint64    `json:"cursor,omitempty"`
	Total   uint64    `json:"total,omitempty"`
	Done    uint64    `json:"done,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

// rewrapper is the one re-wrap of a vault.
type rewrapper struct {
	waker
	mu  sync.Mutex // guards row and the row in the store
	row rewrapRow
}

// openRewrap reads the row.
func (v *Vault) openRewrap(ctx context.Context) error {
	row, err := v.storedRewrap(ctx)
	if err == nil {
		v.rewrap.row = row
	}
	return err
}

// storedRewrap returns the row; the zero one when there is none.
func (v *Vault) storedRewrap(ctx context.Context) (row rewrapRow, err error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.RewrapKey}}, &have); err != nil {
		return row, err
	}
	sealed, ok := have.Value(0)
	if !ok {
		return row, nil
	}
	plain, err := v.ring.Snapshot().Rows().Open(nil, sealed, sealedRow(v.id, "rewrap", 0))
	if err != nil || len(plain) == 0 || plain[0] != sealedFormat || json.Unmarshal(plain[1:], &row) != nil {
		return row, fmt.Errorf("%w: the row that says how far the re-wrap is", store.ErrCorrupt)
	}
	return row, nil
}

// putRewrap adds the row to a batch.
func (v *Vault) putRewrap(b *store.Batch, row *rewrapRow) error {
	text, err := json.Marshal(row)
	if err != nil {
		return err
	}
	plain := append([]byte{sealedFormat}, text...)
	b.Put(rows.Control, rows.RewrapKey, v.ring.Snapshot().Rows().Seal(nil, plain, sealedRow(v.id, "rewrap", 0)))
	return nil
}

// changeRewrap changes the row, durably.
func (v *Vault) changeRewrap(ctx context.Context, change func(*rewrapRow)) error {
	v.rewrap.mu.Lock()
	defer v.rewrap.mu.Unlock()
	next := v.rewrap.row
	change(&next)
	var b store.Batch
	if err := v.putRewrap(&b, &next); err != nil {
		return err
	}
	if err := v.values.Commit(ctx, &b); err != nil {
		return err
	}
	v.rewrap.row = next
	return nil
}

func (r *rewrapper) now() rewrapRow {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.row
}

// RewrapValues looks for stored values under versions that are not in use and
// re-wraps them, in the background. A rotation does so by itself.
func (v *Vault) RewrapValues(ctx context.Context, c Caller, reason string) error {
	return v.steerRewrap(ctx, c, reason, "begin", func(row *rewrapRow) { row.Keysets = 0 })
}

// PauseRewrap stops the re-wrap until ResumeRewrap, also over restarts.
func (v *Vault) PauseRewrap(ctx context.Context, c Caller, reason string) error {
	return v.steerRewrap(ctx, c, reason, "pause", func(row *rewrapRow) { row.Paused = true })
}

// ResumeRewrap lets the re-wrap go on where it was.
func (v *Vault) ResumeRewrap(ctx context.Context, c Caller, reason string) error {
	return v.steerRewrap(ctx, c, reason, "resume", func(row *rewrapRow) { row.Paused = false })
}

func (v *Vault) steerRewrap(ctx context.Context, c Caller, reason, what string, change func(*rewrapRow)) error {
	entry := audit.Entry{Action: audit.ActionValuesRewrap, Object: what, Reason: knownReason(reason)}
	st, err := v.inspect(ctx, c, policy.ActionKeysRotate, entry)
	if err != nil {
		return err
	}
	if refused := checkReason(reason); refused != nil {
		return v.refused(ctx, c, st, refused, entry)
	}
	if err := v.inspected(ctx, c, st, entry); err != nil {
		return err
	}
	if err := v.changeRewrap(ctx, change); err != nil {
		return failure(err)
	}
	v.showRewrapToCome()
	v.rewrap.wake()
	return nil
}

// showRewrapToCome puts the re-wrap on the board before it begins, so that who
// asked for it and then watches does not see nothing.
func (v *Vault) showRewrapToCome() {
	switch {
	case v.rewrap.now().Paused:
		v.showRewrap(WorkPaused, "", "")
	case v.state.Load().sealed == "":
		v.showRewrap(WorkRunning, "counting", "")
	}
}

// rewrapRetry is how long the re-wrap waits after a failure.
const rewrapRetry = 10 * time.Second

// keepRewrap runs the re-wrap whenever keys changed, until the vault closes.
func (v *Vault) keepRewrap(ctx context.Context) {
	v.rewrap.wake() // what an earlier run left, or a crash kept it from hearing of
	first := sync.OnceFunc(v.begun.Done)
	defer first()
	for ; ; first() {
		select {
		case <-ctx.Done():
			return
		case <-v.rewrap.woken:
		}
		err := v.rewrapAll(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		v.logger.Warn("the re-wrap of stored values is tried again", "error", err)
		v.showRewrap(WorkWaiting, "", fmt.Sprint(failure(err)))
		if rest(ctx, rewrapRetry) == nil {
			v.rewrap.wake()
		}
	}
}

// showRewrap puts the re-wrap on the board.
func (v *Vault) showRewrap(state WorkState, step, problem string) {
	row := v.rewrap.now()
	w := KeyWork{Kind: WorkRewrap, State: state, Step: step, Problem: problem, Started: row.Started}
	if row.Cursor != 0 { // else these are of the one before
		w.Total, w.Done, w.Rate = row.Total, row.Done, v.rewrapRate.rate()
	}
	v.work.show(w, v.now())
}

// maxPasses is how often the persons are gone through while something is left
// that can be re-wrapped. What is left then does not open.
const maxPasses = 3

// rewrapAll re-wraps everything that is not under the version in use, when keys
// changed since that was last done.
func (v *Vault) rewrapAll(ctx context.Context) error {
	var of uint64 // the keyset generation that the passes are of
	for pass := 0; ; pass++ {
		row := v.rewrap.now()
		if row.Paused {
			v.showRewrap(WorkPaused, "", "")
			return nil
		}
		st := v.state.Load()
		if st.sealed != "" {
			return nil // unsealing wakes it
		}
		control, err := rows.ParseControl(st.control)
		if err != nil {
			return err
		}
		if control.Keysets != of {
			of, pass = control.Keysets, 0
		}
		if row.Keysets == control.Keysets && row.Cursor == 0 {
			v.showRewrapOver()
			return nil
		}
		if !severalVersions(st.keys) {
			return v.endRewrap(ctx, control.Keysets, 0, 0)
		}
		counted, err := v.takeCensus(ctx, givingWay, func(uint64) { v.showRewrap(WorkRunning, "counting", "") })
		if err != nil {
			return err
		}
		open, shut := counted.stale(st.keys)
		if open == 0 || pass == maxPasses {
			return v.endRewrap(ctx, control.Keysets, open, shut)
		}
		if err := v.beginRewrap(ctx, pass, open); err != nil {
			return err
		}
		stopped, err := v.rewrapPersons(ctx)
		switch {
		case err != nil:
			return err
		case stopped:
			continue // and look why
		}
		if err := v.resealRows(ctx); err != nil {
			return err
		}
	}
}

// showRewrapOver takes back that something might be to come.
func (v *Vault) showRewrapOver() {
	work, _ := v.work.look()
	for _, w := range work {
		if w.Kind == WorkRewrap && w.State != WorkDone {
			v.work.show(KeyWork{Kind: WorkRewrap, State: WorkDone, Started: w.Started}, v.now())
		}
	}
}

// severalVersions reports whether anything could stand under another version
// than the one in use.
func severalVersions(s *keys.Snapshot) bool {
	for _, in := range s.Info() {
		if in.ID.Kind != keys.KindField && in.ID.Kind != keys.KindRows {
			continue
		}
		for _, version := range in.Versions {
			if version.Version != in.Primary && version.State != keys.Destroyed {
				return true
			}
		}
	}
	return false
}

// beginRewrap notes how much there is to do. A pass that was cut off goes on.
func (v *Vault) beginRewrap(ctx context.Context, pass int, open uint64) error {
	return v.changeRewrap(ctx, func(row *rewrapRow) {
		if row.Cursor != 0 && pass == 0 { // done before the crash, and what is left
			row.Total = row.Done + open
			return
		}
		if row.Started.IsZero() || row.Cursor == 0 && pass == 0 {
			*row = rewrapRow{Keysets: row.Keysets, Started: v.now().UTC()}
		}
		row.Cursor, row.Total = 1, row.Done+open
	})
}

// endRewrap notes that everything stands under the versions in use, and logs
// it; what does not is said.
func (v *Vault) endRewrap(ctx context.Context, keysets, open, shut uint64) error {
	row := v.rewrap.now()
	worked := row.Cursor != 0
	err := v.changeRewrap(ctx, func(row *rewrapRow) { row.Keysets, row.Cursor = keysets, 0 })
	if err != nil {
		return err
	}
	problem := ""
	switch {
	case open > 0:
		problem = fmt.Sprintf("%d value(s) do not open and stay under an older version", open)
		v.logger.Error("stored values do not open and cannot be re-wrapped", "count", open)
	case shut > 0:
		problem = fmt.Sprintf("%d value(s) stand under versions that are disabled", shut)
	}
	if open == 0 { // what was not re-wrapped here was written anew by callers, or deleted
		row.Done = row.Total
	}
	v.work.show(KeyWork{
		Kind: WorkRewrap, State: WorkDone, Problem: problem, Total: row.Total, Done: row.Done, Left: open + shut, Started: row.Started,
	}, v.now())
	if !worked {
		return nil
	}
	v.logger.Info("stored values were re-wrapped", "count", row.Done, "left", open)
	return waitFor(ctx, v.log.Append(&audit.Entry{
		Principal: Self, Action: audit.ActionValuesRewrap, Object: objectText("end,", fmt.Sprint(row.Done), "re-wrapped,", fmt.Sprint(open), "left"),
		PolicyVersion: v.state.Load().policy.Version(), Outcome: audit.Allowed,
	}))
}
