package rows

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// What stands behind the ref in a key of the people table.
const (
	kindHeader byte = iota
	kindIdentity
	kindRecord
	kindCell
)

// Hash is a keyed hash that stands for a caller's id or a request.
type Hash [16]byte

// ControlKey is the key of the ControlRow. It stands in people, before all
// persons: every reveal reads it with the cells, and a second table would cost
// a single reveal a tenth of its time.
var ControlKey = make([]byte, 8)

// Names of single rows in the control tables.
var (
	// RefBlockKey: counter of refs given out, in blocks.
	RefBlockKey = []byte("refs")
	// SweptKey: counter, refs below it have been swept for orphaned keys.
	SweptKey = []byte("swept")
	// BootstrapKey: the first policy administrator, sealed.
	BootstrapKey = []byte("bootstrap")
	// VaultKey: the vault's id, in both stores.
	VaultKey = []byte("vault")
	// MarkKey: how far the audit log had come, sealed.
	MarkKey = []byte("mark")
	// GuardKey: what the control row, the freezes and the honey marks must be,
	// sealed.
	GuardKey = []byte("guard")
	// KeysetsKey: the generations of the keysets, sealed.
	KeysetsKey = []byte("keysets")
	// PendingKeyKey: a change of a key that is under way, sealed.
	PendingKeyKey = []byte("pending-key")
	// RewrapKey: the re-wrap of stored values, sealed.
	RewrapKey = []byte("rewrap")
	// EpochKey: the Epoch row of keys.db.
	EpochKey = []byte("epoch")
	// PreviousEpochKey: in keys.db, the Epoch row of an epoch that is ending.
	PreviousEpochKey = []byte("previous-epoch")
	// EpochEndKey: in values.db, who asked for the end of an epoch that was
	// begun and is not in the log as ended, sealed.
	EpochEndKey = []byte("epoch-end")
	// CompactKey: in values.db, when the files are to be compacted.
	CompactKey = []byte("compact")

	unfinishedErasure = []byte("erasing/")
	endedEpoch        = []byte("ended-epoch/")
)

// AppendHeaderKey appends the key of a person's header.
func AppendHeaderKey(dst []byte, ref uint64) []byte {
	return append(binary.BigEndian.AppendUint64(dst, ref), kindHeader)
}

// HeaderKey returns the key of a person's header.
func HeaderKey(ref uint64) []byte { return AppendHeaderKey(make([]byte, 0, 9), ref) }

// IdentityKey returns the key of the sealed caller's id of a person.
func IdentityKey(ref uint64) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 9), ref), kindIdentity)
}

// RecordKey returns the key of a record.
func RecordKey(ref uint64, collection uint16) []byte {
	b := append(binary.BigEndian.AppendUint64(make([]byte, 0, 11), ref), kindRecord)
	return binary.BigEndian.AppendUint16(b, collection)
}

// AppendCellKey appends the key of a cell. field is below 1<<24.
func AppendCellKey(dst []byte, ref uint64, field uint32, item uint16) []byte {
	dst = append(binary.BigEndian.AppendUint64(dst, ref), kindCell)
	dst = append(dst, byte(field>>16), byte(field>>8), byte(field))
	return binary.BigEndian.AppendUint16(dst, item)
}

// CellKey returns the key of a cell.
func CellKey(ref uint64, field uint32, item uint16) []byte {
	return AppendCellKey(make([]byte, 0, 14), ref, field, item)
}

// PersonRange returns the keys from <= key < to that hold all rows of a person.
func PersonRange(ref uint64) (from, to []byte) {
	from = binary.BigEndian.AppendUint64(nil, ref)
	return from, store.PrefixEnd(from)
}

// PersonKey is a decoded key of the people table.
type PersonKey struct {
	Control    bool // the control row, of no person
	Ref        uint64
	Header     bool
	Identity   bool
	Collection uint16 // of a record, else 0
	Field      uint32 // of a cell, else 0
	Item       uint16
}

// ParsePersonKey decodes a key of the people table.
func ParsePersonKey(key []byte) (PersonKey, error) {
	if bytes.Equal(key, ControlKey) {
		return PersonKey{Control: true}, nil
	}
	if len(key) < 9 {
		return PersonKey{}, fmt.Errorf("%w: a key of %d bytes in people", store.ErrCorrupt, len(key))
	}
	k := PersonKey{Ref: binary.BigEndian.Uint64(key)}
	switch rest := key[9:]; {
	case key[8] == kindHeader && len(rest) == 0:
		k.Header = true
	case key[8] == kindIdentity && len(rest) == 0:
		k.Identity = true
	case key[8] == kindRecord && len(rest) == 2:
		k.Collection = binary.BigEndian.Uint16(rest)
	case key[8] == kindCell && len(rest) == 5:
		k.Field = uint32(rest[0])<<16 | uint32(rest[1])<<8 | uint32(rest[2])
		k.Item = binary.BigEndian.Uint16(rest[3:])
	default:
		return PersonKey{}, fmt.Errorf("%w: a key of unknown kind in people", store.ErrCorrupt)
	}
	return k, nil
}

// MemberKey returns the key that says a person has a record in a collection.
func MemberKey(collection uint16, ref uint64) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 10), collection)
	return binary.BigEndian.AppendUint64(b, ref)
}

// MemberRange returns the keys of all members of a collection with a ref
// greater than after.
func MemberRange(collection uint16, after uint64) (from, to []byte) {
	from = store.Next(MemberKey(collection, after))
	return from, store.PrefixEnd(binary.BigEndian.AppendUint16(nil, collection))
}

// ParseMemberKey returns the ref of a member.
func ParseMemberKey(key []byte) (uint64, error) {
	if len(key) != 10 {
		return 0, fmt.Errorf("%w: a key of %d bytes in members", store.ErrCorrupt, len(key))
	}
	return binary.BigEndian.Uint64(key[2:]), nil
}

// RefKey returns the key of a person in subjects and ledger.
func RefKey(ref uint64) []byte { return binary.BigEndian.AppendUint64(nil, ref) }

// ParseRef decodes a bare ref: a key of subjects or ledger, or a lookup row.
func ParseRef(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: a ref of %d bytes", store.ErrCorrupt, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// ExpiryKey returns the key under which a request is forgotten.
func ExpiryKey(expires int64, request Hash) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(expires))
	return append(b, request[:]...)
}

// ParseExpiryKey returns the request of an expiry key.
func ParseExpiryKey(key []byte) (Hash, error) {
	if len(key) != 24 {
		return Hash{}, fmt.Errorf("%w: a key of %d bytes in request_expiry", store.ErrCorrupt, len(key))
	}
	return Hash(key[8:]), nil
}

// ExpiryBefore returns the end of the range of keys that expire before the
// given time in Unix milliseconds.
func ExpiryBefore(now int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(now)) }

// NumberKey returns the key of a freeze or of a honey mark: a number that is
// given out in rising order and says nothing of what stands in the row.
func NumberKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// ParseNumberKey decodes a key of freezes or honey.
func ParseNumberKey(key []byte) (uint64, error) {
	if len(key) != 8 {
		return 0, fmt.Errorf("%w: a key of %d bytes where numbers stand", store.ErrCorrupt, len(key))
	}
	return binary.BigEndian.Uint64(key), nil
}

// VersionKey returns the key of a policy version.
func VersionKey(version uint64) []byte { return binary.BigEndian.AppendUint64(nil, version) }

// ErasingKey returns the key that marks an erasure as begun and not finished.
func ErasingKey(ref uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), unfinishedErasure...), ref)
}

// ErasingRange returns the keys of all unfinished erasures.
func ErasingRange() (from, to []byte) {
	return unfinishedErasure, store.PrefixEnd(unfinishedErasure)
}

// ParseErasingKey returns the ref of an unfinished erasure.
func ParseErasingKey(key []byte) (uint64, error) {
	if len(key) != len(unfinishedErasure)+8 {
		return 0, fmt.Errorf("%w: a key of %d bytes among erasures", store.ErrCorrupt, len(key))
	}
	return binary.BigEndian.Uint64(key[len(unfinishedErasure):]), nil
}

// EndedEpochKey returns the key of the EndedEpoch row of an epoch, in keys.db.
func EndedEpochKey(number uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), endedEpoch...), number)
}

// EndedEpochRange returns the keys of all EndedEpoch rows, by rising number.
func EndedEpochRange() (from, to []byte) { return endedEpoch, store.PrefixEnd(endedEpoch) }
