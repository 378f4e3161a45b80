package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// open opens a log on the real disk and closes it when the test ends.
func open(t testing.TB, dir string, opts audit.Options) *audit.FileLog {
	t.Helper()
	log, err := audit.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Check(context.Background()); err != nil {
			t.Errorf("check: %v", err)
		}
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return log
}

// readable is a log that can be read.
type readable interface {
	audit.Log
	Read(from uint64, fn func(index uint64, raw []byte) error) error
}

// TestLog holds every implementation to the contract of Log.
func TestLog(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) readable{
		"file": func(t *testing.T) readable {
			log, err := audit.Open(filepath.Join(t.TempDir(), "audit"), small)
			if err != nil {
				t.Fatal(err)
			}
			return log
		},
		"memory": func(*testing.T) readable { return audit.Memory() },
	} {
		t.Run(name, func(t *testing.T) {
			log := make(t)
			if err := log.Healthy(); err != nil || log.Size() != 0 {
				t.Errorf("new log: healthy %v, size %d", err, log.Size())
			}
			var want []*audit.Entry
			for i := range 100 {
				e := entry(i)
				if i%2 == 0 {
					e.ID, e.Time = [16]byte{1, byte(i)}, at.Local()
				}
				index, err := log.Append(e).Wait(t.Context())
				if err != nil || index != uint64(i) {
					t.Fatalf("append %d: index %d, %v", i, index, err)
				}
				if e.ID == ([16]byte{}) || e.Time.IsZero() {
					t.Error("id and time are not filled in")
				}
				want = append(want, e)
			}
			if s := log.Stats(); log.Size() != 100 || s.Entries != 100 || s.Bytes == 0 || s.Groups != 100 {
				t.Errorf("size %d, stats %+v", log.Size(), s)
			}
			for _, from := range []uint64{0, 1, 37, 99, 100, 1000} {
				next := from
				err := log.Read(from, func(index uint64, raw []byte) error {
					if index != next || !bytes.Equal(want[index].Append(nil), raw) {
						t.Errorf("entry %d in place of %d, or changed", index, next)
					}
					next++
					return nil
				})
				if err != nil || next != max(from, 100) {
					t.Errorf("read from %d: %v, ended before %d", from, err, next)
				}
			}
			if err := log.Read(3, func(uint64, []byte) error { return errInjected }); err != errInjected {
				t.Errorf("read with a failing fn: %v", err)
			}
			last := log.Append(entry(1))
			for range 2 {
				if err := log.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}
			if index, err := last.Wait(t.Context()); err != nil || index != 100 {
				t.Errorf("appended before close: index %d, %v", index, err)
			}
			if err := waitFor(log.Append(entry(1))); !errors.Is(err, audit.ErrClosed) {
				t.Errorf("append after close: %v", err)
			}
			if err := log.Healthy(); !errors.Is(err, audit.ErrClosed) {
				t.Errorf("healthy after close: %v", err)
			}
		})
	}
}

func TestReopen(t *testing.T) {
	dir, promised := filepath.Join(t.TempDir(), "audit"), acked{}
	for range 10 {
		log, err := audit.Open(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, log, 17, promised)
		promised.verify(t, log)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	log := open(t, dir, audit.Options{}) // another segment size changes nothing
	promised.verify(t, log)
	if log.Size() != 170 {
		t.Errorf("size %d", log.Size())
	}
	info, err := os.Stat(filepath.Join(dir, audit.SegmentName(0)))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("segment: %v, %v", info.Mode(), err)
	}
	if info, err = os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	log, err := audit.Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(dir, small); !errors.Is(err, audit.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	_ = log.Close()
	open(t, dir, small)
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]audit.Options{
		"segment too small": {SegmentSize: 4095},
		"segment too large": {SegmentSize: 512<<20 + 1},
		"queue too small":   {QueueSize: 64<<10 - 1},
		"queue too large":   {QueueSize: 256<<20 + 1},
	} {
		if _, err := audit.Open(t.TempDir(), o); !errors.Is(err, audit.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := audit.Open(filepath.Join(t.TempDir(), "no", "audit"), small); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder above: %v", err)
	}
}

func TestNow(t *testing.T) {
	o := small
	o.Now = func() time.Time { return at.In(time.FixedZone("", 3600)) }
	log := open(t, t.TempDir(), o)
	e := entry(0)
	if err := waitFor(log.Append(e)); err != nil || e.Time != at {
		t.Errorf("time %v, %v", e.Time, err)
	}
}

// TestGroupCommit holds that waiting callers share fsyncs.
func TestGroupCommit(t *testing.T) {
	const callers, each = 64, 100
	log := open(t, t.TempDir(), audit.Options{})
	before := log.Stats().Fsyncs
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if err := waitFor(log.Append(entry(3))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := log.Stats().Fsyncs - before; n > callers*each/8 {
		t.Errorf("%d fsyncs for %d entries", n, callers*each)
	}
}

// TestBackPressure holds that a full queue makes callers wait, and that they
// go on when the disk does.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDisk(1)
		o := small.OnDisk(d.start())
		o.QueueSize = 64 << 10
		log, err := audit.Open("log", o)
		if err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		d.setFault(func(op string, _ int) error {
			if op == "write" {
				<-gate
			}
			return nil
		})
		first := log.Append(entry(1))
		synctest.Wait() // the writer hangs in its write
		const n = 50    // of 5 KB each
		receipts := make(chan audit.Receipt, n)
		go func() {
			for range n {
				e := entry(300)
				receipts <- log.Append(e)
			}
		}()
		synctest.Wait()
		if queued := len(receipts); queued < 10 || queued > 20 {
			t.Errorf("%d entries are queued, want about 64 KiB of them", queued)
		}
		close(gate)
		if err := waitFor(first); err != nil {
			t.Error(err)
		}
		for range n {
			if err := waitFor(<-receipts); err != nil {
				t.Error(err)
			}
		}
		_ = log.Close()
	})
}

func TestConcurrentReadAndAppend(t *testing.T) {
	log := open(t, t.TempDir(), small)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if err := waitFor(log.Append(entry(5))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for from := uint64(0); from < 400; {
		err := log.Read(from, func(index uint64, raw []byte) error {
			if index != from {
				return fmt.Errorf("entry %d in place of %d", index, from)
			}
			from++
			_, err := audit.Decode(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}
