package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// WatchAuditRequest asks for entries as they come.
type WatchAuditRequest struct {
	Filter HistoryFilter
	From   *uint64 // nil: from now on
}

// Bounds of watches. Each reads the log for itself, so that many of them would
// take the processor from answers.
const (
	MaxWatches          = 32 // at once
	MaxWatchesPrincipal = 8  // of one principal

	// watchBeat is how often a watch that has nothing to say tells how far it is.
	watchBeat = 30 * time.Second
	// watchRest is the least time between two looks at the log, watchTell the
	// least between two words on how far the watch is.
	watchRest = 100 * time.Millisecond
	watchTell = time.Second
)

// watches counts the watches under way.
type watches struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

func (w *watches) begin(principal string) *Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.all >= MaxWatches:
		return refuse(Busy, "", fmt.Sprintf("%d watches run already", MaxWatches))
	case w.of[principal] >= MaxWatchesPrincipal:
		return refuse(Busy, "", fmt.Sprintf("the caller has %d watches already", MaxWatchesPrincipal))
	}
	if w.of == nil {
		w.of = map[string]int{}
	}
	w.all++
	w.of[principal]++
	return nil
}

func (w *watches) end(principal string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.of[principal]--; w.of[principal] == 0 {
		delete(w.of, principal)
	}
}

// WatchAudit calls fn for entries that match, in the order of the log, from an
// index on and as they become durable, until ctx ends, fn fails, or the caller
// loses the right. Every entry below next was looked at; entry is nil in calls
// that only say so. At most MaxWatches run at once.
func (v *Vault) WatchAudit(ctx context.Context, c Caller, q WatchAuditRequest, fn func(entry *HistoryEntry, next uint64) error) error {
	st, refused, err := v.beginHistory(ctx, c, policy.ActionAuditRead)
	if err != nil {
		return err
	}
	var m *matcher
	if refused == nil {
		if m, refused, err = v.newMatcher(ctx, st, &q.Filter); err != nil {
			return failure(err)
		}
	}
	var next uint64
	if refused == nil {
		if next = v.history.log.Size(); q.From != nil {
			if *q.From > next {
				refused = refuse(InvalidRequest, "from_index", "is past the end of the log")
			}
			next = *q.From
		}
	}
	if refused == nil {
		if refused = v.history.watches.begin(c.Principal); refused == nil {
			defer v.history.watches.end(c.Principal)
		}
	}
	if refused != nil {
		return v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionAuditRead, Object: "watch"})
	}
	if err := v.enterHistory(ctx, c, st, audit.Entry{Action: audit.ActionAuditRead, Object: "watch", Items: m.lookedAt()}); err != nil {
		return err
	}
	var told time.Time // when the caller last heard how far the watch is
	for {
		if next, err = v.watchOn(ctx, c, m, next, fn); err != nil {
			return err
		}
		if time.Since(told) >= watchTell {
			if err := fn(nil, next); err != nil {
				return err
			}
			told = time.Now()
		}
		if err := rest(ctx, watchRest); err != nil {
			return err
		}
		beat, stop := context.WithTimeout(ctx, watchBeat)
		err := v.history.log.Wait(beat, next)
		stop()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return failure(err)
		}
		if err := v.stillMay(ctx, c, policy.ActionAuditRead, "watch"); err != nil {
			return err
		}
	}
}

// watchOn sends what there is and returns how far it came.
func (v *Vault) watchOn(ctx context.Context, c Caller, m *matcher, next uint64, fn func(*HistoryEntry, uint64) error) (uint64, error) {
	end := v.history.log.Size()
	m.follow(v)
	var own error
	looked := 0
	err := v.history.read(ctx, next, end, func(i uint64, raw []byte) error {
		if looked++; looked%recheckEvery == 0 {
			if own = v.stillMay(ctx, c, policy.ActionAuditRead, "watch"); own != nil {
				return own
			}
		}
		e, err := audit.Decode(raw)
		if err != nil {
			return err
		}
		if m.match(e) {
			own = fn(&HistoryEntry{Index: i, Entry: e}, i+1)
		}
		return own
	})
	if own != nil {
		return next, own
	}
	if err != nil {
		return next, failure(err)
	}
	return end, nil
}

// rest waits, or returns the error of ctx.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
