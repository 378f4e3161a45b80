package audit_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

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
