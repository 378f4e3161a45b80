package keys

import (
	"context"
	"errors"
	"fmt"
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
	return r.change(ctx, false, func(c *change) error {
		for _, id := range ids {
			if c.sets[id] != nil || c.held.sets[id] != nil {
				continue
			}
			e := newEdit(id)
			if _, err := e.rotate(); err != nil {
				return err
			}
			if err := c.put(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// AddVersion adds a fresh key to a keyset and returns its version. Nothing is
// sealed or computed with it before Promote, so that every process can learn
// it first. ErrNoKey when there is no such keyset.
func (r *Ring) AddVersion(ctx context.Context, id ID) (version uint16, err error) {
	err = r.edit(ctx, id, func(e *edit) (err error) {
		version, err = e.add()
		return err
	})
	return version, err
}

// Promote makes a version the primary of its keyset. ErrNoKey when there is
// no such keyset or version, ErrDisabled or ErrDestroyed when it cannot be
// used. Promoting the primary changes nothing.
func (r *Ring) Promote(ctx context.Context, id ID, version uint16) error {
	return r.edit(ctx, id, func(e *edit) error { return e.promote(version) })
}

// Rotate adds a fresh key to a keyset and makes it the primary in the same
// durable step; older versions stay as they are. It returns the version.
// ErrNoKey when there is no such keyset.
func (r *Ring) Rotate(ctx context.Context, id ID) (version uint16, err error) {
	err = r.edit(ctx, id, func(e *edit) (err error) {
		version, err = e.rotate()
		return err
	})
	return version, err
}

// Disable disables a version of a keyset. The primary one gives its place to a
// fresh version in the same durable step; fresh is its number, and else 0.
// ErrNoKey when there is no such keyset or version, ErrDestroyed when it is
// gone. Disabling a disabled version changes nothing.
func (r *Ring) Disable(ctx context.Context, id ID, version uint16) (fresh uint16, err error) {
	err = r.edit(ctx, id, func(e *edit) (err error) {
		fresh, err = e.disable(version)
		return err
	})
	return fresh, err
}

// SetState enables, disables or destroys a version of a keyset. Destroying
// removes the key and leaves a tombstone; whether something still needs it
// is the caller's to prove. ErrNoKey when there is no such keyset or version,
// ErrDestroyed when it is gone already, ErrUsage for the primary version (see
// Disable) and for destroying one that is not disabled. A state that it has
// already changes nothing.
func (r *Ring) SetState(ctx context.Context, id ID, version uint16, state State) error {
	return r.edit(ctx, id, func(e *edit) error { return e.setState(version, state) })
}

// edit changes one keyset that exists.
func (r *Ring) edit(ctx context.Context, id ID, f func(e *edit) error) error {
	return r.change(ctx, true, func(c *change) error {
		o := c.held.sets[id]
		if o == nil {
			return fmt.Errorf("%w: %s", ErrNoKey, id)
		}
		_, handle, err := c.held.root.open(Row{id.String(), c.held.blobs[id]})
		if err != nil {
			return err
		}
		e := editOf(o, handle)
		if err := f(e); err != nil || !e.changed {
			return err
		}
		return c.put(e)
	})
}

// change is one Save in the making.
type change struct {
	held    held // before it
	uses    *counters
	sets    map[ID]*opened // changed and new ones
	blobs   map[ID][]byte
	create  []Row
	replace []Replace
}

// put finishes an edit and adds it to the change.
func (c *change) put(e *edit) error {
	h, handle, err := e.finish()
	if err != nil {
		return err
	}
	o, err := build(h, handle, c.uses)
	if err != nil {
		return err
	}
	row, err := c.held.root.seal(h, handle)
	if err != nil {
		return err
	}
	if old, ok := c.held.blobs[h.id]; ok {
		c.replace = append(c.replace, Replace{row.Name, old, row.Blob})
	} else {
		c.create = append(c.create, row)
	}
	c.sets[h.id], c.blobs[h.id] = o, row.Blob
	return nil
}

// change saves what f puts into a change; when another Ring was faster it
// reloads and starts anew. With fresh it reloads first, for changes that decide
// by more than what is missing. The change is published only once it is
// durable.
func (r *Ring) change(ctx context.Context, fresh bool, f func(c *change) error) error {
	r.work.Lock()
	defer r.work.Unlock()
	h, err := r.holding()
	if err == nil && (fresh || r.maybe != nil) {
		h, err = r.reload(ctx)
	}
	for range maxAttempts {
		if err != nil {
			return err
		}
		c := &change{held: h, uses: r.uses, sets: make(map[ID]*opened), blobs: make(map[ID][]byte)}
		if err := f(c); err != nil || len(c.sets) == 0 {
			return err
		}
		// The root stays as it is: nothing is stored under one that was replaced.
		c.replace = append(c.replace, Replace{rootName, h.row.blob, h.row.blob})
		switch err := r.st.Save(ctx, c.create, c.replace); {
		case err == nil:
			r.publish(h.with(c.sets, c.blobs))
			return nil
		case !errors.Is(err, ErrConflict):
			return fmt.Errorf("saving keys: %w", err)
		}
		h, err = r.reload(ctx)
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("saving keys: %w %d times in a row", ErrConflict, maxAttempts)
}
