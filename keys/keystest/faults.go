package keystest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// deadline is how long a call may take that is meant to pass its deadline.
const deadline = 20 * time.Millisecond

// patience is how long a call that was given up may go on, on the busiest
// machine, before it counts as never ending.
const patience = 30 * time.Second

// Faults are the troubles that a provider's test can provoke for one of its
// KEKs; K is keys.KEK or keys.EpochKEK. Each function begins a trouble and
// returns what ends it; restore is called once, and what was made before the
// trouble must then work again. Nil when the provider cannot be made to.
type Faults[K any] struct {
	// Deny makes the provider refuse kek.
	Deny func(t *testing.T, kek K) (restore func())
	// Away makes the provider unreachable for kek.
	Away func(t *testing.T, kek K) (restore func())
	// Slow makes the provider take the calls of kek and hold back the answers
	// until restore is called. Something arrives on arrived when a call has
	// come to be held; more than one may do so for a call that is tried again.
	// A call that its caller gave up need not be carried out, and may be. The
	// KEK's own limits of time must be long, so that they do not decide.
	Slow func(t *testing.T, kek K) (arrived <-chan struct{}, restore func())
}

// call is one method of a provider with its arguments.
type call struct {
	name string
	do   func(ctx context.Context) ([]byte, error)
}

// runFault holds a provider to want while the trouble lasts. It says that
// everything works again by calling works.
func runFault(t *testing.T, begin func() (restore func()), want error, calls []call, works func()) {
	restore := begin()
	for _, c := range calls {
		wantErr(t, c.name, want)(c.do(t.Context()))
		// In trouble, a caller that has gone learns that it has gone.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, c.name+" cancelled", context.Canceled)(c.do(ctx))
	}
	restore()
	works()
}

// runSlow gives each call up in its middle, and then lets one end late.
func runSlow(t *testing.T, begin func() (arrived <-chan struct{}, restore func()), calls []call, works func()) {
	for _, c := range calls {
		for _, end := range []struct {
			name string
			want error
		}{{"cancelled", context.Canceled}, {"past its deadline", context.DeadlineExceeded}} {
			arrived, restore := begin()
			ctx, finish := endBy(t, end.want)
			done := make(chan error, 1)
			go func() {
				out, err := c.do(ctx)
				if err != nil && len(out) > 0 {
					err = errors.New("an error together with bytes")
				}
				done <- err
			}()
			// A deadline may pass before the call arrives anywhere.
			err, early := wait(arrived, done)
			if !early {
				finish()
				select {
				case err = <-done:
				case <-time.After(patience):
					t.Errorf("%s, %s in its middle: goes on waiting for the answer", c.name, end.name)
					restore()
					<-done //nolint:errcheck // what it answers now is too late
					return
				}
			}
			if early && errors.Is(end.want, context.Canceled) || !errors.Is(err, end.want) {
				t.Errorf("%s, %s in its middle: got %v, want %v", c.name, end.name, err, end.want)
			}
			finish()
			restore()
		}
	}
	works()
}

// late wants a call that was held for a while to end as if nothing had been.
func late(t *testing.T, begin func() (arrived <-chan struct{}, restore func()), c call) {
	t.Helper()
	arrived, restore := begin()
	done := make(chan error, 1)
	go func() {
		_, err := c.do(t.Context())
		done <- err
	}()
	err, early := wait(arrived, done)
	restore()
	if !early {
		err = <-done
	}
	if early || err != nil {
		t.Errorf("%s, answered late: ended early %t, error %v", c.name, early, err)
	}
}

// wait returns when a call has arrived, or has ended before it did.
func wait(arrived <-chan struct{}, done <-chan error) (err error, early bool) {
	select {
	case <-arrived:
		return nil, false
	case err := <-done:
		return err, true
	}
}

// endBy returns a context that ends with want: by finish, or by a deadline.
func endBy(t *testing.T, want error) (ctx context.Context, finish func()) {
	if errors.Is(want, context.Canceled) {
		return context.WithCancel(t.Context())
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	return ctx, func() {
		<-ctx.Done()
		cancel()
	}
}

func (f Faults[K]) run(t *testing.T, fresh func(t *testing.T) K, calls func(t *testing.T, kek K) []call, works func(t *testing.T, kek K)) {
	fault := func(name string, begin func(*testing.T, K) func(), want error) {
		if begin == nil {
			return
		}
		t.Run(name, func(t *testing.T) {
			kek := fresh(t)
			cs := calls(t, kek)
			runFault(t, func() func() { return begin(t, kek) }, want, cs, func() { works(t, kek) })
		})
	}
	fault("denied", f.Deny, keys.ErrDenied)
	fault("away", f.Away, keys.ErrAway)
	if f.Slow != nil {
		t.Run("slow", func(t *testing.T) {
			kek := fresh(t)
			cs := calls(t, kek)
			begin := func() (<-chan struct{}, func()) { return f.Slow(t, kek) }
			runSlow(t, begin, cs, func() { works(t, kek) })
		})
		t.Run("late", func(t *testing.T) {
			for i := range calls(t, fresh(t)) {
				kek := fresh(t)
				late(t, func() (<-chan struct{}, func()) { return f.Slow(t, kek) }, calls(t, kek)[i])
			}
		})
	}
}
