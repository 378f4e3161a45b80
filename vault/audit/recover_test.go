package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
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

// goesOn opens the log, holds that it has size entries and ended torn or
// not, appends, cuts the power, and holds that all is there.
func goesOn(t *testing.T, d *fakeDisk, size int, torn bool) {
	t.Helper()
	log, err := audit.Open("log", small.OnDisk(d.start()))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if log.Size() != uint64(size) {
		t.Errorf("%d entries, want %d", log.Size(), size)
	}
	if log.Stats().Torn != torn {
		t.Errorf("torn is %t", !torn)
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
			left := d.names[firstSegment].cache
			if bytes.Equal(left, b.content) {
				size = 3 // the sum happens to begin with zeros
			}
			goesOn(t, d, size, size == 2 && len(bytes.TrimRight(left[last:], "\x00")) > 0)
		}
		if t.Failed() {
			t.Fatalf("torn at byte %d of %d", at-last, end-last)
		}
	}
	goesOn(t, b.damaged(func(c []byte) []byte { return c }), 3, false)
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
		}), size, lost>>(size-1) != 1<<(6-size)-1) // not all that follow are lost
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

// TestRecordInAnotherPlace puts a good record in the place of another.
func TestRecordInAnotherPlace(t *testing.T) {
	b := build(t, 0, 0, 0) // all of one length
	for from := range 3 {
		for to := range 3 {
			if from == to {
				continue
			}
			d := b.damaged(func(c []byte) []byte {
				copy(c[b.starts[to]:b.starts[to+1]], b.content[b.starts[from]:b.starts[from+1]])
				return c
			})
			if _, err := audit.Open("log", small.OnDisk(d.start())); !errors.Is(err, audit.ErrCorrupt) {
				t.Errorf("record %d in place of %d: %v", from, to, err)
			}
		}
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
	}), 1, true)
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
