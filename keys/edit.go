package keys

import (
	"fmt"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
)

// edit is a keyset in the middle of a change. The steps of one change make one
// generation.
type edit struct {
	h       header
	m       *keyset.Manager
	primary uint16 // 0: none yet
	changed bool
}

// newEdit begins a keyset that has no versions yet.
func newEdit(id ID) *edit {
	return &edit{h: header{id: id, next: 1}, m: keyset.NewManager()}
}

// editOf begins a change of a keyset that was opened.
func editOf(o *opened, handle *keyset.Handle) *edit {
	h := o.header
	h.entries = slices.Clone(h.entries)
	return &edit{h: h, m: keyset.NewManagerFromHandle(handle), primary: o.primary}
}

// add adds a fresh key and returns its version.
func (e *edit) add() (uint16, error) {
	if len(e.h.entries) >= maxVersions || e.h.next == ^uint16(0) {
		return 0, fmt.Errorf("%w: keyset %s has no version numbers left", ErrUsage, e.h.id)
	}
	params, err := parameters(e.h.id.Kind)
	if err != nil {
		return 0, err
	}
	tinkID, err := e.m.AddNewKeyFromParameters(params)
	// Tink draws ids at random and knows nothing of tombstones: an id that a
	// destroyed version had is drawn again rather than used again.
	for err == nil && e.h.findID(tinkID) != nil {
		if err = e.m.Delete(tinkID); err == nil {
			tinkID, err = e.m.AddNewKeyFromParameters(params)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("adding a version to keyset %s: %w", e.h.id, err)
	}
	version := e.h.next
	e.h.entries = append(e.h.entries, headerVersion{version, tinkID, Enabled, time.Now().Unix()})
	e.h.next++
	e.changed = true
	return version, nil
}

// promote makes a version the primary one.
func (e *edit) promote(version uint16) error {
	if version == e.primary {
		return nil
	}
	v := e.h.find(version)
	if v == nil {
		return e.noVersion(version)
	}
	if err := v.state.usable(version); err != nil {
		return err
	}
	if err := e.m.SetPrimary(v.tinkID); err != nil {
		return fmt.Errorf("promoting %s version %d: %w", e.h.id, version, err)
	}
	e.primary, e.changed = version, true
	return nil
}

// rotate adds a version and makes it the primary one.
func (e *edit) rotate() (version uint16, err error) {
	if version, err = e.add(); err == nil {
		err = e.promote(version)
	}
	return version, err
}

// setState moves a version to another state. The primary stays enabled, and
// only a disabled version can be destroyed, so that what still needs it has
// been heard of before it is too late.
func (e *edit) setState(version uint16, state State) error {
	v := e.h.find(version)
	if v == nil {
		return e.noVersion(version)
	}
	if v.state == state {
		return nil
	}
	var err error
	switch {
	case v.state == Destroyed:
		return fmt.Errorf("%w: %s version %d", ErrDestroyed, e.h.id, version)
	case version == e.primary:
		return fmt.Errorf("%w: %s version %d is the primary one", ErrUsage, e.h.id, version)
	case state == Enabled:
		err = e.m.Enable(v.tinkID)
	case state == Disabled:
		err = e.m.Disable(v.tinkID)
	case state == Destroyed && v.state == Disabled:
		err = e.m.Delete(v.tinkID)
	default:
		return fmt.Errorf("%w: %s version %d cannot go from %s to %s", ErrUsage, e.h.id, version, v.state, state)
	}
	if err != nil {
		return fmt.Errorf("%s version %d to %s: %w", e.h.id, version, state, err)
	}
	v.state, e.changed = state, true
	return nil
}

// disable disables a version. The primary one first gives its place to a fresh
// one, whose version is returned; else fresh is 0.
func (e *edit) disable(version uint16) (fresh uint16, err error) {
	if version == e.primary {
		if fresh, err = e.rotate(); err != nil {
			return 0, err
		}
	}
	return fresh, e.setState(version, Disabled)
}

func (e *edit) noVersion(version uint16) error {
	return fmt.Errorf("%w: %s version %d", ErrNoKey, e.h.id, version)
}

// finish returns the header and the keyset of the next generation.
func (e *edit) finish() (header, *keyset.Handle, error) {
	e.h.generation++
	handle, err := e.m.Handle()
	if err != nil {
		return header{}, nil, fmt.Errorf("changing keyset %s: %w", e.h.id, err)
	}
	return e.h, handle, nil
}
