package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
)

// Work that is repeated while callers are measured.
const (
	choreRewrap = "rewrap"
	choreEpoch  = "epoch"
	choreBackup = "backup"
)

// chore is work on keys that is repeated until it is told to stop. What is
// under way then is brought to its end.
type chore struct {
	tally tally
	begun time.Time
	stop  chan struct{}
	gone  chan struct{} // closed when it has ended
	once  sync.Once
	ended sync.WaitGroup
	err   error // read after ended
}

func newChore(ctx context.Context, work func(context.Context, *tally) error) *chore {
	c := &chore{begun: time.Now(), stop: make(chan struct{}), gone: make(chan struct{})}
	c.ended.Go(func() {
		defer close(c.gone)
		for {
			if c.err = work(ctx, &c.tally); c.err != nil {
				return
			}
			select {
			case <-c.stop:
				return
			default:
			}
		}
	})
	return c
}

// finish tells the chore to stop and waits.
func (c *chore) finish() error {
	c.once.Do(func() { close(c.stop) })
	c.ended.Wait()
	return c.err
}

// tally counts what a chore has done, over its repetitions.
type tally struct {
	mu      sync.Mutex
	before  float64 // by pieces of work that were followed by others
	started time.Time
	now     float64
}

// see takes in how a piece of work stands that began after since; others ended
// before. Two pieces are told apart by when they started.
func (t *tally) see(w *vault.KeyWork, since time.Time) {
	if !w.Started.After(since) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.Started.Equal(t.started) {
		t.before += t.now
		t.started, t.now = w.Started, 0
	}
	t.now = max(t.now, float64(w.Done))
}

// add counts what is done as a whole.
func (t *tally) add(n float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before += n
}

func (t *tally) sum() float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.before + t.now
}

// goes waits until some of the work was done: what counts first what there is
// to do has then counted.
func (c *chore) goes(ctx context.Context) {
	for c.tally.sum() == 0 && ctx.Err() == nil {
		select {
		case <-c.gone:
			return
		default:
			pause(ctx, 5*time.Millisecond)
		}
	}
}

// begin begins to repeat a piece of work. A re-wrap and the end of an epoch have
// begun to write when it returns.
func (c *keyChild) begin(ctx context.Context, what string) error {
	if c.chore != nil {
		return errors.New("another one is under way")
	}
	work := map[string]func(context.Context, *tally) error{
		choreRewrap: c.rewrapOnce,
		choreEpoch:  c.epochOnce,
		choreBackup: c.backupOnce,
	}[what]
	if work == nil {
		return fmt.Errorf("no such work: %q", what)
	}
	c.chore = newChore(ctx, work)
	if what != choreBackup {
		c.chore.goes(ctx)
	}
	return nil
}

// progress tells how much was done since the beginning.
func (c *keyChild) progress() (keyAnswer, error) {
	if c.chore == nil {
		return keyAnswer{}, errors.New("nothing is under way")
	}
	return keyAnswer{N: c.chore.tally.sum(), Seconds: time.Since(c.chore.begun).Seconds()}, nil
}

func (c *keyChild) finish() (keyAnswer, error) {
	a, err := c.progress()
	if err != nil {
		return a, err
	}
	err = c.chore.finish()
	a.N, a.Seconds = c.chore.tally.sum(), time.Since(c.chore.begun).Seconds()
	c.chore = nil
	return a, err
}
