package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// built is a closed log of one segment on a fake disk, for damaging.
type built struct {
	disk     *fakeDisk
	promised acked
	content  []byte // the whole segment
	starts   []int  // offset of each record, and of the end
}

const firstSegment = "log/00000000000000000000.wal"

// build makes a log of groups of entries. Before each group stands one of a
// single entry, during whose write the group is queued.
func build(t testing.TB, groups ...int) *built {
	t.Helper()
	b := &built{disk: newFakeDisk(1), promised: acked{}}
	log, err := audit.Open("log", audit.Options{SegmentSize: 1 << 16}.OnDisk(b.disk.start()))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range groups {
		writing, gate := make(chan struct{}, 8), make(chan struct{})
		b.disk.setFault(func(op string, _ int) error {
			if op == "write" {
				writing <- struct{}{}
				<-gate
			}
			return nil
		})
		before := log.Append(entry(2))
		<-writing
		receipts := []audit.Receipt{before}
		for range n {
			receipts = append(receipts, log.Append(entry(3)))
		}
		close(gate)
		for _, r := range receipts {
			if err := waitFor(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = log.Read(0, func(index uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err == nil {
			b.promised[index] = e.ID
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = log.Close()
	b.content = b.disk.names[firstSegment].cache
	at := audit.SegmentHeader
	for range log.Size() {
		b.starts = append(b.starts, at)
		at += audit.RecordHeader + int(binary.BigEndian.Uint32(b.content[at+4:]))
	}
	b.starts = append(b.starts, at)
	return b
}

// damaged returns a disk with a copy of the segment that damage has changed.
func (b *built) damaged(damage func(content []byte) []byte) *fakeDisk {
	d := newFakeDisk(1)
	content := damage(append([]byte(nil), b.content...))
	i := &inode{cache: content, stable: append([]byte(nil), content...), stableSize: len(content), dirty: map[int]bool{}}
	d.names[firstSegment], d.stable[firstSegment] = i, i
	return d
}

// goesOn opens the log, holds that it has size entries, appends, cuts the
// power, and holds that all is there.
func goesOn(t *testing.T, d *fakeDisk, size int) {
	t.Helper()
	log, err := audit.Open("log", small.OnDisk(d.start()))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if log.Size() != uint64(size) {
		t.Errorf("%d entries, want %d", log.Size(), size)
	}
	promised := acked{}
	if n := appendAll(t, log, 3, promised); n > 0 {
		t.Errorf("%d appends failed", n)
	}
	_ = log.Close()
	_ = reopen(t, d, promised).Close()
}

func TestTornLastRecord(t *testing.T) {
	b := build(t, 0, 0, 0)
	last, end := b.starts[2], b.starts[3]
	for at := last; at < end; at++ {
		for _, damage := range []func(c []byte) []byte{
			func(c []byte) []byte { clear(c[at:]); return c },
			func(c []byte) []byte { return c[:at] },
			func(c []byte) []byte { clear(c[last : at+1]); return c },
		} {
			size := 2
			d := b.damaged(damage)
			if bytes.Equal(d.names[firstSegment].cache, b.content) {
				size = 3 // the sum happens to begin with zeros
			}
			goesOn(t, d, size)
		}
		if t.Failed() {
			t.Fatalf("torn at byte %d of %d", at-last, end-last)
		}
	}
	goesOn(t, b.damaged(func(c []byte) []byte { return c }), 3)
}

// TestTornGroup loses any choice of the records of the last group, as a disk
// may that writes sectors in any order.
func TestTornGroup(t *testing.T) {
	b := build(t, 5) // one, then a group of five
	for lost := range 1 << 5 {
		size := 1
		for size < 6 && lost>>(size-1)&1 == 0 {
			size++
		}
		goesOn(t, b.damaged(func(c []byte) []byte {
			for i := range 5 {
				if lost>>i&1 == 1 {
					clear(c[b.starts[i+1]:b.starts[i+2]])
				}
			}
			return c
		}), size)
		if t.Failed() {
			t.Fatalf("lost %05b", lost)
		}
	}
}

// TestDamageBeforeTheLastGroup flips a bit of every byte of every record that
// is not of the last group.
func TestDamageBeforeTheLastGroup(t *testing.T) {
	b := build(t, 3, 2) // one, three, one, two
	for i := range 5 {
		for at := b.starts[i]; at < b.starts[i+1]; at++ {
			d := b.damaged(func(c []byte) []byte { c[at] ^= 1 << (at % 8); return c })
			_, err := audit.Open("log", small.OnDisk(d.start()))
			var damage *audit.CorruptError
			if !errors.As(err, &damage) || !errors.Is(err, audit.ErrCorrupt) {
				t.Fatalf("byte %d of entry %d: %v", at-b.starts[i], i, err)
			}
			if damage.Index != uint64(i) || damage.Segment != audit.SegmentName(0) {
				t.Fatalf("byte %d of entry %d: found at %v", at-b.starts[i], i, damage)
			}
		}
	}
}

func TestDamagedHeader(t *testing.T) {
	b := build(t, 1)
	for at := range audit.SegmentHeader {
		d := b.damaged(func(c []byte) []byte { c[at] ^= 1; return c })
		want := audit.ErrCorrupt
		if at >= 8 && at < 12 {
			want = audit.ErrFormat
		}
		if _, err := audit.Open("log", small.OnDisk(d.start())); !errors.Is(err, want) {
			t.Errorf("byte %d: %v, want %v", at, err, want)
		}
	}
	d := b.damaged(func(c []byte) []byte { return c[:audit.SegmentHeader-1] })
	if _, err := audit.Open("log", small.OnDisk(d.start())); !errors.Is(err, audit.ErrCorrupt) {
		t.Errorf("cut short: %v", err)
	}
}

// TestForeignRecords holds that what looks like a record, and was not written
// by this segment's writer, does not turn a torn end into corruption.
func TestForeignRecords(t *testing.T) {
	b, other := build(t, 0), build(t, 3, 3)
	foreign := other.content[other.starts[6]:other.starts[7]] // the last, of another salt
	goesOn(t, b.damaged(func(c []byte) []byte {
		copy(c[b.starts[1]+100:], foreign)
		return c
	}), 1)
}

// TestSegments damages a log of many segments.
func TestSegments(t *testing.T) {
	tests := []struct {
		name   string
		damage func(d *fakeDisk, paths []string)
		open   error
		read   error
	}{
		{"none", func(*fakeDisk, []string) {}, nil, nil},
		{"an unfinished segment and strange names", func(d *fakeDisk, _ []string) {
			for _, name := range []string{audit.NewSegmentName(5), "7.wal", "notes.txt", "0000000000000000000x.wal"} {
				d.names["log/"+name] = &inode{cache: []byte("junk"), dirty: map[int]bool{}}
			}
		}, nil, nil},
		{"first is missing", func(d *fakeDisk, paths []string) { delete(d.names, paths[0]) }, audit.ErrCorrupt, nil},
		{"one in the middle is missing", func(d *fakeDisk, paths []string) { delete(d.names, paths[2]) }, nil, audit.ErrCorrupt},
		{"a bit in the middle is flipped", func(d *fakeDisk, paths []string) { d.names[paths[2]].cache[100] ^= 1 }, nil, audit.ErrCorrupt},
		{"the second is cut", func(d *fakeDisk, paths []string) {
			i := d.names[paths[1]]
			i.cache = i.cache[:len(i.cache)/2]
		}, nil, audit.ErrCorrupt},
		{"the second is of a newer format", func(d *fakeDisk, paths []string) { d.names[paths[1]].cache[11]++ }, nil, audit.ErrFormat},
		{"segments changed places", func(d *fakeDisk, paths []string) {
			d.names[paths[1]], d.names[paths[2]] = d.names[paths[2]], d.names[paths[1]]
		}, nil, audit.ErrCorrupt},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, promised := newFakeDisk(1), acked{}
			log, err := audit.Open("log", small.OnDisk(d.start()))
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for index := range uint64(100) {
				appendAll(t, log, 1, promised)
				if path := "log/" + audit.SegmentName(index); d.names[path] != nil {
					paths = append(paths, path)
				}
			}
			_ = log.Close()
			if len(paths) < 4 {
				t.Fatalf("%d segments", len(paths))
			}
			test.damage(d, paths)
			log, err = audit.Open("log", small.OnDisk(d.start()))
			if !errors.Is(err, test.open) {
				t.Fatalf("open: %v, want %v", err, test.open)
			}
			if err != nil {
				return
			}
			defer log.Close()
			if err := log.Check(t.Context()); !errors.Is(err, test.read) {
				t.Errorf("check: %v, want %v", err, test.read)
			}
			if d.names["log/"+audit.NewSegmentName(5)] != nil {
				t.Error("the unfinished segment is still there")
			}
			// What is damaged is named, and what comes after it can still be read.
			last := log.Size() - 1
			err = log.Read(last, func(index uint64, _ []byte) error {
				if index != last {
					return fmt.Errorf("entry %d", index)
				}
				return nil
			})
			if err != nil {
				t.Errorf("the last entry: %v", err)
			}
		})
	}
}

// TestSupersededEntries holds that Read never gives what a failed segment
// holds past the first index of the next one.
func TestSupersededEntries(t *testing.T) {
	d, promised := newFakeDisk(1), acked{}
	log, err := audit.Open("log", small.OnDisk(d.start()))
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, log, 1, promised)
	failed := false
	d.setFault(func(op string, _ int) error {
		if op == "sync" && !failed { // the write has left its bytes in the cache
			failed = true
			return errInjected
		}
		return nil
	})
	appendAll(t, log, 1, promised)
	appendAll(t, log, 1, promised)
	promised.verify(t, log)
	_ = log.Close()
	_ = reopen(t, d, promised).Close()
}

// FuzzOpen changes a good segment in any places: three bytes of input are the
// place, counted from the first record, and what to turn around there. Open
// must find corruption, or open a log whose entries are the first of those
// that were written, and go on.
func FuzzOpen(f *testing.F) {
	b := build(f, 2, 3)
	written := b.starts[len(b.starts)-1] - audit.SegmentHeader
	f.Add([]byte{0, 0, 1})
	f.Add([]byte{byte(written >> 8), byte(written), 1})
	f.Add([]byte{0, 4, 255, 1, 0, 3})
	f.Fuzz(func(t *testing.T, changes []byte) {
		d := b.damaged(func(c []byte) []byte {
			for ; len(changes) >= 3; changes = changes[3:] {
				c[audit.SegmentHeader+int(binary.BigEndian.Uint16(changes))%(2*written)] ^= changes[2]
			}
			return c
		})
		log, err := audit.Open("log", small.OnDisk(d.start()))
		if err != nil {
			if !errors.Is(err, audit.ErrCorrupt) {
				t.Fatalf("open: %v", err)
			}
			return
		}
		defer log.Close()
		if log.Size() > uint64(len(b.starts)-1) {
			t.Fatalf("%d entries of %d", log.Size(), len(b.starts)-1)
		}
		promised := acked{}
		for index := range log.Size() {
			promised[index] = b.promised[index]
		}
		appendAll(t, log, 2, promised)
		promised.verify(t, log)
	})
}
