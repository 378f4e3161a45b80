package audit

import (
	"fmt"
	"sync/atomic"
)

// writer puts groups of records into segments, one group at a time. It is
// used by one goroutine at a time; only its totals are read by others.
type writer struct {
	disk        disk
	dir         string
	segmentSize int64
	seg         *segment // nil after a failure: the next group begins a segment
	next        uint64   // index of the next entry
	torn        bool     // recovery found an interrupted write at the end

	entries, groups, bytes, segments, poisoned atomic.Uint64
}

// commit writes the n records in buf as one group and returns when they are
// durable. After a failed write or fsync nobody knows what of the segment's
// last pages is on the disk, and a second fsync may report success without
// writing them. So the segment is given up, and the same group goes into a
// new one, which supersedes what the old one holds from w.next on. An error
// means that this failed too.
func (w *writer) commit(buf []byte, n uint64) error {
	if err := w.attempt(buf); err != nil {
		if again := w.attempt(buf); again != nil {
			return fmt.Errorf("%w; and in a new segment: %w", err, again)
		}
	}
	w.next += n
	w.entries.Add(n)
	w.groups.Add(1)
	w.bytes.Add(uint64(len(buf)))
	return nil
}

// attempt writes the group, in a new segment if the present one is full or
// given up.
func (w *writer) attempt(buf []byte) error {
	if w.seg == nil || !w.seg.fits(len(buf)) {
		if err := w.begin(len(buf)); err != nil {
			return err
		}
	}
	if err := w.seg.add(buf, w.next); err != nil {
		w.poisoned.Add(1)
		w.leave()
		return err
	}
	return nil
}

// begin begins a segment at w.next with room for n bytes of records.
func (w *writer) begin(n int) error {
	w.leave()
	seg, err := createSegment(w.disk, w.dir, w.next, max(w.segmentSize, segmentHeader+int64(n)))
	if err != nil {
		return err
	}
	w.segments.Add(1)
	w.seg = seg
	return nil
}

// leave closes the present segment. What is acknowledged of it is durable, so
// an error of closing tells nothing.
func (w *writer) leave() {
	if w.seg != nil {
		_ = w.seg.file.Close()
		w.seg = nil
	}
}

// countingDisk counts how often something is forced to the disk.
type countingDisk struct {
	disk
	syncs *atomic.Uint64
}

func (d countingDisk) SyncDir(dir string) error {
	d.syncs.Add(1)
	return d.disk.SyncDir(dir)
}

func (d countingDisk) Create(path string) (diskFile, error) {
	f, err := d.disk.Create(path)
	if err != nil {
		return nil, err
	}
	return countingFile{f, d.syncs}, nil
}

func (d countingDisk) Open(path string, write bool) (diskFile, error) {
	f, err := d.disk.Open(path, write)
	if err != nil {
		return nil, err
	}
	return countingFile{f, d.syncs}, nil
}

type countingFile struct {
	diskFile
	syncs *atomic.Uint64
}

func (f countingFile) Sync() error {
	f.syncs.Add(1)
	return f.diskFile.Sync()
}
