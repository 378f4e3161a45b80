package keys

import (
	"maps"
	"slices"
)

// A Snapshot is the keysets of a Ring at one moment. It is immutable and safe
// for concurrent use; its look-ups take no lock and do not allocate. A caller
// that works for long takes a new one now and then, so that it sees
// rotations.
type Snapshot struct {
	opaque
	fields map[uint32]*AEAD
	rows   *AEAD
	sets   map[ID]*opened
}

// Field returns the lock of a field, or nil when it has none.
func (s *Snapshot) Field(number uint32) *AEAD { return s.fields[number] }

// Rows returns the lock of rows that are not values, rows/0, or nil when the
// Ring has none.
func (s *Snapshot) Rows() *AEAD { return s.rows }

// AEAD returns the AEAD of a keyset, or nil when there is none by that ID or
// it is of another kind.
func (s *Snapshot) AEAD(id ID) *AEAD {
	if o := s.sets[id]; o != nil {
		return o.aead
	}
	return nil
}

// Signer returns the signer of a keyset, or nil when there is none by that ID
// or it does not sign.
func (s *Snapshot) Signer(id ID) *Signer {
	if o := s.sets[id]; o != nil && len(o.signers) > 0 {
		return o.signers[0]
	}
	return nil
}

// Signers returns the signers of all enabled versions of a keyset, the primary
// one first and the others by falling version: what was signed before a
// rotation is verified by one of them. It is empty when there is no such
// keyset or it does not sign.
func (s *Snapshot) Signers(id ID) []*Signer {
	if o := s.sets[id]; o != nil {
		return slices.Clone(o.signers)
	}
	return nil
}

// PRF returns the PRF of a keyset, or nil when there is none by that ID or it
// is of another kind.
func (s *Snapshot) PRF(id ID) *PRF {
	if o := s.sets[id]; o != nil {
		return o.prf
	}
	return nil
}

// Generation returns the generation of a keyset, 0 when there is none.
func (s *Snapshot) Generation(id ID) uint64 {
	if o := s.sets[id]; o != nil {
		return o.header.generation
	}
	return 0
}

// IDs returns the ID of every keyset, by kind and number.
func (s *Snapshot) IDs() []ID {
	return slices.SortedFunc(maps.Keys(s.sets), ID.Compare)
}

// Info describes every keyset, in no order.
func (s *Snapshot) Info() []Info {
	out := make([]Info, 0, len(s.sets))
	for _, o := range s.sets {
		out = append(out, o.header.info(o.primary))
	}
	return out
}

func newSnapshot(sets map[ID]*opened) *Snapshot {
	s := &Snapshot{fields: make(map[uint32]*AEAD), sets: maps.Clone(sets)}
	for id, o := range sets {
		if id.Kind == KindField {
			s.fields[id.Number] = o.aead
		}
	}
	if o := sets[ID{Kind: KindRows}]; o != nil {
		s.rows = o.aead
	}
	return s
}
