package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// epoch is the time for which one key wraps the persons' keys.
type epoch struct {
	row    []byte // as it stands in the key store
	number uint32
	made   time.Time   // zero: not known
	key    *keys.Epoch // nil: its provider has destroyed the key
}

// epochSet is the epochs whose keys open persons' keys: the current one, which
// wraps, and, while its end is under way, the one before. It is immutable.
type epochSet struct {
	current, previous *epoch            // previous is nil when no end is under way
	ended             []rows.EndedEpoch // those that are remembered, the oldest first
	closed            bool              // the vault is sealed: no key is here
}

// errOtherEpoch says that a person's key is wrapped in an epoch that the set
// does not hold. It never leaves the package.
var errOtherEpoch = errors.New("wrapped in an epoch that is not open")

// unwrap opens a person's key by the epoch that it names.
func (s *epochSet) unwrap(blob []byte, ref uint64, generation uint32, key *personKey) error {
	number, _, err := keys.SubjectKeyEpoch(blob)
	if err != nil {
		return err
	}
	for _, e := range [...]*epoch{s.current, s.previous} {
		if e == nil || e.number != number || s.closed {
			continue
		}
		if e.key == nil {
			return fmt.Errorf("%w: epoch %d", keys.ErrDestroyed, number)
		}
		return e.key.UnwrapSubjectKey(blob, ref, generation, key.bytes())
	}
	return fmt.Errorf("%w: epoch %d", errOtherEpoch, number)
}

// epochs holds the set in use and what its ends need.
type epochs struct {
	provider keys.EpochKEK
	length   time.Duration // 0: an epoch ends on demand only
	before   func(ctx context.Context, epoch uint32) error

	// set is what calls open persons' keys by; never nil once the vault is open.
	set atomic.Pointer[epochSet]
	// mu serialises the replacement of set, and is held over calls of the store
	// and the provider.
	mu sync.Mutex
	// ending is held by the one attempt to end an epoch.
	ending sync.Mutex

	// asked wakes the goroutine that ends epochs.
	asked chan struct{}
}

// ready sets up from the options.
func (e *epochs) ready(o *Options) {
	e.provider, e.length, e.before = o.Epochs, o.EpochLength, o.BeforeEpochEnds
	e.asked = make(chan struct{}, 1)
}

// destruction says how the provider destroys.
func (e *epochs) destruction() keys.Destruction { return e.provider.Destruction() }

// openEpochs opens the epochs that the key store names, at the start and after
// closeEpochs: one call to the provider, or two when an end is under way. On
// error nothing is open.
func (v *Vault) openEpochs(ctx context.Context) error {
	v.epochs.mu.Lock()
	defer v.epochs.mu.Unlock()
	if _, err := v.loadEpochs(ctx); err != nil {
		return err
	}
	v.pokeEpochs()
	return nil
}

// closeEpochs drops the keys of the epochs, and every person's key in clear,
// until openEpochs. What a call holds already stays with it until it ends.
func (v *Vault) closeEpochs() {
	v.epochs.mu.Lock()
	defer v.epochs.mu.Unlock()
	was := v.epochs.set.Load()
	next := &epochSet{current: was.current.without(), previous: was.previous.without(), ended: was.ended, closed: true}
	v.epochs.set.Store(next)
	v.subjects.clear()
}

// without is the epoch without its key.
func (e *epoch) without() *epoch {
	if e == nil {
		return nil
	}
	return &epoch{row: e.row, number: e.number, made: e.made}
}

// probeEpochs asks the provider whether the key of the current epoch may still
// be used, and forgets it.
func (v *Vault) probeEpochs(ctx context.Context) error {
	e := v.epochs.set.Load().current
	again, err := v.openEpoch(ctx, new(epochSet), e.row)
	if err == nil && again.key == nil {
		err = fmt.Errorf("%w: epoch %d", keys.ErrDestroyed, e.number)
	}
	if now := v.epochs.set.Load().current; now.number != e.number {
		return nil // it ended meanwhile
	}
	return err
}

// reloadEpochs makes the set fit the key store: another node may have ended an
// epoch. Mostly nothing changed, and no provider is called.
func (v *Vault) reloadEpochs(ctx context.Context) (*epochSet, error) {
	v.epochs.mu.Lock()
	defer v.epochs.mu.Unlock()
	if v.epochs.set.Load().closed {
		return nil, fail(KeysUnavailable, "")
	}
	return v.loadEpochs(ctx)
}

// loadEpochs reads the epoch rows and opens those that are not open. The caller
// holds v.epochs.mu.
func (v *Vault) loadEpochs(ctx context.Context) (*epochSet, error) {
	var have store.Rows
	err := v.keys.Get(ctx, []store.Key{
		{Table: rows.KeyControl, Key: rows.EpochKey},
		{Table: rows.KeyControl, Key: rows.PreviousEpochKey},
	}, &have)
	if err != nil {
		return nil, fmt.Errorf("read the epochs: %w", err)
	}
	row, ok := have.Value(0)
	if !ok {
		return nil, fmt.Errorf("%w: the epoch row is missing", store.ErrCorrupt)
	}
	was := v.epochs.set.Load()
	if was == nil || was.closed {
		was = new(epochSet)
	}
	next := new(epochSet)
	if next.current, err = v.openEpoch(ctx, was, row); err != nil {
		return nil, err
	}
	if next.current.key == nil {
		return nil, fmt.Errorf("open the key of epoch %d: %w: the key store is older than the end of this epoch, and nothing opens it any more", next.current.number, keys.ErrDestroyed)
	}
	if row, ok := have.Value(1); ok {
		if next.previous, err = v.openEpoch(ctx, was, row); err != nil {
			return nil, err
		}
		if next.previous.number >= next.current.number {
			return nil, fmt.Errorf("%w: epoch %d ends and is not older than epoch %d", store.ErrCorrupt, next.previous.number, next.current.number)
		}
	}
	if next.current == was.current && next.previous == was.previous {
		return was, nil
	}
	if next.ended, err = v.endedEpochs(ctx); err != nil {
		return nil, err
	}
	v.epochs.set.Store(next)
	return next, nil
}

// openEpoch opens the epoch of a row, unless it is one of a set. A key that was
// destroyed is nil and no error: the end of an epoch may stop just after that.
func (v *Vault) openEpoch(ctx context.Context, known *epochSet, row []byte) (*epoch, error) {
	for _, e := range [...]*epoch{known.current, known.previous} {
		if e != nil && bytes.Equal(e.row, row) {
			return e, nil
		}
	}
	stored, err := rows.ParseEpoch(row)
	if err != nil {
		return nil, err
	}
	e := &epoch{row: bytes.Clone(row), number: stored.Number}
	if stored.Made != 0 {
		e.made = time.UnixMilli(stored.Made)
	}
	e.key, err = keys.OpenEpoch(ctx, v.epochs.provider, stored.Number, v.id, stored.Wrapped)
	if err != nil && !errors.Is(err, keys.ErrDestroyed) {
		return nil, fmt.Errorf("open the key of epoch %d: %w", stored.Number, err)
	}
	return e, nil
}

// epochUses is how many persons' keys were wrapped in the current epoch since
// the vault was opened.
func (v *Vault) epochUses() (number uint32, uses uint64) {
	e := v.epochs.set.Load().current
	if e.key == nil {
		return e.number, 0
	}
	return e.number, e.key.Uses()
}
