package keys

import (
	"fmt"
	"maps"
)

// held is what a Ring has of its Storage: the rows as they were read or
// written last, and what they opened to. It is never changed, only replaced.
type held struct {
	root     *root // nil when sealed
	row      rootRow
	recovery recoveryRow
	sets     map[ID]*opened
	blobs    map[ID][]byte // stored rows, as Save must find them
}

// openRows opens every row under rt; keysets whose rows equal those of known
// are not opened again.
func openRows(rt *root, row rootRow, rows []Row, known held, uses *counters) (held, error) {
	h := held{
		root: rt, row: row,
		sets: make(map[ID]*opened, len(rows)), blobs: make(map[ID][]byte, len(rows)),
	}
	roots := 0
	for _, r := range rows {
		switch r.Name {
		case rootName:
			if roots++; roots > 1 {
				return held{}, fmt.Errorf("%w: key row %q stands twice", ErrFormat, r.Name)
			}
			continue
		case recoveryName:
			if h.recovery.blob != nil {
				return held{}, fmt.Errorf("%w: key row %q stands twice", ErrFormat, r.Name)
			}
			var err error
			if h.recovery, err = parseRecoveryRow(r.Blob); err != nil {
				return held{}, err
			}
			if err := h.recovery.prove(rt); err != nil {
				return held{}, err
			}
			continue
		}
		id, err := ParseID(r.Name)
		if err != nil {
			return held{}, fmt.Errorf("key row %q: %w", r.Name, err)
		}
		if _, twice := h.sets[id]; twice {
			return held{}, fmt.Errorf("%w: key row %q stands twice", ErrFormat, r.Name)
		}
		o := known.sets[id]
		if o == nil || string(known.blobs[id]) != string(r.Blob) {
			hd, handle, err := rt.open(r)
			if err != nil {
				return held{}, err
			}
			if o, err = build(hd, handle, uses); err != nil {
				return held{}, err
			}
		}
		h.sets[id], h.blobs[id] = o, r.Blob
	}
	return h, nil
}

// only returns what is left of h when the Ring is sealed: no root, and the
// keysets of the kinds in keep.
func (h held) only(keep []Kind) held {
	h.root = nil
	h.sets, h.blobs = maps.Clone(h.sets), nil
	maps.DeleteFunc(h.sets, func(id ID, _ *opened) bool {
		for _, k := range keep {
			if id.Kind == k {
				return false
			}
		}
		return true
	})
	return h
}

// marks are the highest numbers that a Ring has seen. They outlive a Seal.
type marks struct {
	version, wrapping uint32 // of the root
	recovery          uint32
	keysets           map[ID]uint64
}

// raise takes over the numbers of h.
func (m *marks) raise(h held) {
	m.version, m.wrapping = max(m.version, h.row.version), max(m.wrapping, h.row.wrapping)
	m.recovery = max(m.recovery, h.recovery.generation)
	if m.keysets == nil {
		m.keysets = make(map[ID]uint64, len(h.sets))
	}
	for id, o := range h.sets {
		m.keysets[id] = max(m.keysets[id], o.header.generation)
	}
}

// check refuses rows that are older than those seen before. A row is never
// removed and each change raises its number, so a Storage that says otherwise
// was put back behind our back.
func (m *marks) check(h held) error {
	switch {
	case h.row.version < m.version || h.row.wrapping < m.wrapping:
		return fmt.Errorf("%w: the root went back", ErrWrongKey)
	case h.recovery.generation < m.recovery:
		return fmt.Errorf("%w: the recovery row went back", ErrWrongKey)
	}
	for id, seen := range m.keysets {
		if o := h.sets[id]; o == nil || o.header.generation < seen {
			return fmt.Errorf("%w: keyset %s went back", ErrWrongKey, id)
		}
	}
	return nil
}
