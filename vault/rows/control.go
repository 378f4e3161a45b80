package rows

import (
	"encoding/binary"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const (
	controlFormat = 1
	controlLen    = 25
	requestFormat = 1
	requestLen    = 42
	ledgerFormat  = 1
)

// ControlRow is what every decision depends on besides the person. Every write
// requires it unchanged; every reveal reads it in the snapshot of the cells.
//
//	format 1 | policy version 8 | keyset generation 8 | freeze generation 8
type ControlRow struct {
	Policy  uint64
	Keysets uint64
	// Freezes rises with each change of the freezes and of the honey marks,
	// and whenever a field is closed. A new freeze or mark takes the generation
	// it made as its number.
	Freezes uint64
}

// Append encodes c.
func (c ControlRow) Append(dst []byte) []byte {
	dst = append(dst, controlFormat)
	dst = binary.BigEndian.AppendUint64(dst, c.Policy)
	dst = binary.BigEndian.AppendUint64(dst, c.Keysets)
	return binary.BigEndian.AppendUint64(dst, c.Freezes)
}

// ParseControl decodes the control row.
func ParseControl(b []byte) (ControlRow, error) {
	if len(b) != controlLen || b[0] != controlFormat {
		return ControlRow{}, fmt.Errorf("%w: control row", store.ErrFormat)
	}
	return ControlRow{
		Policy:  binary.BigEndian.Uint64(b[1:]),
		Keysets: binary.BigEndian.Uint64(b[9:]),
		Freezes: binary.BigEndian.Uint64(b[17:]),
	}, nil
}

// Request remembers the outcome of one item of a write with a request id.
//
//	format 1 | created 1 | digest 16 | ref 8 | count 8 | expires ms 8
type Request struct {
	Created bool     // the record was new
	Digest  [16]byte // keyed hash of what was asked
	Ref     uint64   // the person
	Count   uint64   // values deleted, for a delete
	Expires int64    // Unix milliseconds
}

// Append encodes r.
func (r *Request) Append(dst []byte) []byte {
	dst = append(dst, requestFormat, 0)
	if r.Created {
		dst[len(dst)-1] = 1
	}
	dst = append(dst, r.Digest[:]...)
	dst = binary.BigEndian.AppendUint64(dst, r.Ref)
	dst = binary.BigEndian.AppendUint64(dst, r.Count)
	return binary.BigEndian.AppendUint64(dst, uint64(r.Expires))
}

// ParseRequest decodes a request row.
func ParseRequest(b []byte) (Request, error) {
	if len(b) != requestLen || b[0] != requestFormat || b[1] > 1 {
		return Request{}, fmt.Errorf("%w: a remembered request", store.ErrFormat)
	}
	return Request{
		Created: b[1] == 1,
		Digest:  [16]byte(b[2:]),
		Ref:     binary.BigEndian.Uint64(b[18:]),
		Count:   binary.BigEndian.Uint64(b[26:]),
		Expires: int64(binary.BigEndian.Uint64(b[34:])),
	}, nil
}

// AppendLedger encodes the ledger entry of an erasure at a time in Unix
// milliseconds.
func AppendLedger(dst []byte, at int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, ledgerFormat, byte(Erased)), uint64(at))
}
