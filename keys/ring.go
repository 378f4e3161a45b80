package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// A Ring owns the keysets of a vault. It is safe for concurrent use, and
// several Rings, also in several processes, may share one Storage: each sees
// its own changes at once and the others' after Reload or a change. RotateRoot
// alone wants no other Ring to make keysets meanwhile, and others open the new
// root by Unseal.
type Ring struct {
	opaque
	st    Storage
	vault [16]byte
	uses  *counters
	snap  atomic.Pointer[Snapshot]

	// work lets one change or reading of st go on at a time. It is held over
	// calls of st and of KEKs, mu over none, so that Seal and Close never wait
	// for either.
	work sync.Mutex
	// maybe is a root whose Save was answered by an error and may be stored all
	// the same. Guarded by work.
	maybe *maybeRoot

	mu     sync.Mutex // guards what follows
	held   held
	marks  marks
	closed bool
	sealed bool
	keep   []Kind // kinds that stay while sealed
	seals  uint64 // number of calls of Seal
}

type maybeRoot struct {
	root *root
	blob []byte
}

// Create makes the root of a new vault, wraps it by the KEK bound to the
// vault's id, has the KEK unwrap it for a proof, and stores it. ErrExists when
// the Storage holds a row already. Errors of the KEK and the Storage are passed
// on wrapped.
func Create(ctx context.Context, st Storage, kek KEK, vaultID [16]byte) (*Ring, error) {
	rows, err := st.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	if len(rows) > 0 {
		return nil, fmt.Errorf("%w: the key storage is not empty", ErrExists)
	}
	rt, row, err := createRoot(ctx, kek, vaultID, rootRow{})
	if err != nil {
		return nil, err
	}
	switch err := st.Save(ctx, []Row{{rootName, row.blob}}, nil); {
	case errors.Is(err, ErrConflict):
		return nil, fmt.Errorf("%w: another root was stored meanwhile", ErrExists)
	case err != nil:
		return nil, fmt.Errorf("saving the root: %w", err)
	}
	r := &Ring{st: st, vault: vaultID, uses: new(counters)}
	r.publish(held{root: rt, row: row})
	return r, nil
}

// Open unwraps the root by one call of the KEK and opens every keyset.
// ErrNoKey when the Storage holds no root, ErrWrongKey when the KEK or the
// vault's id is not the one it was wrapped by or a row was changed, ErrFormat
// when a row is not understood. One bad row fails the whole: a vault does not
// serve with a part of its keys.
func Open(ctx context.Context, st Storage, kek KEK, vaultID [16]byte) (*Ring, error) {
	r := &Ring{st: st, vault: vaultID, uses: new(counters)}
	h, err := r.open(ctx, kek)
	if err != nil {
		return nil, err
	}
	r.publish(h)
	return r, nil
}

// open reads all rows and opens the root by the KEK.
func (r *Ring) open(ctx context.Context, kek KEK) (held, error) {
	rows, err := r.st.Load(ctx)
	if err != nil {
		return held{}, fmt.Errorf("loading keys: %w", err)
	}
	row, err := rootAmong(rows)
	if err != nil {
		return held{}, err
	}
	rt, err := row.open(ctx, kek, r.vault)
	if err != nil {
		return held{}, err
	}
	return openRows(rt, row, rows, held{}, r.uses)
}

// Snapshot returns the keysets as they are now. After Close it is empty, and
// while the Ring is sealed it holds those of the kinds that Seal kept.
func (r *Ring) Snapshot() *Snapshot { return r.snap.Load() }

// Root describes the root, also while the Ring is sealed. After Close it is
// what it was last.
func (r *Ring) Root() RootInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := r.held.row.info()
	info.Recovery = r.held.recovery.info()
	return info
}

// Reload reads the Storage again and takes over what other Rings changed. On
// error the Ring stays as it was. ErrWrongKey when a row is older than one that
// was seen before, or the root is another one, which Unseal opens.
func (r *Ring) Reload(ctx context.Context) error {
	r.work.Lock()
	defer r.work.Unlock()
	_, err := r.reload(ctx)
	return err
}

// reload is Reload for who holds work, and returns what is held now.
func (r *Ring) reload(ctx context.Context) (held, error) {
	known, err := r.holding()
	if err != nil {
		return held{}, err
	}
	rows, err := r.st.Load(ctx)
	if err != nil {
		return held{}, fmt.Errorf("loading keys: %w", err)
	}
	row, err := rootAmong(rows)
	if err != nil {
		return held{}, fmt.Errorf("%w: the root was taken away", ErrWrongKey)
	}
	rt := known.root
	if r.maybe != nil && string(r.maybe.blob) == string(row.blob) {
		rt, known = r.maybe.root, held{}
	}
	if row.version != rt.version {
		return held{}, fmt.Errorf("%w: the root is of version %d, this Ring's of %d", ErrWrongKey, row.version, rt.version)
	}
	h, err := openRows(rt, row, rows, known, r.uses)
	if err != nil {
		return held{}, err
	}
	for id, o := range known.sets {
		if n := h.sets[id]; n != nil && n != o && n.header.generation <= o.header.generation {
			return held{}, fmt.Errorf("%w: keyset %s went back", ErrWrongKey, id)
		}
	}
	if err := r.check(h); err != nil {
		return held{}, err
	}
	r.maybe = nil
	r.publish(h)
	return h, nil
}

// holding returns what the Ring has, if it has its root.
func (r *Ring) holding() (held, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return held{}, ErrClosed
	case r.sealed:
		return held{}, ErrSealed
	}
	return r.held, nil
}

// check refuses rows older than those seen before.
func (r *Ring) check(h held) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.marks.check(h)
}

// publish takes over what is stored by now. A Ring that was sealed or closed
// meanwhile stays so.
func (r *Ring) publish(h held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks.raise(h)
	switch {
	case r.closed:
		return
	case r.sealed:
		h = h.only(r.keep)
	}
	r.held = h
	r.snap.Store(newSnapshot(h.sets))
}

// Seal drops the root and the keysets of all kinds but those in keep; changes
// then give ErrSealed. It waits for nothing. Snapshots that callers hold stay
// usable; it is for the caller to let go of them. Sealing again keeps what
// both calls keep.
func (r *Ring) Seal(keep ...Kind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seals++
	if r.closed {
		return
	}
	if r.sealed {
		keep = slices.DeleteFunc(slices.Clone(keep), func(k Kind) bool { return !slices.Contains(r.keep, k) })
	}
	r.sealed, r.keep = true, slices.Clone(keep)
	r.held = r.held.only(r.keep)
	r.snap.Store(newSnapshot(r.held.sets))
}

// Unseal reads the Storage, unwraps the root by one call of the KEK and opens
// everything again, as Open does, with its errors; ErrWrongKey also when a row
// is older than one that was seen before the Seal. ErrSealed when Seal is
// called meanwhile, ErrClosed after Close. On error the Ring stays as it was. A
// Ring that is not sealed takes over another root this way.
func (r *Ring) Unseal(ctx context.Context, kek KEK) error {
	r.work.Lock()
	defer r.work.Unlock()
	r.mu.Lock()
	closed, seals := r.closed, r.seals
	r.mu.Unlock()
	if closed {
		return ErrClosed
	}
	h, err := r.open(ctx, kek)
	if err != nil {
		return err
	}
	if err := r.check(h); err != nil {
		return err
	}
	r.mu.Lock()
	if r.seals != seals {
		r.mu.Unlock()
		return ErrSealed
	}
	r.sealed, r.keep = false, nil
	r.mu.Unlock()
	r.maybe = nil
	r.publish(h)
	return nil
}

// Close drops the keys. Snapshots that callers still hold stay usable; their
// memory is freed when they let go. It may be called more than once.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.held.root, r.held.sets, r.held.blobs = nil, nil, nil
	r.snap.Store(newSnapshot(nil))
}

// with returns h after a Save that replaced rows of keysets.
func (h held) with(sets map[ID]*opened, blobs map[ID][]byte) held {
	h.sets, h.blobs = maps.Clone(h.sets), maps.Clone(h.blobs)
	if h.sets == nil {
		h.sets, h.blobs = make(map[ID]*opened), make(map[ID][]byte)
	}
	maps.Copy(h.sets, sets)
	maps.Copy(h.blobs, blobs)
	return h
}
