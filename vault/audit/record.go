package audit

import (
	"encoding/binary"
	"hash/crc32"
)

// The header of a record, big-endian, before its payload:
//
//	sum       4 bytes  CRC-32C of the rest of the header and the payload,
//	                   begun with the segment's salt
//	length    4 bytes  of the payload, 1 to MaxEncodedLen
//	index     8 bytes  of the entry
//	position  4 bytes  of the entry in its group
//
// The index is in the record so that records after a damaged one can be
// recognised, and the position so that it can be told whether they were
// written before or after the damage was on its way to the disk.
const recordHeader = 4 + 4 + 8 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is one record taken apart. payload points into what was parsed.
type record struct {
	index    uint64
	position uint32
	payload  []byte
}

// group returns the index of the first entry of the record's group.
func (r *record) group() uint64 { return r.index - uint64(r.position) }

// size returns the length of the whole record.
func (r *record) size() int64 { return int64(recordHeader + len(r.payload)) }

// beginRecord appends an unfinished header.
func beginRecord(dst []byte) []byte {
	var blank [recordHeader]byte
	return append(dst, blank[:]...)
}

// endRecord notes the length of the record that began at start and ends with
// dst.
func endRecord(dst []byte, start int) {
	binary.BigEndian.PutUint32(dst[start+4:], uint32(len(dst)-start-recordHeader))
}

// frame finishes the headers of all records in buf, which become one group
// that begins at index first, in a segment with the given salt.
func frame(buf []byte, salt uint32, first uint64) {
	for position := uint32(0); len(buf) > 0; position++ {
		end := recordHeader + int(binary.BigEndian.Uint32(buf[4:]))
		binary.BigEndian.PutUint64(buf[8:], first+uint64(position))
		binary.BigEndian.PutUint32(buf[16:], position)
		binary.BigEndian.PutUint32(buf, crc32.Update(salt, castagnoli, buf[4:end]))
		buf = buf[end:]
	}
}

// payloadLen reads the length from a header and reports whether it can be one.
func payloadLen(header []byte) (int, bool) {
	n := binary.BigEndian.Uint32(header[4:])
	return int(n), n > 0 && n <= MaxEncodedLen
}

// parseRecord reads the record at the start of b and reports whether one is
// there, whole and undamaged.
func parseRecord(b []byte, salt uint32) (record, bool) {
	if len(b) < recordHeader {
		return record{}, false
	}
	n, ok := payloadLen(b)
	if !ok || n > len(b)-recordHeader {
		return record{}, false
	}
	b = b[:recordHeader+n]
	if crc32.Update(salt, castagnoli, b[4:]) != binary.BigEndian.Uint32(b) {
		return record{}, false
	}
	r := record{
		index:    binary.BigEndian.Uint64(b[8:]),
		position: binary.BigEndian.Uint32(b[16:]),
		payload:  b[recordHeader:],
	}
	return r, uint64(r.position) <= r.index
}
