package index

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Table numbers of index.db.
const (
	tableAbout uint8 = iota + 1
	tableLots
	tableBlocks
)

// Tables returns the declaration of index.db.
func Tables() []store.Table {
	return []store.Table{
		{Number: tableAbout, Name: "about", Kind: store.Ordered},
		{Number: tableLots, Name: "lots", Kind: store.Ordered},
		{Number: tableBlocks, Name: "blocks", Kind: store.Ordered},
	}
}

// formatVersion is the value of the row formatKey. The row is there exactly
// while the other rows are whole.
const (
	formatVersion = 1
	formatKey     = "format"
)

const (
	lotKeyLen   = 8
	blockKeyLen = 8 + 2
	sumLen      = 4
)

func appendLotKey(dst []byte, first uint64) []byte { return binary.BigEndian.AppendUint64(dst, first) }

func appendBlockKey(dst []byte, first uint64, block uint16) []byte {
	return binary.BigEndian.AppendUint16(appendLotKey(dst, first), block)
}

// summed checks the sum that begins a row and returns what follows it. The
// engine keeps no sums, and a row that reads well but is not what was written
// could hide an entry.
func summed(key, value []byte) ([]byte, bool) {
	if len(value) < sumLen || binary.BigEndian.Uint32(value) != rowSum(key, value[sumLen:]) {
		return nil, false
	}
	return value[sumLen:], true
}

// setSum fills in the sum at the beginning of value.
func setSum(key, value []byte) { binary.BigEndian.PutUint32(value, rowSum(key, value[sumLen:])) }

func rowSum(key, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rest)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
