package backup

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Kind says what an artefact holds. Numbers are stored.
type Kind uint8

// The two artefacts of a pair.
const (
	Values Kind = 1 // everything but keys
	Keys   Kind = 2 // what opens it
)

// String returns "values", "keys", or "kind(n)".
func (k Kind) String() string {
	switch k {
	case Values:
		return "values"
	case Keys:
		return "keys"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; ErrFormat for a name that
// String does not return.
func (k *Kind) UnmarshalText(text []byte) error {
	for _, known := range []Kind{Values, Keys} {
		if string(text) == known.String() {
			*k = known
			return nil
		}
	}
	return fmt.Errorf("%w: unknown kind", ErrFormat)
}

// ID is 16 bytes that name an artefact, a pair or a vault: 32 hex digits as
// text.
type ID [16]byte

// String returns 32 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; ErrFormat for anything
// but 32 hex digits.
func (id *ID) UnmarshalText(text []byte) error { return unhex(id[:], text) }

// Hash is a SHA-256 hash: 64 hex digits as text.
type Hash [32]byte

// String returns 64 hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; ErrFormat for anything
// but 64 hex digits.
func (h *Hash) UnmarshalText(text []byte) error { return unhex(h[:], text) }

func unhex(dst, text []byte) error {
	if n, err := hex.Decode(dst, text[:min(len(text), hex.EncodedLen(len(dst)))]); err != nil || n != len(dst) || len(text) != hex.EncodedLen(n) {
		return fmt.Errorf("%w: want %d hex digits", ErrFormat, hex.EncodedLen(len(dst)))
	}
	return nil
}

// Manifest says what an artefact is a copy of. It is enciphered with the rows.
type Manifest struct {
	Kind  Kind      `json:"kind"`
	Vault ID        `json:"vault"`
	Pair  ID        `json:"pair"` // both artefacts of one run have it
	Time  time.Time `json:"time"` // when the snapshot was taken
	// Program names the program that wrote it, with its version.
	Program string `json:"program"`
	// Log is where the audit log was before the snapshots: what is above it may
	// be missing in the artefact, and what is below is in it.
	Log Log `json:"log"`
	// Control are the numbers of the vault's control row.
	Control Control `json:"control"`
	// Lane is what the upper bits of the persons' refs were made of.
	Lane uint64 `json:"lane"`
	// Keysets are the generations of the keysets by name, such as "field/3".
	Keysets map[string]uint64 `json:"keysets"`
	// Epoch is the erasure epoch that new persons' keys were of, and
	// PreviousEpoch another one that some were still of while its end was under
	// way, else 0. Both are 0 in an artefact of values.
	Epoch         uint32 `json:"epoch"`
	PreviousEpoch uint32 `json:"previous_epoch,omitempty"`
	// Tables are what the rows are of, in rising order. Rows counts them; it is
	// 0 until the end was read.
	Tables []Table `json:"tables"`
	// LeftOut names what is made anew after a restore.
	LeftOut []string `json:"left_out,omitempty"`
}

// Log is a position of the audit log.
type Log struct {
	Entries uint64 `json:"entries"`
	// Root is the root hash of the tree over these entries (RFC 6962).
	Root Hash `json:"root"`
}

// Control are the numbers of a control row.
type Control struct {
	Policy  uint64 `json:"policy"`
	Keysets uint64 `json:"keysets"`
	Freezes uint64 `json:"freezes"`
}

// Table is a table of a store.
type Table struct {
	Number uint8  `json:"number"` // 1 to 255
	Name   string `json:"name"`
	Rows   uint64 `json:"rows,omitempty"`
}

// maxManifest bounds the length of a manifest: that of a vault with 100,000
// keysets is 4 MiB.
const maxManifest = 16 << 20

// header returns what of the manifest stands in clear.
func (m *Manifest) header(id ID, kek string, wrapped []byte) *fullHeader {
	h := &fullHeader{Header: Header{ID: id, Kind: m.Kind, Vault: m.Vault, Pair: m.Pair, Time: m.Time, KEK: kek}, wrapped: wrapped}
	if m.Kind == Keys {
		for _, epoch := range []uint32{m.PreviousEpoch, m.Epoch} {
			if epoch != 0 {
				h.Epochs = append(h.Epochs, epoch)
			}
		}
	}
	return h
}

// encode checks a manifest and encodes it, without row counts.
func (m Manifest) encode() ([]byte, error) {
	if m.Kind != Values && m.Kind != Keys {
		return nil, fmt.Errorf("%w: unknown kind of artefact", ErrUsage)
	}
	m.Tables = append([]Table(nil), m.Tables...)
	for i := range m.Tables {
		m.Tables[i].Rows = 0
	}
	if !rising(m.Tables) {
		return nil, fmt.Errorf("%w: tables must rise from 1", ErrUsage)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(text) > maxManifest {
		return nil, fmt.Errorf("%w: the manifest is longer than %d bytes", ErrUsage, maxManifest)
	}
	return text, nil
}

func rising(tables []Table) bool {
	before := uint8(0)
	for _, t := range tables {
		if t.Number <= before {
			return false
		}
		before = t.Number
	}
	return true
}
