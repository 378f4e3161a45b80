package rows

import (
	"encoding/binary"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const (
	epochFormat  = 2
	epochBefore  = 1 // without the time
	epochHeader  = 1 + 4 + 8
	endedFormat  = 1
	endedHeader  = 1 + 4 + 8 + 8 + 8 + 1
	maxEndedHow  = 1024
	compactLen   = 1 + 8
	compactFirst = 1
)

// Epoch is the row of keys.db that says which epoch key wraps the subject
// keys, and holds that key wrapped by its provider. Every new subject key
// requires it unchanged. While an epoch ends, its row stands under
// PreviousEpochKey.
//
//	format 2 | number 4 | made ms 8 | wrapped
//	format 1 | number 4 | wrapped                 made is not known: 0
type Epoch struct {
	Number  uint32
	Made    int64 // Unix milliseconds; 0: not known
	Wrapped []byte
}

// Append encodes e, in format 2.
func (e *Epoch) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, epochFormat), e.Number)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Made))
	return append(dst, e.Wrapped...)
}

// ParseEpoch decodes an epoch row of either format. Wrapped is a part of b.
func ParseEpoch(b []byte) (Epoch, error) {
	switch {
	case len(b) > epochHeader && b[0] == epochFormat:
		return Epoch{Number: binary.BigEndian.Uint32(b[1:]), Made: int64(binary.BigEndian.Uint64(b[5:])), Wrapped: b[epochHeader:]}, nil
	case len(b) > 5 && b[0] == epochBefore:
		return Epoch{Number: binary.BigEndian.Uint32(b[1:]), Wrapped: b[5:]}, nil
	}
	return Epoch{}, fmt.Errorf("%w: epoch row", store.ErrFormat)
}

// EndedEpoch is the row of keys.db that remembers an epoch that ended.
//
//	format 1 | number 4 | made ms 8 | ended ms 8 | copies ms 8 | certain 1 | how
type EndedEpoch struct {
	Number uint32
	Made   int64 // Unix milliseconds; 0: not known
	Ended  int64 // when its key was destroyed
	// Copies is until when older copies could still be opened: until then the
	// provider could have brought the key back.
	Copies  int64
	Certain bool   // the provider can prove that no copy of the key is left
	How     string // it destroys, for people; at most 1,024 bytes are kept
}

// Append encodes e.
func (e *EndedEpoch) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, endedFormat), e.Number)
	for _, at := range []int64{e.Made, e.Ended, e.Copies} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(at))
	}
	certain := byte(0)
	if e.Certain {
		certain = 1
	}
	return append(append(dst, certain), e.How[:min(len(e.How), maxEndedHow)]...)
}

// ParseEndedEpoch decodes the row of an epoch that ended.
func ParseEndedEpoch(b []byte) (EndedEpoch, error) {
	if len(b) < endedHeader || len(b) > endedHeader+maxEndedHow || b[0] != endedFormat || b[endedHeader-1] > 1 {
		return EndedEpoch{}, fmt.Errorf("%w: row of an epoch that ended", store.ErrFormat)
	}
	return EndedEpoch{
		Number:  binary.BigEndian.Uint32(b[1:]),
		Made:    int64(binary.BigEndian.Uint64(b[5:])),
		Ended:   int64(binary.BigEndian.Uint64(b[13:])),
		Copies:  int64(binary.BigEndian.Uint64(b[21:])),
		Certain: b[29] == 1,
		How:     string(b[endedHeader:]),
	}, nil
}

// AppendCompactDue encodes the row that says by when the files are to be
// compacted, in Unix milliseconds.
//
//	format 1 | due ms 8
func AppendCompactDue(dst []byte, due int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, compactFirst), uint64(due))
}

// ParseCompactDue decodes the row of a compaction that is due.
func ParseCompactDue(b []byte) (int64, error) {
	if len(b) != compactLen || b[0] != compactFirst {
		return 0, fmt.Errorf("%w: row of a compaction", store.ErrFormat)
	}
	return int64(binary.BigEndian.Uint64(b[1:])), nil
}
