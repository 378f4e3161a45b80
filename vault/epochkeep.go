package vault

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// epochWish is who wants the epoch to end, and why. It is stored, sealed, from
// the beginning of the end until the end is in the log.
type epochWish struct {
	Epoch     uint32 `json:"epoch"`
	Principal string `json:"principal"`
	Request   string `json:"request,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// Bounds of trying again.
const (
	epochPoll     = time.Minute // between two looks at the clock
	epochRetry    = time.Second // after the first failure; then twice as long each time
	epochRetryMax = 15 * time.Minute
	// epochLead is the part of an epoch's length that is left for its end.
	epochLead = 32
)

// beginEpochEnd has the current epoch end, on behalf of a caller who may, and
// does not wait for it: the wish is durable, and in the log, when it returns. It
// returns the number of the epoch that begins, which is higher when attempts to
// begin one stopped before. An end that is under way is not begun again; one
// that waits to be tried again is tried now.
func (v *Vault) beginEpochEnd(ctx context.Context, c Caller, st *state, reason string) (uint32, error) {
	set, err := v.reloadEpochs(ctx)
	if err != nil {
		return 0, err
	}
	asked, err := v.openWish(ctx, set)
	if err != nil {
		return 0, err
	}
	defer v.pokeEpochs()
	w := &epochWish{Epoch: set.current.number, Principal: c.Principal, Request: c.Request, Reason: reason}
	switch {
	case set.previous != nil:
		w.Epoch = set.previous.number
		return set.current.number, v.commitLogged(ctx, new(store.Batch), v.epochEntry(st, w, "is ending already"))
	case asked != nil:
		return set.current.number + 1, v.commitLogged(ctx, new(store.Batch), v.epochEntry(st, w, "is ending already"))
	}
	return set.current.number + 1, v.logEpochEnd(ctx, st, w)
}

// pokeEpochs wakes the goroutine that ends epochs.
func (v *Vault) pokeEpochs() {
	select {
	case v.epochs.asked <- struct{}{}:
	default:
	}
}

// keepEpochs ends epochs, until ctx ends: when their time has come, when
// somebody asked, and those whose end an earlier run began.
func (v *Vault) keepEpochs(ctx context.Context) {
	retry := epochRetry
	first := sync.OnceFunc(v.begun.Done)
	for {
		wait := epochPoll
		err := v.endEpoch(ctx)
		first()
		if ctx.Err() != nil {
			return
		} else if err != nil {
			wait = retry
			retry = min(2*retry, epochRetryMax)
			v.logger.Warn("the end of the epoch waits and is tried again", "in", wait, "error", err)
		} else {
			retry = epochRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-v.epochs.asked:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// epochOver reports whether the current epoch's time has come. The end begins a
// little ahead, so that it is over when receipts say.
func (v *Vault) epochOver() bool {
	due := v.epochDue()
	return !due.IsZero() && !v.now().Before(due.Add(-v.epochs.length/epochLead))
}

// epochProblem says why the end of an epoch waits, without any value.
func epochProblem(err error) string {
	var closed *closedKeysError
	switch {
	case errors.As(err, &closed):
		return closed.Error()
	case errors.Is(err, errBeforeEpochEnds):
		return "the backup that must be there before the epoch ends could not be made"
	case errors.Is(err, keys.ErrAway):
		return "the provider of the epoch keys is away"
	case errors.Is(err, keys.ErrDenied):
		return "the provider of the epoch keys denies their use"
	case errors.Is(err, store.ErrFull):
		return "the disk is full"
	case errors.Is(err, &Error{Reason: AuditUnavailable}):
		return "the audit log cannot be written"
	case errors.Is(err, &Error{Reason: KeysUnavailable}):
		return "the vault is sealed"
	}
	return "a step failed; the server's log has the cause"
}
