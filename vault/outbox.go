package vault

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// planOutbox puts the change's audit entries into its own batch, so that the
// change and the duty to log it are one. What no log would take is refused
// here: once committed it could never be logged, and would stop the vault.
func (w *writer) planOutbox(p *plan) error {
	if len(p.items) == 0 {
		p.items = append(p.items, w.wrote(p, 0, 0, [16]byte{})) // whom it was about
	}
	for items := range slices.Chunk(p.items, audit.MaxItems) {
		e := audit.Entry{
			ID: w.v.changeID(w.now), Time: w.now, Request: w.caller.Request, Principal: w.caller.Principal,
			Action: actionOf(p.change, w.action), PolicyVersion: w.st.policy.Version(), Collection: w.coll.Name,
			Outcome: audit.Allowed, Count: uint32(len(p.items)), Items: items,
		}
		if err := w.outbox.put(w.v, &p.batch, &e); err != nil {
			return err
		}
		p.entries = append(p.entries, e)
	}
	return nil
}

// changeEntry makes the entry of a change that is about no person; enact
// stamps it.
func (v *Vault) changeEntry(c Caller, a audit.Action, policyVersion uint64) *audit.Entry {
	now := v.now()
	return &audit.Entry{
		ID: v.changeID(now), Time: now, Request: c.Request, Principal: c.Principal,
		Action: a, PolicyVersion: policyVersion, Outcome: audit.Allowed,
	}
}

// outbox tracks the rows of the outbox table in this run.
type outbox struct {
	mu sync.Mutex
	// confirmed rows have durable entries in the log. They are deleted along
	// with later changes, which costs no commit of their own.
	confirmed [][16]byte
	// owed rows could not be logged when their change was stored. They stay
	// here until they are, so that no change goes on before.
	owed [][16]byte
	// settling holds one value while somebody logs what is owed.
	settling chan struct{}
}

// piggybackMost bounds the deletes that ride on one batch.
const piggybackMost = 4096

func (o *outbox) confirm(ids ...[16]byte) {
	o.mu.Lock()
	o.confirmed = append(o.confirmed, ids...)
	o.mu.Unlock()
}

func (o *outbox) owe(ids ...[16]byte) {
	o.mu.Lock()
	o.owed = append(o.owed, ids...)
	o.mu.Unlock()
}

// piggyback adds deletes of confirmed rows to a batch and returns them, to be
// confirmed again should the batch fail.
func (o *outbox) piggyback(b *store.Batch) [][16]byte {
	o.mu.Lock()
	n := min(len(o.confirmed), piggybackMost)
	ids := append([][16]byte(nil), o.confirmed[:n]...)
	o.confirmed = append(o.confirmed[:0], o.confirmed[n:]...)
	o.mu.Unlock()
	for i := range ids {
		b.Delete(rows.Outbox, ids[i][:])
	}
	return ids
}

// flush deletes all confirmed rows. Those that it cannot delete stay confirmed.
func (o *outbox) flush(ctx context.Context, values store.Store) error {
	for {
		var b store.Batch
		riding := o.piggyback(&b)
		if len(riding) == 0 {
			return nil
		}
		if err := values.Commit(ctx, &b); err != nil {
			o.confirm(riding...)
			return err
		}
	}
}

// flushEvery is how long confirmed rows wait for a change to ride on.
const flushEvery = 10 * time.Second

// keepOutbox deletes confirmed rows when no change comes along, so that a crash
// finds few of them.
func (v *Vault) keepOutbox(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := v.outbox.flush(ctx, v.values); err != nil && ctx.Err() == nil {
				v.logger.Warn("entries that are in the audit log could not be taken out of the outbox", "error", err)
			}
		}
	}
}

func (o *outbox) allOwed() [][16]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.owed[:len(o.owed):len(o.owed)]
}

// paid moves the first n owed rows to the confirmed ones.
func (o *outbox) paid(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.confirmed = append(o.confirmed, o.owed[:n]...)
	o.owed = slices.Clone(o.owed[n:])
}

// settle logs what is owed, once the log can be written again.
func (v *Vault) settle(ctx context.Context) error {
	if len(v.outbox.allOwed()) == 0 {
		return nil
	}
	select {
	case v.outbox.settling <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-v.outbox.settling }()
	ids := v.outbox.allOwed()
	if err := v.logRows(ctx, ids); err != nil {
		return err
	}
	v.outbox.paid(len(ids))
	return nil
}

// settled waits, on behalf of a caller who left, for entries that are on their
// way into the log.
func (v *Vault) settled(waiting *receipts, ids [][16]byte) {
	if err := waiting.wait(context.Background()); err != nil {
		v.outbox.owe(ids...)
		return
	}
	v.outbox.confirm(ids...)
}

// logRows logs the entries of outbox rows.
func (v *Vault) logRows(ctx context.Context, ids [][16]byte) error {
	pairs := make([]store.Key, len(ids))
	for i := range ids {
		pairs[i] = store.Key{Table: rows.Outbox, Key: ids[i][:]}
	}
	var have store.Rows
	if err := v.values.Get(ctx, pairs, &have); err != nil {
		return failure(err)
	}
	var waiting receipts
	for i := range ids {
		if row, ok := have.Value(i); ok {
			e, err := v.openOutbox(ids[i][:], row)
			if err != nil {
				return failure(err)
			}
			waiting.add(v.log.Append(e))
		}
	}
	return waiting.wait(ctx)
}

// drainOutbox logs the entries of changes that an earlier run committed and
// may not have logged. A row that this vault did not write ends the start, and
// stays where it is: it is evidence.
func (v *Vault) drainOutbox(ctx context.Context) error {
	from := []byte{0}
	for {
		page, err := v.values.Scan(ctx, rows.Outbox, from, nil, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		entries := make([]*audit.Entry, len(page))
		for i, r := range page {
			if entries[i], err = v.openOutbox(r.Key, r.Value); err != nil {
				return err
			}
		}
		logged, err := v.loggedSince(ctx, entries)
		if err != nil {
			return err
		}
		var waiting receipts
		var b store.Batch
		for i, r := range page {
			if !logged[entries[i].ID] {
				waiting.add(v.log.Append(entries[i]))
			}
			b.Delete(rows.Outbox, r.Key)
		}
		if err := waiting.wait(ctx); err != nil {
			return err
		}
		if err := v.values.Commit(ctx, &b); err != nil {
			return err
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// Bounds of the search for entries that are in the log already.
const (
	searchStep  = 512
	searchMost  = 1 << 16  // entries
	searchBytes = 64 << 20 // of entries
	searchSlack = time.Minute
)

// loggedSince returns the ids of entries at the end of the log, back to when
// the given ones were made. Most rows of an outbox are of entries that were
// logged just before a crash; what is not found is logged again, under the same
// id.
func (v *Vault) loggedSince(ctx context.Context, entries []*audit.Entry) (map[[16]byte]bool, error) {
	log, ok := v.log.(audit.Reader)
	if !ok {
		return nil, nil
	}
	oldest := entries[0].Time
	for _, e := range entries {
		if e.Time.Before(oldest) {
			oldest = e.Time
		}
	}
	oldest = oldest.Add(-searchSlack)
	found := make(map[[16]byte]bool)
	bytes := 0
	for to, end := log.Size(), log.Size(); to > log.First() && end-to < searchMost && bytes < searchBytes; {
		from := max(log.First(), to-min(to, searchStep))
		older := true
		h := history{log: log}
		err := h.read(ctx, from, to, func(_ uint64, raw []byte) error {
			e, err := audit.Decode(raw)
			if err == nil {
				bytes += len(raw)
				found[e.ID] = true
				older = older && e.Time.Before(oldest)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if older {
			break
		}
		to = from
	}
	return found, nil
}
