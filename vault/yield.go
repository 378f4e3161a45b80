package vault

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pace lets work in the background give way to callers.
type pace struct {
	calls atomic.Uint64 // operations begun

	mu   sync.Mutex
	seen uint64    // calls at the last look
	busy time.Time // when a look last found new ones
}

// Bounds of giving way.
const (
	// busyFor is how long a call counts as activity: callers mostly come again.
	busyFor = 250 * time.Millisecond
	// yieldMost bounds one rest, so that an idle vault is noticed soon.
	yieldMost = time.Second
	// defaultBusyShare is the part of the time that such work takes while
	// callers are active, in percent.
	defaultBusyShare = 10
)

// active reports whether callers are at work.
func (p *pace) active(now time.Time) bool {
	calls := p.calls.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	if calls != p.seen {
		p.seen, p.busy = calls, now
	}
	return !p.busy.IsZero() && now.Sub(p.busy) < busyFor
}

// yieldToCallers rests after a piece of work that took this long: not at all
// when no call came of late, else so long that the work takes at most
// Options.BusyShare percent of the time. Pieces of some milliseconds are best.
// It returns the error of ctx.
func (v *Vault) yieldToCallers(ctx context.Context, worked time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !v.pace.active(time.Now()) {
		return nil
	}
	return rest(ctx, restAfter(worked, v.busyShare))
}

// restAfter is the rest that makes the work a share, in percent, of the time.
func restAfter(worked time.Duration, share int) time.Duration {
	if share >= 100 || worked <= 0 {
		return 0
	}
	return min(worked*time.Duration(100-share)/time.Duration(share), yieldMost)
}
