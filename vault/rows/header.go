package rows

import (
	"encoding/binary"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// State of a person.
type State uint8

const (
	// Active: values can be stored and revealed.
	Active State = iota + 1
	// Erased: the person's key is destroyed, or is about to be.
	Erased
)

const (
	headerFormat = 1
	headerLen    = 10
)

// Header is a person's row that every write requires unchanged and every
// reveal reads with the cells.
//
//	format 1 | state 1 | key generation 4 | token generation 1 | flags 1 | records 2
type Header struct {
	State           State
	KeyGeneration   uint32 // of the person's key
	TokenGeneration uint8  // tokens of another generation are revoked
	Records         uint16 // live records of the person
}

// Append encodes h.
func (h *Header) Append(dst []byte) []byte {
	dst = append(dst, headerFormat, byte(h.State))
	dst = binary.BigEndian.AppendUint32(dst, h.KeyGeneration)
	dst = append(dst, h.TokenGeneration, 0)
	return binary.BigEndian.AppendUint16(dst, h.Records)
}

// ParseHeader decodes a header; unknown formats, states and flags are errors,
// so that a restriction written by a newer version is never ignored.
func ParseHeader(b []byte) (Header, error) {
	if len(b) == 0 || b[0] != headerFormat {
		return Header{}, fmt.Errorf("%w: header of a person", store.ErrFormat)
	}
	if len(b) != headerLen || State(b[1]) < Active || State(b[1]) > Erased || b[7] != 0 {
		return Header{}, fmt.Errorf("%w: header of a person", store.ErrCorrupt)
	}
	return Header{
		State:           State(b[1]),
		KeyGeneration:   binary.BigEndian.Uint32(b[2:]),
		TokenGeneration: b[6],
		Records:         binary.BigEndian.Uint16(b[8:]),
	}, nil
}
