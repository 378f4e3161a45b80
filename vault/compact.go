package vault

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// defaultCompactAfter is by how long after a deletion its bytes are gone from
// the files of the stores.
const defaultCompactAfter = time.Hour

// compactLead is the part of that time that is left for the work itself.
const compactLead = 4

// compaction rewrites the files of the stores some time after a deletion, once
// for all deletions meanwhile, so that what they freed is on no page any more.
// That it is due is stored before the first of them, and taken away when a
// compaction ended during which none was under way.
type compaction struct {
	after time.Duration // negative: never
	clock func() time.Time
	armed chan struct{} // wakes who compacts

	mu       sync.Mutex // held over a commit of the value store
	due      time.Time  // zero: nothing was deleted
	deleting int        // deletions under way
	running  bool
	missed   bool // a deletion was under way while it ran
	soon     bool // and the next one is wanted at once

	run sync.Mutex // held by who compacts what is due
	one sync.Mutex // one store at a time
}

// ready sets up from the options. Without an engine that can compact nothing is
// ever due: it keeps no files.
func (c *compaction) ready(o *Options) {
	c.after, c.clock = o.CompactAfter, o.Now
	c.armed = make(chan struct{}, 1)
}

// compactor returns the store as one that can compact; nil: it keeps no files.
func compactor(s store.Store) store.Compactor {
	c, _ := s.(store.Compactor)
	return c
}

// compacts reports whether a store keeps files that can be compacted.
func (v *Vault) compacts() bool { return compactor(v.keys) != nil || compactor(v.values) != nil }

// deletes is called before rows are deleted whose bytes shall go from the files
// too. It stores that a compaction is due. The deletion has ended when the
// caller calls done.
func (v *Vault) deletes(ctx context.Context) (done func(), err error) {
	c := &v.compaction
	if c.after < 0 || !v.compacts() {
		return func() {}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due.IsZero() {
		if err := v.storeDue(ctx, c.clock().Add(c.after)); err != nil {
			return nil, err
		}
	}
	c.deleting++
	c.missed = c.missed || c.running
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.deleting--
	}, nil
}

// compactNow has the files compacted as soon as can be, and does not wait for
// it: a key was destroyed.
func (v *Vault) compactNow() {
	if !v.compacts() {
		return
	}
	c := &v.compaction
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		c.missed, c.soon = true, true
		return
	}
	if err := v.storeDue(context.Background(), c.clock()); err != nil {
		v.logger.Error("that the files are to be compacted could not be stored", "error", err)
	}
}

// storeDue makes it durable that a compaction is due. The caller holds
// v.compaction.mu.
func (v *Vault) storeDue(ctx context.Context, due time.Time) error {
	var b store.Batch
	b.Put(rows.Control, rows.CompactKey, rows.AppendCompactDue(nil, due.UnixMilli()))
	if err := v.values.Commit(ctx, &b); err != nil {
		return err
	}
	v.compaction.due = due
	select {
	case v.compaction.armed <- struct{}{}:
	default:
	}
	return nil
}

// loadDue finds out what an earlier run left to be compacted.
func (v *Vault) loadDue(ctx context.Context) error {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.CompactKey}}, &have); err != nil {
		return err
	}
	row, ok := have.Value(0)
	if !ok {
		return nil
	}
	due, err := rows.ParseCompactDue(row)
	if err != nil {
		return err
	}
	v.compaction.mu.Lock()
	defer v.compaction.mu.Unlock()
	v.compaction.due = time.UnixMilli(due)
	return nil
}

// compactIn is how long it is until the compaction that is due begins, which is
// ahead of the time at which it shall be over; false: none is due.
func (v *Vault) compactIn() (time.Duration, bool) {
	c := &v.compaction
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.due.Add(-max(0, c.after) / compactLead).Sub(c.clock()), !c.due.IsZero()
}

// keepCompact compacts when it is due, until ctx ends.
func (v *Vault) keepCompact(ctx context.Context) {
	if !v.compacts() {
		return
	}
	retry := epochRetry
	for {
		wait := epochPoll
		switch in, due := v.compactIn(); {
		case due && in <= 0:
			_, err := v.compactDue(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				retry = epochRetry
				continue
			}
			wait = retry
			retry = min(2*retry, epochRetryMax)
			v.logger.Warn("the compaction of the files waits and is tried again", "in", wait, "error", err)
		case due:
			wait = min(wait, in)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-v.compaction.armed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// compactDue compacts if that is due by now, and says whether it was.
func (v *Vault) compactDue(ctx context.Context) (bool, error) {
	v.compaction.run.Lock()
	defer v.compaction.run.Unlock()
	if in, due := v.compactIn(); !due || in > 0 {
		return false, nil
	}
	return true, v.compactAll(ctx)
}

// compactAll rewrites the files of both stores. Then nothing is due any more,
// unless something was deleted meanwhile.
func (v *Vault) compactAll(ctx context.Context) error {
	c := &v.compaction
	c.mu.Lock()
	c.running, c.missed, c.soon = true, c.deleting > 0, false
	c.mu.Unlock()
	work := KeyWork{Kind: WorkCompact, State: WorkRunning, Started: v.now(), Total: 2}
	var err error
	for _, part := range [...]struct {
		name  string
		store store.Store
	}{{"compacting keys.db", v.keys}, {"compacting values.db", v.values}} {
		work.Step = part.name
		v.work.show(work, v.now())
		if err = v.compactStore(ctx, part.store); err != nil {
			break
		}
		work.Done++
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	switch {
	case err != nil:
	case c.soon:
		err = v.storeDue(ctx, c.clock())
	case c.missed:
		err = v.storeDue(ctx, c.clock().Add(max(0, c.after)))
	default:
		var b store.Batch
		b.Delete(rows.Control, rows.CompactKey)
		if err = v.values.Commit(ctx, &b); err == nil {
			c.due = time.Time{}
		}
	}
	if err != nil {
		work.State, work.Problem = WorkWaiting, compactProblem(err)
	} else {
		work.State, work.Step = WorkDone, ""
	}
	v.work.show(work, v.now())
	return err
}

func compactProblem(err error) string {
	if errors.Is(err, store.ErrFull) {
		return "the disk is full: a compaction needs room for a second copy of the file"
	}
	return "a step failed; the server's log has the cause"
}

// compactStore rewrites the files of a store, if it keeps any.
func (v *Vault) compactStore(ctx context.Context, s store.Store) error {
	c := compactor(s)
	if c == nil {
		return nil
	}
	v.compaction.one.Lock()
	defer v.compaction.one.Unlock()
	began := time.Now()
	before, after, err := c.Compact(ctx)
	if err == nil {
		v.logger.Info("a store was compacted", "bytes_before", before, "bytes_after", after, "took", time.Since(began))
	}
	return err
}
