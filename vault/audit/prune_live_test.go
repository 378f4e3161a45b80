package audit_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// TestPruneUnderReaders prunes while others read, look up, verify and append.
func TestPruneUnderReaders(t *testing.T) {
	const size, lot = 3000, 10
	dir := filepath.Join(t.TempDir(), "audit")
	var clock atomic.Int64
	log := openPublished(t, dir, audit.Options{SegmentSize: 4096, Now: func() time.Time { return until(int(clock.Load())) }})
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	again := make(chan struct{}) // one round of all readers
	round := func(read func() error) {
		readers.Go(func() {
			for range again {
				if err := read(); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		round(func() error {
			next := uint64(0)
			return log.Read(0, func(index uint64, raw []byte) error {
				if index < next {
					return fmt.Errorf("entry %d after %d", index, next)
				}
				next = index + 1
				return nil
			})
		})
		round(func() error {
			first := log.First()
			return log.At(ctx, []uint64{first, first + 20, first + 90}, func(uint64, []byte) error { return nil })
		})
	}
	round(func() error {
		_, err := audit.Verify(ctx, dir, audit.VerifyOptions{})
		return err
	})
	for i := 0; i < size; i += lot {
		clock.Store(int64(i))
		var last audit.Receipt
		for n := range lot {
			last = log.Append(aged(i + n))
		}
		if err := waitFor(last); err != nil {
			t.Fatal(err)
		}
		if i < 600 {
			continue
		}
		select {
		case again <- struct{}{}:
		default: // all are at work
		}
		if i%100 == 0 {
			if _, err := log.Prune(ctx, until(i-300)); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(again)
	cancel()
	readers.Wait()
	if log.First() < size-700 {
		t.Errorf("pruned before %d only", log.First())
	}
}

// overtake is a context that prunes a log when it is first asked whether it has
// ended.
type overtake struct {
	context.Context
	once  sync.Once
	prune func()
}

func (o *overtake) Err() error {
	o.once.Do(o.prune)
	return o.Context.Err()
}

// TestPruneOvertakesReaders prunes in the middle of each way to read.
func TestPruneOvertakesReaders(t *testing.T) {
	tests := []struct {
		name string
		read func(t *testing.T, log *audit.FileLog, dir string, prune func())
	}{
		{"verify", func(t *testing.T, log *audit.FileLog, dir string, prune func()) {
			report, err := audit.Verify(&overtake{Context: t.Context(), prune: prune}, dir, audit.VerifyOptions{})
			if err != nil || report.Pruned != log.First() {
				t.Errorf("report %+v, pruned before %d, error %v", report, log.First(), err)
			}
		}},
		{"read", func(t *testing.T, log *audit.FileLog, _ string, prune func()) {
			var jumps int
			next := uint64(0)
			err := log.Read(0, func(index uint64, raw []byte) error {
				if index == 0 {
					prune()
				}
				if index != next {
					if jumps++; index != log.First() {
						t.Errorf("entry %d after %d, the first kept is %d", index, next, log.First())
					}
				}
				next = index + 1
				holds(t, index, raw)
				return nil
			})
			if err != nil || jumps != 1 || next != 700 {
				t.Errorf("%d jumps, ended at %d, error %v", jumps, next, err)
			}
		}},
		{"at", func(t *testing.T, log *audit.FileLog, _ string, prune func()) {
			var got []uint64
			err := log.At(t.Context(), []uint64{0, 1, 300, 699}, func(index uint64, raw []byte) error {
				if index == 0 {
					prune()
				}
				got = append(got, index)
				holds(t, index, raw)
				return nil
			})
			if err != nil || fmt.Sprint(got) != "[0 699]" {
				t.Errorf("got %d, error %v", got, err)
			}
		}},
		{"at, between a look and a read", func(t *testing.T, log *audit.FileLog, _ string, prune func()) {
			var got []uint64
			ctx := &overtake{Context: t.Context(), prune: prune}
			err := log.At(ctx, []uint64{0, 699}, func(index uint64, raw []byte) error {
				got = append(got, index)
				holds(t, index, raw)
				return nil
			})
			if err != nil || fmt.Sprint(got) != "[699]" {
				t.Errorf("got %d, error %v", got, err)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			log := agedLog(t, dir, small, 700)
			if _, err := log.Prune(t.Context(), born); err != nil { // which publishes what there is
				t.Fatal(err)
			}
			test.read(t, log, dir, func() {
				if first, err := log.Prune(t.Context(), until(600)); err != nil || first < 400 {
					t.Errorf("pruned before %d: %v", first, err)
				}
			})
		})
	}
}

// TestPruneBeginsSegments holds that a log with few entries loses the old
// ones, though they would not fill a segment.
func TestPruneBeginsSegments(t *testing.T) {
	now := born
	dir := filepath.Join(t.TempDir(), "audit")
	log := openPublished(t, dir, audit.Options{SegmentSize: 1 << 20, Now: func() time.Time { return now }})
	const keep = 80 * 24 * time.Hour
	for day := range 400 {
		now = born.Add(time.Duration(day) * 24 * time.Hour)
		var last audit.Receipt
		for range 10 {
			last = log.Append(&audit.Entry{Action: audit.ActionRead, Outcome: audit.Allowed})
		}
		if err := waitFor(last); err != nil {
			t.Fatal(err)
		}
		if day%5 == 0 {
			if _, err := log.Prune(t.Context(), now.Add(-keep)); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := log.At(t.Context(), []uint64{log.First()}, func(_ uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err == nil && now.Sub(e.Time) > keep*5/4 {
			t.Errorf("an entry of %s is kept for %s", now.Sub(e.Time), keep)
		}
		return err
	})
	if err != nil || log.First() == 0 {
		t.Errorf("first %d, error %v", log.First(), err)
	}
	if n := len(segments(t, dir)); n > 12 {
		t.Errorf("%d segments", n)
	}
	if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil {
		t.Error(err)
	}
}
