package keys

import (
	"encoding/binary"
	"fmt"
	"time"
)

// State is what may be done with a version of a keyset. The numbers are
// stored.
type State uint8

const (
	// Enabled versions are used.
	Enabled State = 1
	// Disabled versions exist and are refused.
	Disabled State = 2
	// Destroyed versions are gone; only their number is remembered.
	Destroyed State = 3
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Enabled:
		return "enabled"
	case Disabled:
		return "disabled"
	case Destroyed:
		return "destroyed"
	}
	return "unknown"
}

// usable returns why a version in this state may not be used, or nil.
func (s State) usable(version uint16) error {
	switch s {
	case Enabled:
		return nil
	case Destroyed:
		return fmt.Errorf("%w: version %d", ErrDestroyed, version)
	}
	return fmt.Errorf("%w: version %d", ErrDisabled, version)
}

const (
	formatKeyset = 1
	headerFixed  = 1 + 1 + 4 + 8 + 2 + 2
	headerEntry  = 2 + 4 + 1 + 8

	// maxVersions bounds a keyset's history, tombstones included. It is a year
	// of hourly rotations and keeps a row under 150 KiB.
	maxVersions = 8784
)

// header is the part of a keyset row that stands in clear and is
// authenticated.
type header struct {
	id         ID
	generation uint64 // 1 when created, one more with each change
	next       uint16 // version number that the next added key gets
	entries    []headerVersion
}

type headerVersion struct {
	version uint16
	tinkID  uint32
	state   State
	made    int64 // Unix seconds
}

func (h *header) find(version uint16) *headerVersion {
	for i := range h.entries {
		if h.entries[i].version == version {
			return &h.entries[i]
		}
	}
	return nil
}

func (h *header) findID(tinkID uint32) *headerVersion {
	for i := range h.entries {
		if h.entries[i].tinkID == tinkID {
			return &h.entries[i]
		}
	}
	return nil
}

func (h *header) append(dst []byte) []byte {
	dst = append(dst, formatKeyset, byte(h.id.Kind))
	dst = binary.BigEndian.AppendUint32(dst, h.id.Number)
	dst = binary.BigEndian.AppendUint64(dst, h.generation)
	dst = binary.BigEndian.AppendUint16(dst, h.next)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(h.entries)))
	for _, e := range h.entries {
		dst = binary.BigEndian.AppendUint16(dst, e.version)
		dst = binary.BigEndian.AppendUint32(dst, e.tinkID)
		dst = append(dst, byte(e.state))
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.made))
	}
	return dst
}

// parseHeader splits a keyset row. It checks form only; the caller proves the
// header by opening the sealed part with it.
func parseHeader(blob []byte) (h header, sealed []byte, err error) {
	bad := func(rule string) (header, []byte, error) {
		return header{}, nil, fmt.Errorf("%w: keyset row: %s", ErrFormat, rule)
	}
	if len(blob) < headerFixed {
		return bad("too short")
	}
	if blob[0] != formatKeyset {
		return bad("unknown format number")
	}
	h.id = ID{Kind(blob[1]), binary.BigEndian.Uint32(blob[2:])}
	h.generation = binary.BigEndian.Uint64(blob[6:])
	h.next = binary.BigEndian.Uint16(blob[14:])
	count := int(binary.BigEndian.Uint16(blob[16:]))
	rest := blob[headerFixed:]
	switch {
	case h.id.Kind.family() == familyNone:
		return bad("unknown kind")
	case h.generation == 0:
		return bad("generation is zero")
	case count == 0 || count > maxVersions:
		return bad("number of versions out of range")
	case len(rest) < count*headerEntry+gcmOverhead:
		return bad("too short")
	}
	h.entries = make([]headerVersion, count)
	seen := make(map[uint32]struct{}, count)
	var last uint16
	for i := range h.entries {
		e := headerVersion{
			version: binary.BigEndian.Uint16(rest),
			tinkID:  binary.BigEndian.Uint32(rest[2:]),
			state:   State(rest[6]),
			made:    int64(binary.BigEndian.Uint64(rest[7:])),
		}
		rest = rest[headerEntry:]
		if e.version <= last {
			return bad("versions do not rise")
		}
		if e.state < Enabled || e.state > Destroyed {
			return bad("unknown state")
		}
		if _, twice := seen[e.tinkID]; twice {
			return bad("a key id stands twice")
		}
		seen[e.tinkID], last, h.entries[i] = struct{}{}, e.version, e
	}
	if h.next <= last {
		return bad("next version is in use")
	}
	return h, rest, nil
}

// Info describes a keyset without its keys.
type Info struct {
	ID ID
	// Generation rises by one with each change of the keyset.
	Generation uint64
	// Primary is the version that new ciphertexts and outputs use.
	Primary uint16
	// Versions lists all versions ever made, rising.
	Versions []VersionInfo
}

// VersionInfo describes one version of a keyset.
type VersionInfo struct {
	Version uint16
	State   State
	Made    time.Time // whole seconds, UTC
}

func (h *header) info(primary uint16) Info {
	in := Info{ID: h.id, Generation: h.generation, Primary: primary, Versions: make([]VersionInfo, len(h.entries))}
	for i, e := range h.entries {
		in.Versions[i] = VersionInfo{e.version, e.state, time.Unix(e.made, 0).UTC()}
	}
	return in
}
