package index

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// The follower rests after each pass, so that it takes at most one part in
// restFactor+1 of a processor while entries trickle in: to go on reading a
// log costs the same for one entry as for thousands. While it catches up, one
// pass reads all there is.
const (
	restFactor = 20
	minRest    = 2 * time.Millisecond
	maxRest    = time.Second

	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// follow is the follower.
func (x *Index) follow() {
	backoff := minBackoff
	for x.ctx.Err() == nil {
		round, cancel := context.WithCancel(x.ctx)
		x.mu.Lock()
		x.round = cancel
		x.mu.Unlock()
		began := time.Now()
		err := x.pass(round)
		switch {
		case round.Err() != nil: // closed, or asked to empty the index
		case err != nil:
			x.failed(err)
			pause(round, backoff)
			backoff = min(2*backoff, maxBackoff)
		default:
			x.recovered()
			backoff = minBackoff
			pause(round, min(max(restFactor*time.Since(began), minRest), maxRest))
			x.idle(round)
		}
		cancel()
	}
}

// idle returns when there is something to do.
func (x *Index) idle(ctx context.Context) {
	err := x.log.Wait(ctx, x.building.end())
	switch {
	case errors.Is(err, audit.ErrClosed):
		<-ctx.Done()
	case err != nil:
		pause(ctx, maxRest) // the log cannot tell when it grows: look
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// failed tells the first failure of a row of them.
func (x *Index) failed(err error) {
	x.mu.Lock()
	first := x.failure == nil
	x.failure = err
	x.mu.Unlock()
	if first {
		x.o.Logger.Warn("the audit index does not get on, and tries again", "error", err)
	}
}

func (x *Index) recovered() {
	x.mu.Lock()
	was := x.failure
	x.failure = nil
	x.mu.Unlock()
	if was != nil {
		x.o.Logger.Info("the audit index goes on")
	}
}

// pass does what there is to do, and reads the log to its end.
func (x *Index) pass(ctx context.Context) error {
	x.mu.RLock()
	asked := x.asked
	x.mu.RUnlock()
	if asked {
		if err := x.empty(ctx); err != nil {
			return fmt.Errorf("empty the audit index: %w", err)
		}
	}
	if err := x.drop(ctx); err != nil {
		return fmt.Errorf("drop a lot of pruned entries: %w", err)
	}
	if x.o.full(x.building) { // its commit failed
		if err := x.closeLot(ctx); err != nil {
			return err
		}
	}
	err := x.log.Read(x.building.end(), func(index uint64, raw []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return x.add(ctx, index, raw)
	})
	if err != nil && x.log.First() > x.building.end() {
		return nil // pruned meanwhile: the next pass begins behind
	}
	return err
}

// add adds the next entry to the lot that is being built.
func (x *Index) add(ctx context.Context, index uint64, raw []byte) error {
	if next := x.building.end(); index != next {
		return fmt.Errorf("%w: entry %d came, want %d", ErrSource, index, next)
	}
	e, err := x.decoder.Decode(raw)
	if err != nil {
		return fmt.Errorf("%w: entry %d: %w", ErrSource, index, err)
	}
	x.mu.Lock()
	x.building.add(e, x.hashes)
	full := x.o.full(x.building)
	if full {
		x.building.last = mark(raw)
	}
	x.notify()
	x.mu.Unlock()
	if full {
		return x.closeLot(ctx)
	}
	return nil
}

// closeLot puts the lot that was built into the store and begins the next.
// Putting it twice gives the same rows, so a lost answer does no harm.
func (x *Index) closeLot(ctx context.Context) error {
	l, batch := x.sealing.seal(x.building)
	if err := x.store.Commit(ctx, batch); err != nil {
		return fmt.Errorf("store a lot of the audit index: %w", err)
	}
	x.mu.Lock()
	x.lots = append(x.lots, l)
	x.building.again(l.end())
	x.mu.Unlock()
	return nil
}
