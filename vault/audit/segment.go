package audit

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The header of a segment, big-endian:
//
//	magic   8 bytes  "CLKAUDIT"
//	format  4 bytes  1
//	first   8 bytes  index of the first entry
//	salt    4 bytes  random; records are summed with it, so that nobody who
//	                 chooses a text of an entry can make one that looks like a
//	                 record, and no record of another segment passes for one here
//	sum     4 bytes  CRC-32C of the above
const (
	segmentMagic  = "CLKAUDIT"
	segmentFormat = 1
	segmentHeader = 8 + 4 + 8 + 4 + 4
)

// Names of files in the folder. A segment carries its final name only once
// its header is durable.
const (
	segmentSuffix = ".wal"
	newSuffix     = ".new"
	indexDigits   = 20
)

func segmentName(first uint64) string {
	return fmt.Sprintf("%0*d%s", indexDigits, first, segmentSuffix)
}

// segment is a segment being written. It belongs to the writer.
type segment struct {
	file  diskFile
	first uint64
	salt  uint32
	end   int64 // where the next record goes
	size  int64 // how far the room is reserved
}

// createSegment makes a segment whose first entry is first, with room for at
// least size bytes, and makes it durable under its name. What had that name
// can only be a segment without an acknowledged entry, and is replaced.
func createSegment(d disk, dir string, first uint64, size int64) (_ *segment, err error) {
	final := filepath.Join(dir, segmentName(first))
	temporary := final + newSuffix
	file, err := d.Create(temporary)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = d.Remove(temporary) // the room it takes may be what is missing
		}
	}()
	if err := file.Allocate(size); err != nil {
		return nil, err
	}
	s := &segment{file: file, first: first, end: segmentHeader, size: size}
	header, err := s.header()
	if err != nil {
		return nil, err
	}
	if _, err := file.WriteAt(header, 0); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, fmt.Errorf("sync %s: %w", filepath.Base(temporary), err)
	}
	if err := d.Rename(temporary, final); err != nil {
		return nil, err
	}
	if err := d.SyncDir(dir); err != nil {
		return nil, err
	}
	return s, nil
}

// header draws a salt and returns the bytes of the header.
func (s *segment) header() ([]byte, error) {
	var salt [4]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, err
	}
	s.salt = binary.BigEndian.Uint32(salt[:])
	b := append(make([]byte, 0, segmentHeader), segmentMagic...)
	b = binary.BigEndian.AppendUint32(b, segmentFormat)
	b = binary.BigEndian.AppendUint64(b, s.first)
	b = append(b, salt[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// parseHeader checks the header of the segment that begins at index first and
// returns its salt.
func parseHeader(b []byte, first uint64) (salt uint32, err error) {
	corrupt := func(rule string) error { return &CorruptError{Segment: segmentName(first), Index: first, Rule: rule} }
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic {
		return 0, corrupt("not the header of a segment")
	}
	// The format comes before the sum: another format may sum otherwise.
	if format := binary.BigEndian.Uint32(b[8:]); format != segmentFormat {
		return 0, fmt.Errorf("%w: segment %s has format %d", ErrFormat, segmentName(first), format)
	}
	if crc32.Checksum(b[:segmentHeader-4], castagnoli) != binary.BigEndian.Uint32(b[segmentHeader-4:]) {
		return 0, corrupt("the sum of the header does not hold")
	}
	if binary.BigEndian.Uint64(b[12:]) != first {
		return 0, corrupt("header and name differ in the first index")
	}
	return binary.BigEndian.Uint32(b[20:]), nil
}

// fits reports whether n bytes can be added in the reserved room.
func (s *segment) fits(n int) bool { return s.end+int64(n) <= s.size }

// add frames the records in buf as the group that begins at index next,
// writes them and makes them durable.
func (s *segment) add(buf []byte, next uint64) error {
	frame(buf, s.salt, next)
	if _, err := s.file.WriteAt(buf, s.end); err != nil {
		return fmt.Errorf("write %s: %w", segmentName(s.first), err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", segmentName(s.first), err)
	}
	s.end += int64(len(buf))
	return nil
}

// listSegments returns the first indexes of the segments in dir, rising, and
// the names of unfinished ones.
func listSegments(d disk, dir string) (firsts []uint64, unfinished []string, err error) {
	names, err := d.List(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix+newSuffix) {
			unfinished = append(unfinished, name)
			continue
		}
		digits, ok := strings.CutSuffix(name, segmentSuffix)
		if !ok || len(digits) != indexDigits {
			continue
		}
		if first, err := strconv.ParseUint(digits, 10, 64); err == nil {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, unfinished, nil
}
