package audit

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
)

// files reads the segments of one log. It remembers places in them, so that
// an entry is found without reading its segment from the start.
type files struct {
	disk disk
	dir  string

	mu    sync.Mutex
	marks map[uint64][]place // by segment, rising; guarded by mu
	count int                // of all marks; guarded by mu

	buffers sync.Pool // of *bufio.Reader
}

const (
	// markEvery is how many bytes apart the marks of a segment are.
	markEvery = 32 << 10
	// maxMarks bounds the memory that marks take, at 16 bytes each. They cover 8
	// GiB of log; when there are more, they are collected anew.
	maxMarks = 1 << 18
	// bufferSize is more than the longest record.
	bufferSize = 1 << 17
)

// place is the offset in a segment at which the record of an entry begins. It
// holds for ever: records of durable entries are never moved.
type place struct {
	offset int64
	next   uint64
}

// mark returns the last known place at or before an entry.
func (f *files) mark(segment, index uint64) place {
	f.mu.Lock()
	defer f.mu.Unlock()
	marks := f.marks[segment]
	at, found := slices.BinarySearchFunc(marks, index, func(p place, index uint64) int { return cmp.Compare(p.next, index) })
	if !found {
		at--
	}
	if at < 0 {
		return place{segmentHeader, segment}
	}
	return marks[at]
}

// note remembers a place, if it is far enough from those before it.
func (f *files) note(segment uint64, p place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	marks := f.marks[segment]
	last := int64(segmentHeader)
	if len(marks) > 0 {
		last = marks[len(marks)-1].offset
	}
	if p.offset-last < markEvery {
		return
	}
	if f.marks == nil || f.count >= maxMarks {
		f.marks, f.count, marks = map[uint64][]place{}, 0, nil
	}
	f.marks[segment] = append(marks, p)
	f.count++
}

// forget forgets the places in segments that begin before an index.
func (f *files) forget(before uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for segment, marks := range f.marks {
		if segment < before {
			f.count -= len(marks)
			delete(f.marks, segment)
		}
	}
}

// read calls fn for the entries of one segment with from <= index < until.
// All of them must be there.
func (f *files) read(segment, from, until uint64, fn func(uint64, []byte) error) error {
	c, err := f.open(segment)
	if err != nil {
		return err
	}
	defer c.close()
	c.seek(from)
	for c.place.next < until {
		index := c.place.next
		raw, err := c.read()
		if err != nil {
			return err
		}
		if index < from {
			continue
		}
		if err := fn(index, raw); err != nil {
			return err
		}
	}
	return nil
}

// cursor reads the records of one segment one after the other.
type cursor struct {
	files   *files
	file    diskFile
	size    int64
	segment uint64
	salt    uint32
	in      *bufio.Reader
	place   place
	pending int // bytes of in that belong to the record given out last
	marked  int64
}

// open opens a segment at its start. The caller closes the cursor.
func (f *files) open(segment uint64) (_ *cursor, err error) {
	file, err := f.disk.Open(filepath.Join(f.dir, segmentName(segment)), false)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close() // it is only read
		}
	}()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	header := make([]byte, segmentHeader)
	n, err := file.ReadAt(header, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	salt, err := parseHeader(header[:n], segment)
	if err != nil {
		return nil, err
	}
	in, ok := f.buffers.Get().(*bufio.Reader)
	if !ok {
		in = bufio.NewReaderSize(nil, bufferSize)
	}
	c := &cursor{files: f, file: file, size: size, segment: segment, salt: salt, in: in}
	c.jump(place{segmentHeader, segment})
	return c, nil
}

func (c *cursor) close() {
	_ = c.file.Close() // it is only read
	c.in.Reset(nil)
	c.files.buffers.Put(c.in)
}

// jump goes to a place.
func (c *cursor) jump(p place) {
	c.in.Reset(io.NewSectionReader(c.file, p.offset, c.size-p.offset))
	c.place, c.pending, c.marked = p, 0, p.offset
}

// seek goes to a place at or before an entry, from which it is not far. The
// entry is not before the cursor.
func (c *cursor) seek(index uint64) {
	if p := c.files.mark(c.segment, index); p.next > c.place.next {
		c.jump(p)
	}
}

// read returns the next record's payload, valid until the next call.
func (c *cursor) read() ([]byte, error) {
	_, _ = c.in.Discard(c.pending) // it was looked at
	c.pending = 0
	r, err := nextRecord(c.in, c.salt)
	if err != nil {
		return nil, err
	}
	if r.payload == nil || r.index != c.place.next {
		return nil, &CorruptError{Segment: segmentName(c.segment), Index: c.place.next, Rule: "the record is damaged or missing"}
	}
	if c.place.offset-c.marked >= markEvery {
		c.files.note(c.segment, c.place)
		c.marked = c.place.offset
	}
	c.pending = int(r.size())
	c.place.offset += r.size()
	c.place.next++
	return r.payload, nil
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
