package rows

import (
	"encoding/binary"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// RelookKey is the key of the Relook row in the control table of values.db.
var RelookKey = []byte("relook")

const (
	relookFormat = 1
	relookLen    = 13
)

// Relook says under which version of the lookup keyset persons are found. The
// row is absent as long as that is version 1 and no other was ever in use.
//
//	format 1 | settled 2 | target 2 | next ref 8
type Relook struct {
	Settled uint16 // every person is found under this version, or under Target
	Target  uint16 // the version that persons are moved to; Settled when none are
	Next    uint64 // persons with a lower ref were moved
}

// Append encodes r.
func (r Relook) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, relookFormat), r.Settled)
	dst = binary.BigEndian.AppendUint16(dst, r.Target)
	return binary.BigEndian.AppendUint64(dst, r.Next)
}

// ParseRelook decodes the row.
func ParseRelook(b []byte) (Relook, error) {
	if len(b) != relookLen || b[0] != relookFormat {
		return Relook{}, fmt.Errorf("%w: the row of the look-up's version", store.ErrFormat)
	}
	r := Relook{
		Settled: binary.BigEndian.Uint16(b[1:]), Target: binary.BigEndian.Uint16(b[3:]), Next: binary.BigEndian.Uint64(b[5:]),
	}
	if r.Settled == 0 || r.Target == 0 {
		return Relook{}, fmt.Errorf("%w: the row of the look-up's version", store.ErrCorrupt)
	}
	return r, nil
}
