package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// A Ring owns the keysets of a vault. It is safe for concurrent use, and
// several Rings, also in several processes, may share one Storage: each sees
// its own changes at once and the others' after Reload or a change.
type Ring struct {
	opaque
	st   Storage
	snap atomic.Pointer[Snapshot]

	mu    sync.Mutex // guards what follows; held over calls of st
	root  *root      // nil when closed
	sets  map[ID]*opened
	blobs map[ID][]byte // stored rows, as Save must find them
}

// Create makes the root of a new vault, wraps it by the KEK bound to the
// vault's id, and stores it. ErrExists when the Storage holds a row already.
// Errors of the KEK and the Storage are passed on wrapped.
func Create(ctx context.Context, st Storage, kek KEK, vaultID [16]byte) (*Ring, error) {
	rows, err := st.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	if len(rows) > 0 {
		return nil, fmt.Errorf("%w: the key storage is not empty", ErrExists)
	}
	rt, row, err := createRoot(ctx, kek, vaultID)
	if err != nil {
		return nil, err
	}
	switch err := st.Save(ctx, []Row{row}, nil); {
	case errors.Is(err, ErrConflict):
		return nil, fmt.Errorf("%w: another root was stored meanwhile", ErrExists)
	case err != nil:
		return nil, fmt.Errorf("saving the root: %w", err)
	}
	return newRing(st, rt, nil, nil), nil
}

// Open unwraps the root by one call of the KEK and opens every keyset.
// ErrNoKey when the Storage holds no root, ErrWrongKey when the KEK or the
// vault's id is not the one it was wrapped by or a row was changed, ErrFormat
// when a row is not understood. One bad row fails the whole: a vault does not
// serve with a part of its keys.
func Open(ctx context.Context, st Storage, kek KEK, vaultID [16]byte) (*Ring, error) {
	rows, err := st.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	for _, row := range rows {
		if row.Name != rootName {
			continue
		}
		rt, err := openRoot(ctx, row.Blob, kek, vaultID)
		if err != nil {
			return nil, err
		}
		sets, blobs, err := openRows(rt, rows, nil, nil)
		if err != nil {
			return nil, err
		}
		return newRing(st, rt, sets, blobs), nil
	}
	return nil, fmt.Errorf("%w: the key storage holds no root", ErrNoKey)
}

func newRing(st Storage, rt *root, sets map[ID]*opened, blobs map[ID][]byte) *Ring {
	r := &Ring{st: st, root: rt, sets: sets, blobs: blobs}
	if sets == nil {
		r.sets, r.blobs = make(map[ID]*opened), make(map[ID][]byte)
	}
	r.snap.Store(newSnapshot(r.sets))
	return r
}

// openRows opens every keyset row; those equal to what is known are not
// opened again.
func openRows(rt *root, rows []Row, known map[ID]*opened, blobs map[ID][]byte) (map[ID]*opened, map[ID][]byte, error) {
	sets, newBlobs := make(map[ID]*opened, len(rows)), make(map[ID][]byte, len(rows))
	for _, row := range rows {
		if row.Name == rootName {
			continue
		}
		id, err := ParseID(row.Name)
		if err != nil {
			return nil, nil, fmt.Errorf("key row %q: %w", row.Name, err)
		}
		if _, twice := sets[id]; twice {
			return nil, nil, fmt.Errorf("%w: key row %q stands twice", ErrFormat, row.Name)
		}
		o := known[id]
		if o == nil || string(blobs[id]) != string(row.Blob) {
			if o, err = rt.open(row); err != nil {
				return nil, nil, err
			}
		}
		sets[id], newBlobs[id] = o, row.Blob
	}
	return sets, newBlobs, nil
}

// Snapshot returns the keysets as they are now. After Close it is empty.
func (r *Ring) Snapshot() *Snapshot { return r.snap.Load() }

// Reload reads the Storage again and takes over what other Rings changed. On
// error the Ring stays as it was.
func (r *Ring) Reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reload(ctx)
}

func (r *Ring) reload(ctx context.Context) error {
	if r.root == nil {
		return ErrClosed
	}
	rows, err := r.st.Load(ctx)
	if err != nil {
		return fmt.Errorf("loading keys: %w", err)
	}
	sets, blobs, err := openRows(r.root, rows, r.sets, r.blobs)
	if err != nil {
		return err
	}
	for id, o := range r.sets {
		// A keyset is never removed and each change raises its generation, so a
		// Storage that says otherwise was put back behind our back.
		if n := sets[id]; n == nil || n != o && n.header.generation <= o.header.generation {
			return fmt.Errorf("%w: keyset %s went back", ErrWrongKey, id)
		}
	}
	r.publish(sets, blobs)
	return nil
}

func (r *Ring) publish(sets map[ID]*opened, blobs map[ID][]byte) {
	r.sets, r.blobs = sets, blobs
	r.snap.Store(newSnapshot(sets))
}

// Close drops the keys. Snapshots that callers still hold stay usable; their
// memory is freed when they let go. It may be called more than once.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.root = nil
	r.sets, r.blobs = make(map[ID]*opened), make(map[ID][]byte)
	r.snap.Store(newSnapshot(nil))
}
