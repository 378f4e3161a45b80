package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
)

// Read calls fn for every entry from index from on that is durable when Read
// is called, in rising order. raw is the encoded entry (see Decode); it is
// valid until fn returns. An error of fn ends Read and is returned as it is.
// A damaged or missing entry gives a *CorruptError. Read does not stop
// appends, and goes on working while the log cannot be written.
func (l *FileLog) Read(from uint64, fn func(index uint64, raw []byte) error) error {
	size := l.Size() // before the segments are listed, which therefore hold it all
	if from >= size {
		return nil
	}
	firsts, _, err := listSegments(l.opts.disk, l.dir)
	if err != nil {
		return err
	}
	// The last segment that begins at or before from holds it: a segment
	// supersedes what those before it hold from its first index on.
	at, found := slices.BinarySearch(firsts, from)
	if !found {
		at--
	}
	if at < 0 {
		return &CorruptError{Segment: segmentName(0), Index: from, Rule: "the segment is missing"}
	}
	for ; at < len(firsts) && firsts[at] < size; at++ {
		until := size
		if at+1 < len(firsts) {
			until = min(size, firsts[at+1])
		}
		if err := readSegment(l.opts.disk, l.dir, firsts[at], from, until, fn); err != nil {
			return err
		}
	}
	return nil
}

// Check reads the whole log and returns the first fault: an error wrapping
// ErrCorrupt for an entry that is damaged, missing or no entry, or ErrFormat
// for one of a newer version. It ends early with ctx.
func (l *FileLog) Check(ctx context.Context) error {
	return l.Read(0, func(index uint64, raw []byte) error {
		if err := checkEntry(index, raw); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// checkEntry holds that raw is an entry.
func checkEntry(index uint64, raw []byte) error {
	switch _, err := Decode(raw); {
	case errors.Is(err, ErrEntry):
		return fmt.Errorf("%w: entry %d: %w", ErrCorrupt, index, err)
	case err != nil:
		return fmt.Errorf("entry %d: %w", index, err)
	}
	return nil
}

// readSegment calls fn for the entries of one segment with from <= index <
// until. All of them must be there.
func readSegment(d disk, dir string, first, from, until uint64, fn func(uint64, []byte) error) error {
	p := place{first: first, offset: segmentHeader, next: first}
	return p.read(d, dir, from, until, fn)
}

// place is a place in a segment before which everything is known.
type place struct {
	first  uint64 // names the segment
	offset int64
	next   uint64 // the entry at offset
}

// read calls fn for the entries with from <= index < until, all of which must
// be there, from the place on. It moves the place past those that fn took.
func (p *place) read(d disk, dir string, from, until uint64, fn func(uint64, []byte) error) error {
	file, err := d.Open(filepath.Join(dir, segmentName(p.first)), false)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it is only read
	size, err := file.Size()
	if err != nil {
		return err
	}
	header := make([]byte, segmentHeader)
	n, err := file.ReadAt(header, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	salt, err := parseHeader(header[:n], p.first)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(io.NewSectionReader(file, p.offset, size-p.offset), 1<<17)
	for p.next < until {
		r, err := nextRecord(in, salt)
		if err != nil {
			return err
		}
		if r.payload == nil || r.index != p.next {
			return &CorruptError{Segment: segmentName(p.first), Index: p.next, Rule: "the record is damaged or missing"}
		}
		if p.next >= from {
			if err := fn(p.next, r.payload); err != nil {
				return err
			}
		}
		_, _ = in.Discard(int(r.size()))
		p.offset += r.size()
		p.next++
	}
	return nil
}

// nextRecord reads the record that comes next without going past it. A record
// that is not good has a nil payload; the error is of reading. The payload is
// valid until in is used again.
func nextRecord(in *bufio.Reader, salt uint32) (record, error) {
	header, err := in.Peek(recordHeader)
	if err == nil {
		n, ok := payloadLen(header)
		if !ok {
			return record{}, nil
		}
		var whole []byte
		if whole, err = in.Peek(recordHeader + n); err == nil {
			if r, ok := parseRecord(whole, salt); ok {
				return r, nil
			}
			return record{}, nil
		}
	}
	if errors.Is(err, io.EOF) {
		return record{}, nil
	}
	return record{}, err
}
