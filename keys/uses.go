package keys

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Use says how often a version sealed.
type Use struct {
	ID      ID
	Version uint16
	// Count is the number of Seals since the Ring was opened.
	Count uint64
}

// counter is one count. It fills two cache lines, which processors fetch
// together, so that versions used at once do not slow each other.
type counter struct {
	n atomic.Uint64
	_ [120]byte
}

type useKey struct {
	id      ID
	version uint16
}

// counters hold a counter for every version that was a primary one since the
// Ring was opened; no other ever seals. A keyset that is built anew, and one
// that is sealed and opened again, goes on counting where it was.
type counters struct {
	mu sync.Mutex
	m  map[useKey]*counter
}

// of returns the counter of a version, and makes it when there is none.
func (c *counters) of(id ID, version uint16) *counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := useKey{id, version}
	n := c.m[key]
	if n == nil {
		if c.m == nil {
			c.m = make(map[useKey]*counter)
		}
		n = new(counter)
		c.m[key] = n
	}
	return n
}

// Uses returns how often each version of an AEAD keyset sealed since the Ring
// was opened, by rising ID and version; versions that could not have sealed
// are left out. It counts Seals by older Snapshots too, and goes on over
// Seal, Unseal and Close.
func (r *Ring) Uses() []Use {
	r.uses.mu.Lock()
	defer r.uses.mu.Unlock()
	out := make([]Use, 0, len(r.uses.m))
	for key, n := range r.uses.m {
		out = append(out, Use{key.id, key.version, n.n.Load()})
	}
	slices.SortFunc(out, func(a, b Use) int {
		return cmp.Or(a.ID.Compare(b.ID), cmp.Compare(a.Version, b.Version))
	})
	return out
}
