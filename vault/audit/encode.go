package audit

import "encoding/binary"

// The first byte of an encoded entry. Format 1, which is read but no longer
// written, has no object and no key versions.
const (
	formatEntry1 = 1
	formatEntry  = 2
)

// Bits of the byte that begins an item. Every absent part is zero, or equal
// to the item before (the first item stands after one that is all zero).
const (
	itemRefused     = 0b0000_0001 // the outcome is Refused, else it is Allowed
	itemVersion     = 0b0000_0010 // key version follows, else that of the item before
	itemSubject     = 0b0000_0100 // 16 bytes of subject follow
	itemSameSubject = 0b0000_1000 // subject of the item before, which is not zero
	itemSameField   = 0b0001_0000 // field of the item before
	itemNumber      = 0b0010_0000 // item number follows
	itemRefusal     = 0b0100_0000 // reason of refusal follows
	itemHash        = 0b1000_0000 // 16 bytes of hash follow

	itemOutcome1 = 0b0000_0011 // in format 1: the outcome's number, in place of the first two
)

// fixedLen is the length of the part before the first varint.
const fixedLen = 1 + 16 + 8 + 1 + 1

// Append appends the encoding of e to dst and returns the result. Equal
// entries have equal encodings. The layout:
//
//	format          1 byte   2
//	id             16 bytes
//	time            8 bytes  nanoseconds since 1970 UTC, big-endian; 0 when not set
//	action          1 byte
//	outcome         1 byte
//	policy version  uvarint
//	count           uvarint
//	eight texts     uvarint length and bytes each: request, principal,
//	                purpose, view, reason, collection, refusal, object
//	items           uvarint number, then for each item
//	    flags       1 byte   bits 0 refused, 1 version follows, 2 subject
//	                         follows, 3 subject as before, 4 field as before,
//	                         5 number follows, 6 reason follows, 7 hash follows
//	    subject    16 bytes  if bit 2; zero if neither bit 2 nor 3
//	    field       uvarint  unless bit 4
//	    number      uvarint  if bit 5, else 0
//	    reason      uvarint  if bit 6, else 0
//	    hash       16 bytes  if bit 7, else zero
//	    version     uvarint  if bit 1, else as before; before the first it is 0
//
// Format 1, which Decode also reads, has seven texts (no object), in bits 0 and
// 1 of an item's flags the number of its outcome, and no version.
//
// The entry must be valid (see Validate): an entry that is not may give bytes
// that Decode refuses.
func (e *Entry) Append(dst []byte) []byte {
	dst = append(dst, formatEntry)
	dst = append(dst, e.ID[:]...)
	var ns uint64
	if !e.Time.IsZero() {
		ns = uint64(e.Time.UnixNano())
	}
	dst = binary.BigEndian.AppendUint64(dst, ns)
	dst = append(dst, byte(e.Action), byte(e.Outcome))
	dst = binary.AppendUvarint(dst, e.PolicyVersion)
	dst = binary.AppendUvarint(dst, uint64(e.Count))
	for _, text := range e.texts() {
		dst = binary.AppendUvarint(dst, uint64(len(*text)))
		dst = append(dst, *text...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Items)))
	before := &Item{}
	for i := range e.Items {
		dst = e.Items[i].append(dst, before)
		before = &e.Items[i]
	}
	return dst
}

// append appends the encoding of it that follows before.
func (it *Item) append(dst []byte, before *Item) []byte {
	var flags byte
	if it.Outcome == Refused {
		flags |= itemRefused
	}
	if it.KeyVersion != before.KeyVersion {
		flags |= itemVersion
	}
	if it.Subject != ([16]byte{}) {
		if it.Subject == before.Subject {
			flags |= itemSameSubject
		} else {
			flags |= itemSubject
		}
	}
	if it.Field == before.Field {
		flags |= itemSameField
	}
	if it.Item != 0 {
		flags |= itemNumber
	}
	if it.Refusal != 0 {
		flags |= itemRefusal
	}
	if it.Hash != ([16]byte{}) {
		flags |= itemHash
	}
	dst = append(dst, flags)
	if flags&itemSubject != 0 {
		dst = append(dst, it.Subject[:]...)
	}
	if flags&itemSameField == 0 {
		dst = binary.AppendUvarint(dst, uint64(it.Field))
	}
	if flags&itemNumber != 0 {
		dst = binary.AppendUvarint(dst, uint64(it.Item))
	}
	if flags&itemRefusal != 0 {
		dst = binary.AppendUvarint(dst, uint64(it.Refusal))
	}
	if flags&itemHash != 0 {
		dst = append(dst, it.Hash[:]...)
	}
	if flags&itemVersion != 0 {
		dst = binary.AppendUvarint(dst, uint64(it.KeyVersion))
	}
	return dst
}
