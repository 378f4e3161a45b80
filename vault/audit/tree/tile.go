package tree

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight

	// entriesLevel is the level of tiles that hold entries.
	entriesLevel = -1
)

// tile names one file of hashes, or of entries.
type tile struct {
	level int // or entriesLevel
	n     uint64
	width int // 1 to tileWidth
}

// path returns the place of the tile, with slashes, as C2SP tlog-tiles says.
func (t tile) path() string {
	level := "entries"
	if t.level != entriesLevel {
		level = fmt.Sprint(t.level)
	}
	number := fmt.Sprintf("%03d", t.n%1000)
	for n := t.n / 1000; n > 0; n /= 1000 {
		number = fmt.Sprintf("x%03d/%s", n%1000, number)
	}
	if t.width != tileWidth {
		return fmt.Sprintf("tile/%s/%s.p/%d", level, number, t.width)
	}
	return fmt.Sprintf("tile/%s/%s", level, number)
}

// partials returns the tiles at the right edge of a tree that are not full,
// rising by level, the entries' first.
func partials(size uint64) []tile {
	var out []tile
	for level := 0; size > 0; level++ {
		if w := int(size % tileWidth); w > 0 {
			if level == 0 {
				out = append(out, tile{entriesLevel, size / tileWidth, w})
			}
			out = append(out, tile{level, size / tileWidth, w})
		}
		size /= tileWidth
	}
	return out
}

// appendEntry appends an entry to a bundle. It is at most 65535 bytes long.
func appendEntry(bundle, raw []byte) []byte {
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(raw))), raw...)
}

// splitBundle calls fn for the entries of a bundle and reports whether it is
// made of whole entries, n in number.
func splitBundle(bundle []byte, n int, fn func(i int, raw []byte)) bool {
	for i := range n {
		if len(bundle) < 2 {
			return false
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		if end > len(bundle) {
			return false
		}
		fn(i, bundle[2:end])
		bundle = bundle[end:]
	}
	return len(bundle) == 0
}

// appendHashes appends the bytes of hashes.
func appendHashes(dst []byte, hashes []tlog.Hash) []byte {
	for i := range hashes {
		dst = append(dst, hashes[i][:]...)
	}
	return dst
}

// splitHashes reads n hashes and reports whether data is that long.
func splitHashes(data []byte, n int) ([]tlog.Hash, bool) {
	if len(data) != n*tlog.HashSize {
		return nil, false
	}
	hashes := make([]tlog.Hash, n, tileWidth)
	for i := range hashes {
		copy(hashes[i][:], data[i*tlog.HashSize:])
	}
	return hashes, true
}
