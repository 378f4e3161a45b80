package index

import (
	"context"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Index finds entries of the log it follows. It is safe for concurrent use.
type Index struct {
	o     Options
	log   Source
	store store.Store

	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup // the follower

	mu sync.RWMutex // guards what follows; never held while a disk is read or written
	// lots are in the store, rising, without gaps. Elements never change, so
	// that a slice taken under mu stays good after it.
	lots     []lot
	building *building
	emptying uint64             // how often the index began to be emptied
	emptied  uint64             // how often it was emptied
	asked    bool               // it is to be emptied
	round    context.CancelFunc // wakes the follower up
	failure  error              // why the follower does not get on
	moved    chan struct{}      // closed when the above changes; nil when nobody waits
	closed   bool

	// Of the follower alone.
	hashes  *hasher
	decoder audit.Decoder
	sealing sealing
	stale   []lot // taken out of lots, but not out of the store yet

	finders sync.Pool // of *finder
}

// Open opens the index in o.Store and begins to follow o.Log. It does not wait
// for the follower. An index that is damaged, or of another log, is emptied and
// built anew in the background; the logger is told. Errors are ErrOptions, and
// what the store or ctx says when the lots cannot be read.
func Open(ctx context.Context, o Options) (*Index, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	x := &Index{o: o, log: o.Log, store: o.Store, hashes: newHasher()}
	x.finders.New = func() any { return new(finder) }
	if err := x.load(ctx); err != nil {
		return nil, err
	}
	x.ctx, x.stop = context.WithCancel(context.WithoutCancel(ctx))
	x.running.Go(x.follow)
	return x, nil
}

// Close ends the follower and makes later calls return ErrClosed. The store
// stays open. It may be called more than once; the error is always nil.
func (x *Index) Close() error {
	x.mu.Lock()
	x.closed = true
	x.notify()
	x.mu.Unlock()
	x.stop()
	x.running.Wait()
	return nil
}

// Covered returns how far the index reaches: entries with a smaller index can
// be found. It falls when the index is emptied.
func (x *Index) Covered() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.building.end()
}

// Healthy returns nil while the index follows the log, or else why it does
// not. It keeps trying, and what it covers can be found meanwhile.
func (x *Index) Healthy() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return ErrClosed
	}
	return x.failure
}

// Await returns nil when Covered() >= covered, or else the error of ctx or
// ErrClosed. While the index is not healthy it goes on waiting.
func (x *Index) Await(ctx context.Context, covered uint64) error {
	return x.await(ctx, func() bool { return x.building.end() >= covered })
}

// Rebuild empties the index and returns when it covers all that the log holds
// now. When ctx ends first, it returns ctx's error and the work goes on.
func (x *Index) Rebuild(ctx context.Context) error {
	size := x.log.Size()
	x.mu.Lock()
	x.ask()
	// Emptying that runs already may have begun before the caller's reason.
	want := x.emptying + 1
	x.mu.Unlock()
	return x.await(ctx, func() bool { return x.emptied >= want && x.building.end() >= size })
}

// await returns nil when done, which is called with the lock held, says so.
func (x *Index) await(ctx context.Context, done func() bool) error {
	for {
		x.mu.Lock()
		if x.closed {
			x.mu.Unlock()
			return ErrClosed
		}
		if done() {
			x.mu.Unlock()
			return nil
		}
		if x.moved == nil {
			x.moved = make(chan struct{})
		}
		moved := x.moved
		x.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// notify wakes up who awaits something. The caller holds the lock.
func (x *Index) notify() {
	if x.moved != nil {
		close(x.moved)
		x.moved = nil
	}
}

// ask asks the follower to empty the index. The caller holds the lock.
func (x *Index) ask() {
	if !x.asked {
		x.asked = true
		x.round()
	}
}
