package audit

import (
	"bytes"
	"fmt"
	"path/filepath"
)

// recoverWriter finds the end of the log in dir and returns a writer that
// goes on there, and the index of the first entry. It reads the last segment
// only.
func recoverWriter(d disk, dir string, segmentSize int64) (_ *writer, begins uint64, err error) {
	firsts, unfinished, err := listSegments(d, dir)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range unfinished {
		if err := d.Remove(filepath.Join(dir, name)); err != nil {
			return nil, 0, err
		}
	}
	w := &writer{disk: d, dir: dir, segmentSize: segmentSize}
	if len(firsts) == 0 {
		return w, 0, w.begin(0)
	}
	// A program killed between giving a segment its name and making the name
	// durable left that to its successor.
	if err := d.SyncDir(dir); err != nil {
		return nil, 0, err
	}
	last := firsts[len(firsts)-1]
	file, err := d.Open(filepath.Join(dir, segmentName(last)), true)
	if err != nil {
		return nil, 0, err
	}
	seg, t, err := resumeSegment(file, last)
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	w.seg, w.next, w.torn = seg, t.next, t.torn
	return w, firsts[0], nil
}

// resumeSegment prepares the last segment for going on after its last good
// record.
func resumeSegment(file diskFile, first uint64) (*segment, tail, error) {
	content, err := readAll(file)
	if err != nil {
		return nil, tail{}, err
	}
	salt, err := parseHeader(content, first)
	if err != nil {
		return nil, tail{}, err
	}
	t, err := findTail(content, first, salt)
	if err != nil {
		return nil, tail{}, err
	}
	// The last group is read from the system's cache, and may be there only
	// because its fsync failed: then a later fsync would not write it, it would
	// be lost at the next power cut, and what was appended after it would not.
	// Written again, it is fsynced again. All groups before it are durable, or
	// it would not have been written.
	if _, err := file.WriteAt(content[t.lastGroup:t.end], t.lastGroup); err != nil {
		return nil, tail{}, err
	}
	if err := file.Sync(); err != nil {
		return nil, tail{}, err
	}
	s := &segment{file: file, first: first, salt: salt, end: t.end, size: int64(len(content))}
	if t.torn {
		s.size = t.end // full: the next group begins a segment, which supersedes the torn one
	}
	return s, t, nil
}

// tail is where a segment's good records end.
type tail struct {
	end       int64  // offset after the last good record
	next      uint64 // index after the last good record
	lastGroup int64  // offset of the first record of the last group
	torn      bool   // something else than zeros follows
}

// findTail reads the records of the last segment up to the first that is not
// good, and decides what that means:
//
//   - Only zeros follow: the segment ends there.
//   - A good record follows whose group was written after the bad one was
//     durable: the bad one is damaged, and the log is corrupt.
//   - Otherwise the bad record belongs to the last group, whose write was
//     interrupted. Nothing of it was acknowledged. A disk may have written its
//     parts in any order, so other good records of that group may follow; they
//     are dropped.
//
// Damage to the last group after it was acknowledged looks like an
// interrupted write and cannot be told from it here.
func findTail(content []byte, first uint64, salt uint32) (tail, error) {
	t := tail{end: segmentHeader, next: first, lastGroup: segmentHeader}
	for position := uint32(0); ; position++ {
		r, ok := parseRecord(content[t.end:], salt)
		if !ok || r.index != t.next || (r.position != position && r.position != 0) {
			break
		}
		if r.position == 0 {
			t.lastGroup = t.end
			position = 0
		}
		t.end += r.size()
		t.next++
	}
	rest := content[t.end:]
	written := len(bytes.TrimRight(rest, "\x00"))
	t.torn = written > 0
	for at := 0; at < written; at++ {
		r, ok := parseRecord(rest[at:], salt)
		if !ok {
			continue
		}
		if at == 0 || r.index <= t.next || r.group() > t.next {
			return t, &CorruptError{
				Segment: segmentName(first),
				Index:   t.next,
				Rule:    fmt.Sprintf("the record is damaged, and entry %d stands after it", r.index),
			}
		}
		at += int(r.size()) - 1
	}
	return t, nil
}

// readAll reads a whole file.
func readAll(file diskFile) ([]byte, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > maxSegmentFile {
		return nil, fmt.Errorf("%w: a segment of %d bytes", ErrCorrupt, size)
	}
	content := make([]byte, size)
	if n, err := file.ReadAt(content, 0); n < len(content) {
		return nil, err
	}
	return content, nil
}
