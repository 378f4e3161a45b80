package seal

import "encoding/binary"

// A Place is where a value belongs. Its numbers are given out once and never
// used again for something else, so a blob cannot be passed off as another's.
type Place struct {
	Vault         [16]byte
	Collection    uint16
	Ref           uint64 // the person
	Field         uint32
	Item          uint16
	KeyGeneration uint32 // of the person's key
}

// lock says which lock associated data is for, so that what one lock sealed
// is never taken for what the other did.
type lock byte

const (
	lockOuter lock = 1
	lockInner lock = 2
)

// adSize is the length of the associated data: every part has a fixed width,
// so no two places encode alike.
const adSize = 1 + 1 + 16 + 2 + 8 + 4 + 2 + 4

// ad is associated data. It is the only encoder. It begins with the format of
// the blob, so that a blob of one format is not passed off as another's.
type ad [adSize]byte

func (a *ad) encode(format byte, l lock, p *Place) []byte {
	a[0] = format
	a[1] = byte(l)
	copy(a[2:18], p.Vault[:])
	binary.BigEndian.PutUint16(a[18:], p.Collection)
	binary.BigEndian.PutUint64(a[20:], p.Ref)
	binary.BigEndian.PutUint32(a[28:], p.Field)
	binary.BigEndian.PutUint16(a[32:], p.Item)
	binary.BigEndian.PutUint32(a[34:], p.KeyGeneration)
	return a[:]
}
