package audit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// workload appends one by one, so that its calls are the same each time, and
// returns how many failed.
func workload(t testing.TB, log audit.Log, promised acked) (failed int) {
	for range 40 {
		failed += appendAll(t, log, 1, promised)
	}
	return failed
}

// callsOf returns the calls that workload makes, and how many Open
// makes before.
func callsOf(t *testing.T) (opened int, calls []string) {
	d := newFakeDisk(0)
	log, err := audit.Open("log", small.OnDisk(d.start()))
	if err != nil {
		t.Fatal(err)
	}
	opened = d.callCount()
	workload(t, log, acked{})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return opened, d.calls
}

func TestOneCallFails(t *testing.T) {
	opened, calls := callsOf(t)
	for _, op := range []string{"create", "allocate", "write", "sync", "rename", "syncdir"} {
		nth := 0
		for at := opened; at < len(calls); at++ {
			if calls[at] != op {
				continue
			}
			nth++
			t.Run(fmt.Sprintf("%s %d", op, nth), func(t *testing.T) {
				d, promised := newFakeDisk(uint64(at)), acked{}
				log, err := audit.Open("log", small.OnDisk(d.start()))
				if err != nil {
					t.Fatal(err)
				}
				seen := 0
				d.setFault(func(o string, _ int) error {
					if o == op {
						if seen++; seen == nth {
							return errInjected
						}
					}
					return nil
				})
				if n := workload(t, log, promised); n > 0 {
					t.Errorf("%d entries failed, though a new segment could be made", n)
				}
				if seen < nth {
					t.Errorf("the fault never came")
				}
				if err := log.Healthy(); err != nil {
					t.Errorf("not healthy: %v", err)
				}
				promised.verify(t, log)
				_ = log.Close()
				log = reopen(t, d, promised)
				if log.Size() != uint64(len(promised)) {
					t.Errorf("%d entries after %d appends", log.Size(), len(promised))
				}
				_ = log.Close()
			})
		}
		if nth == 0 {
			t.Errorf("the workload has no call of %s", op)
		}
	}
}

func TestDiskFailsForAWhile(t *testing.T) {
	for _, op := range []string{"create", "allocate", "write", "sync", "rename", "syncdir"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, promised := newFakeDisk(7), acked{}
				log, err := audit.Open("log", small.OnDisk(d.start()))
				if err != nil {
					t.Fatal(err)
				}
				appendAll(t, log, 5, promised)
				d.setFault(func(o string, _ int) error {
					if o == op {
						return errInjected
					}
					return nil
				})
				failed := 0
				for range 50 {
					failed += appendAll(t, log, 5, promised)
				}
				if failed == 0 {
					t.Fatal("no entry failed")
				}
				for _, err := range []error{log.Healthy(), waitFor(log.Append(entry(1)))} {
					if !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, errInjected) {
						t.Errorf("the broken log says %v", err)
					}
				}
				promised.verify(t, log)

				// Nobody appends, and still it tries, but not without end.
				before := d.callCount()
				<-time.After(time.Minute)
				synctest.Wait()
				if n := d.callCount() - before; n == 0 || n > 70*8 {
					t.Errorf("%d calls in a minute of trying", n)
				}
				if log.Healthy() == nil {
					t.Error("healthy before the disk is")
				}

				d.setFault(nil)
				<-time.After(2 * time.Second)
				if err := log.Healthy(); err != nil {
					t.Fatalf("not healthy after the disk is: %v", err)
				}
				if n := appendAll(t, log, 20, promised); n > 0 {
					t.Errorf("%d entries failed on a good disk", n)
				}
				_ = log.Close()
				_ = reopen(t, d, promised).Close()
			})
		})
	}
}

func TestCloseWhileBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDisk(1)
		log, err := audit.Open("log", small.OnDisk(d.start()))
		if err != nil {
			t.Fatal(err)
		}
		d.setFault(func(string, int) error { return errInjected })
		if err := waitFor(log.Append(entry(1))); !errors.Is(err, audit.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := waitFor(log.Append(entry(1))); !errors.Is(err, audit.ErrClosed) {
			t.Errorf("append after close: %v", err)
		}
	})
}

// TestCuts kills the program, or cuts the power, at random calls, again and
// again, also during recovery and after failed syncs.
func TestCuts(t *testing.T) {
	for seed := range uint64(200) {
		d, promised := newFakeDisk(seed), acked{}
		rng := rand.New(rand.NewPCG(seed, 2))
		for range 6 {
			p := d.start()
			cutAt, failAt, power := 1+rng.IntN(60), 1+rng.IntN(80), rng.IntN(3) > 0
			failing := 1 + rng.IntN(4)
			d.setFault(func(op string, n int) error {
				switch {
				case n == cutAt:
					if power {
						d.powerCut()
					} else {
						d.kill()
					}
					return errPower
				case n >= failAt && n < failAt+failing && (op == "sync" || op == "write" || op == "syncdir"):
					return errInjected
				}
				return nil
			})
			log, err := audit.Open("log", small.OnDisk(p))
			if err != nil {
				if !errors.Is(err, errPower) && !errors.Is(err, errInjected) {
					t.Fatalf("seed %d: open: %v", seed, err)
				}
				continue
			}
			for range 12 {
				appendAll(t, log, 1+rng.IntN(12), promised)
			}
			_ = log.Close()
		}
		_ = reopen(t, d, promised).Close()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestFailedSegmentIsLeft(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		t.Run(op, func(t *testing.T) {
			d, promised := newFakeDisk(3), acked{}
			log, err := audit.Open("log", small.OnDisk(d.start()))
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, log, 1, promised)
			once := true
			d.setFault(func(o string, _ int) error {
				if o == op && once {
					once = false
					return errInjected
				}
				return nil
			})
			appendAll(t, log, 1, promised)
			if s := log.Stats(); s.Poisoned != 1 || s.Segments != 2 || s.Entries != 2 {
				t.Errorf("stats %+v", s)
			}
			_ = log.Close()
			if d.names["log/"+audit.SegmentName(1)] == nil {
				t.Error("the entry is not in a segment of its own")
			}
			_ = reopen(t, d, promised).Close()
		})
	}
}
