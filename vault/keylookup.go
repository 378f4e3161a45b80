package vault

import (
	"context"
	"errors"
	"sync"
	"time"
)

// keepLookup moves the persons to the version of the lookup key that is in use,
// whenever keys changed, until the vault closes.
func (v *Vault) keepLookup(ctx context.Context) {
	v.relookup.wake()
	first := sync.OnceFunc(v.begun.Done)
	defer first()
	for ; ; first() {
		select {
		case <-ctx.Done():
			return
		case <-v.relookup.woken:
		}
		if v.state.Load().sealed != "" {
			continue // unsealing wakes it
		}
		err := v.moveLookups(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, errNotInForce) {
			continue // who puts it in force wakes it
		}
		v.logger.Warn("the move of persons to another lookup key is tried again", "error", err)
		if rest(ctx, rewrapRetry) == nil {
			v.relookup.wake()
		}
	}
}

// moveLookups is one move, shown on the board.
func (v *Vault) moveLookups(ctx context.Context) error {
	work := KeyWork{Kind: WorkLookup, State: WorkRunning, Step: "hashing callers' ids", Started: v.now()}
	moved, last := false, time.Now()
	err := v.rebuildLookupVersion(ctx, func(done, total uint64) {
		moved, work.Done, work.Total = true, done, total
		v.work.show(work, v.now())
		_ = v.yieldToCallers(ctx, time.Since(last)) // the next step sees that it ended
		last = time.Now()
	})
	switch {
	case err != nil && moved:
		work.State, work.Problem = WorkWaiting, failure(err).Error()
	case moved:
		work.State = WorkDone
	}
	if moved {
		v.work.show(work, v.now())
	}
	return err
}

// lookupLeft returns how many persons need a version of the lookup key: all
// that in use, and another those who were not moved yet.
func (v *Vault) lookupLeft(ctx context.Context, version uint16) (uint64, error) {
	if prf := v.ring.Snapshot().PRF(lookupKey); prf == nil || prf.Primary() == version {
		_, total, err := v.countSubjects(ctx, 0)
		return max(1, total), err
	}
	at, _, err := v.readRelook(ctx)
	if err != nil || at.Settled == at.Target && at.Settled != version {
		return 0, err
	}
	done, total, err := v.countSubjects(ctx, at.Next)
	return max(1, total-done), err
}

// waker holds one value when there may be something to do.
type waker struct{ woken chan struct{} }

func newWaker() waker { return waker{make(chan struct{}, 1)} }

// wake lets the work look whether there is something to do.
func (w waker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}
