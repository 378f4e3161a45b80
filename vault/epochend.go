package vault

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// errBeforeEpochEnds wraps what Options.BeforeEpochEnds returned.
var errBeforeEpochEnds = errors.New("before the epoch ends")

// maxEpochTries bounds how many numbers a new epoch skips. Those that have a
// key already are left over from attempts that stopped.
const maxEpochTries = 1000

// epochEnd is one attempt to bring the end of an epoch forward.
type epochEnd struct {
	v    *Vault
	work KeyWork
}

// endEpoch ends the current epoch when that was asked for or is due, or goes on
// with an end that is under way. Its steps are found again from what is stored,
// and each may be done twice:
//
//	who asked, with the entry that the end begins              values.db
//	the key of the next epoch                                  provider
//	the next epoch is the current one, this one the previous   keys.db, one batch
//	every person's key is wrapped in the current epoch         keys.db
//	keys.db is compacted, the backup is made
//	the key of the previous epoch is destroyed                 provider
//	the previous epoch has ended                               keys.db, one batch
//	nobody asks any more, with the entry that it ended         values.db
func (v *Vault) endEpoch(ctx context.Context) error {
	v.epochs.ending.Lock()
	defer v.epochs.ending.Unlock()
	if v.epochs.set.Load().closed {
		return nil
	}
	set, err := v.reloadEpochs(ctx)
	if err != nil {
		return err
	}
	asked, err := v.openWish(ctx, set)
	if err != nil {
		return err
	}
	var end epochEnd
	if set.previous == nil {
		if asked == nil && !v.epochOver() {
			return nil
		}
		end.begin(v, set.current)
		if asked == nil {
			err = v.logEpochEnd(ctx, v.state.Load(), &epochWish{Epoch: set.current.number, Principal: Self})
			if isConflict(err) {
				err = nil // somebody asked meanwhile
			}
		}
		if err == nil {
			err = end.replace(ctx, set.current)
		}
		if err != nil {
			return end.waits(err)
		}
		if set = v.epochs.set.Load(); set.previous == nil { // another node has done it all
			return end.done()
		}
	} else {
		end.begin(v, set.previous)
	}
	if err := end.finish(ctx, set); err != nil {
		return end.waits(err)
	}
	return end.done()
}

// finish does what follows once the next epoch is in use.
func (end *epochEnd) finish(ctx context.Context, set *epochSet) error {
	v, old := end.v, set.previous
	if err := v.finishErasures(ctx); err != nil { // what is to be destroyed is not wrapped again
		return err
	}
	if err := end.rewrap(ctx, set); err != nil {
		return err
	}
	end.step("compacting")
	if err := v.compactStore(ctx, v.keys); err != nil {
		return err
	}
	if v.epochs.before != nil {
		end.step("making a backup")
		if err := v.epochs.before(ctx, old.number); err != nil {
			return fmt.Errorf("%w: %w", errBeforeEpochEnds, err)
		}
	}
	end.step("destroying the key")
	if err := v.destroyEpochs(ctx, old.number, set.current.number); err != nil {
		return err
	}
	if err := v.recordEnded(ctx, set); err != nil {
		return err
	}
	asked, row, err := v.storedWish(ctx)
	if err != nil {
		return err
	}
	if asked == nil { // the row is gone: the log is told all the same
		asked = &epochWish{Principal: Self}
	}
	asked.Epoch = old.number
	return v.logEpochEnded(ctx, asked, row)
}

// replace makes the key of the next epoch and puts it in the place of old.
func (end *epochEnd) replace(ctx context.Context, old *epoch) error {
	v := end.v
	end.step("making the key of the next epoch")
	number := old.number
	var fresh *keys.Epoch
	var wrapped []byte
	for range maxEpochTries {
		if number == math.MaxUint32 {
			break
		}
		number++
		var err error
		fresh, wrapped, err = keys.CreateEpoch(ctx, v.epochs.provider, number, v.id)
		if err == nil {
			break
		}
		if !errors.Is(err, keys.ErrExists) && !errors.Is(err, keys.ErrDestroyed) {
			return err
		}
	}
	if fresh == nil {
		return fmt.Errorf("%w: no number is free for the epoch after %d", keys.ErrExists, old.number)
	}
	made := v.now().UnixMilli()
	next := &epoch{number: number, made: time.UnixMilli(made), key: fresh}
	next.row = (&rows.Epoch{Number: number, Made: made, Wrapped: wrapped}).Append(nil)
	var b store.Batch
	b.RequireEqual(rows.KeyControl, rows.EpochKey, old.row)
	b.RequireAbsent(rows.KeyControl, rows.PreviousEpochKey)
	b.Put(rows.KeyControl, rows.EpochKey, next.row)
	b.Put(rows.KeyControl, rows.PreviousEpochKey, old.row)
	v.epochs.mu.Lock()
	defer v.epochs.mu.Unlock()
	if v.epochs.set.Load().closed {
		return fail(KeysUnavailable, "")
	}
	// Whoever reads a key of the next epoch finds that epoch in the set, since
	// nothing is wrapped in it before it is there.
	err := v.keys.Commit(ctx, &b)
	if err == nil {
		v.epochs.set.Store(&epochSet{current: next, previous: old, ended: v.epochs.set.Load().ended})
		return nil
	}
	now, again := v.loadEpochs(ctx) // the answer may have been lost, or another node was first
	if again == nil && now.current.number != old.number {
		return nil
	}
	return errors.Join(err, again)
}

// destroyEpochs destroys the keys of the epochs from <= number < to. Numbers
// after the first are of attempts that stopped, and mostly have no key.
func (v *Vault) destroyEpochs(ctx context.Context, from, to uint32) error {
	for number := from; number < to; number++ {
		err := v.epochs.provider.Destroy(ctx, number)
		if err != nil && (number == from || !errors.Is(err, keys.ErrNoKey)) {
			return fmt.Errorf("destroy the key of epoch %d: %w", number, err)
		}
	}
	return nil
}

// begin puts the end of an epoch on the board.
func (end *epochEnd) begin(v *Vault, e *epoch) {
	end.v = v
	end.work = KeyWork{Kind: WorkEpoch, State: WorkRunning, Epoch: e.number, Started: v.now()}
}

func (end *epochEnd) step(name string) {
	end.work.Step = name
	end.show()
}

func (end *epochEnd) show() { end.v.work.show(end.work, end.v.now()) }

// done takes the end off the board.
func (end *epochEnd) done() error {
	end.work.State, end.work.Step = WorkDone, ""
	end.show()
	return nil
}

// waits shows why the end does not go on, and returns the error.
func (end *epochEnd) waits(err error) error {
	end.work.State, end.work.Problem = WorkWaiting, epochProblem(err)
	end.show()
	return err
}
