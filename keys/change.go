package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// maxAttempts is how often a change starts anew when another Ring over the
// same Storage was faster. Each failure means that another one succeeded.
const maxAttempts = 16

// Ensure makes the keysets that are missing, each with one version, in one
// durable step; those that exist stay as they are. Rings that race for the
// same keyset end up with one. ErrUsage for a kind that has no keyset.
func (r *Ring) Ensure(ctx context.Context, ids ...ID) error {
	for _, id := range ids {
		if _, err := parameters(id.Kind); err != nil {
			return err
		}
	}
	return r.change(ctx, false, func(sets map[ID]*opened) ([]ID, error) {
		var missing []ID
		for _, id := range ids {
			if sets[id] != nil {
				continue
			}
			o, err := newKeyset(id)
			if err != nil {
				return nil, err
			}
			sets[id] = o
			missing = append(missing, id)
		}
		return missing, nil
	})
}

// AddVersion adds a fresh key to a keyset and returns its version. Nothing is
// sealed or computed with it before Promote, so that every process can learn
// it first. ErrNoKey when there is no such keyset.
func (r *Ring) AddVersion(ctx context.Context, id ID) (version uint16, err error) {
	err = r.change(ctx, true, func(sets map[ID]*opened) ([]ID, error) {
		o := sets[id]
		if o == nil {
			return nil, fmt.Errorf("%w: %s", ErrNoKey, id)
		}
		var err error
		sets[id], version, err = o.addVersion()
		return []ID{id}, err
	})
	return version, err
}

// Promote makes a version the primary of its keyset. ErrNoKey when there is
// no such keyset or version, ErrDisabled or ErrDestroyed when it cannot be
// used. Promoting the primary changes nothing.
func (r *Ring) Promote(ctx context.Context, id ID, version uint16) error {
	return r.change(ctx, true, func(sets map[ID]*opened) ([]ID, error) {
		o := sets[id]
		if o == nil {
			return nil, fmt.Errorf("%w: %s", ErrNoKey, id)
		}
		if o.primary == version {
			return nil, nil
		}
		var err error
		sets[id], err = o.promote(version)
		return []ID{id}, err
	})
}

// SetState enables, disables or destroys a version of a keyset. Destroying
// removes the key and leaves a tombstone; whether something still needs it
// is the caller's to prove. ErrNoKey when there is no such keyset or version,
// ErrDestroyed when it is gone already, ErrUsage for the primary version and
// for destroying one that is not disabled. A state that it has already
// changes nothing.
func (r *Ring) SetState(ctx context.Context, id ID, version uint16, state State) error {
	return r.change(ctx, true, func(sets map[ID]*opened) ([]ID, error) {
		o := sets[id]
		if o == nil {
			return nil, fmt.Errorf("%w: %s", ErrNoKey, id)
		}
		n, err := o.setState(version, state)
		if err != nil || n == o {
			return nil, err
		}
		sets[id] = n
		return []ID{id}, nil
	})
}

// change applies edit to a copy of the keysets and saves those it names; when
// another Ring was faster it reloads and starts anew. With fresh it reloads
// first, for edits that decide by more than what is missing. The change is
// published only once it is durable.
func (r *Ring) change(ctx context.Context, fresh bool, edit func(map[ID]*opened) ([]ID, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fresh {
		if err := r.reload(ctx); err != nil {
			return err
		}
	}
	for range maxAttempts {
		if r.root == nil {
			return ErrClosed
		}
		sets, blobs := maps.Clone(r.sets), maps.Clone(r.blobs)
		changed, err := edit(sets)
		if err != nil || len(changed) == 0 {
			return err
		}
		var create []Row
		var replace []Replace
		for _, id := range changed {
			row, err := r.root.seal(sets[id])
			if err != nil {
				return err
			}
			if old, ok := r.blobs[id]; ok {
				replace = append(replace, Replace{row.Name, old, row.Blob})
			} else {
				create = append(create, row)
			}
			blobs[id] = row.Blob
		}
		err = r.st.Save(ctx, create, replace)
		if err == nil {
			r.publish(sets, blobs)
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return fmt.Errorf("saving keys: %w", err)
		}
		if err := r.reload(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("saving keys: %w %d times in a row", ErrConflict, maxAttempts)
}
