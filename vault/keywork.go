package vault

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// workBoard shows the work on keys to whoever watches. Workers write to it as
// often as they like.
type workBoard struct {
	mu      sync.Mutex
	work    []KeyWork     // one of each kind, in the order of the kinds
	changed chan struct{} // closed at the next change
}

// show puts a piece of work on the board, in place of the last of its kind.
// Left, Rate and Remaining of work that is not done are worked out here.
func (b *workBoard) show(w KeyWork, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, found := slices.BinarySearchFunc(b.work, w.Kind, func(w KeyWork, k WorkKind) int { return int(w.Kind) - int(k) })
	if w.State != WorkDone && w.Total >= w.Done {
		w.Left = w.Total - w.Done
	}
	if passed := now.Sub(w.Started); w.State == WorkRunning && w.Rate == 0 && w.Done > 0 && passed > 0 {
		w.Rate = float64(w.Done) / passed.Seconds()
	}
	if w.State == WorkRunning && w.Rate > 0 {
		w.Remaining = time.Duration(float64(w.Left) / w.Rate * float64(time.Second))
	}
	if w.State == WorkDone && w.Ended.IsZero() {
		w.Ended = now
	}
	if found {
		b.work[i] = w
	} else {
		b.work = slices.Insert(b.work, i, w)
	}
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// look returns the board and a channel that is closed when it changes.
func (b *workBoard) look() ([]KeyWork, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return slices.Clone(b.work), b.changed
}

// workPause is the least time between two messages of a watch.
const workPause = 200 * time.Millisecond

// WatchKeyWork sends how far the work on keys is: first as it stands, then at
// each change, at most five times a second, until the context ends; or, with
// untilIdle, until nothing runs or waits to run. The right is decided again at
// each message. Errors of send are returned as they are.
func (v *Vault) WatchKeyWork(ctx context.Context, c Caller, untilIdle bool, send func([]KeyWork) error) error {
	entry := audit.Entry{Action: audit.ActionKeyRead, Object: "work"}
	st, err := v.inspect(ctx, c, policy.ActionKeysRead, entry)
	if err != nil {
		return err
	}
	if refused := v.history.watches.begin(c.Principal); refused != nil { // all watches together
		return v.refused(ctx, c, st, refused, entry)
	}
	defer v.history.watches.end(c.Principal)
	if err := v.inspected(ctx, c, st, entry); err != nil {
		return err
	}
	for {
		if err := v.stillMay(ctx, c, policy.ActionKeysRead, "work"); err != nil {
			return err
		}
		work, changed := v.work.look()
		if err := send(work); err != nil {
			return err
		}
		if untilIdle && !slices.ContainsFunc(work, func(w KeyWork) bool { return w.State == WorkRunning || w.State == WorkWaiting }) {
			return nil
		}
		if err := rest(ctx, workPause); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
