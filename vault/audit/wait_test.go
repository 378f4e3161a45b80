package audit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestWait(t *testing.T) {
	readers(t, 3, func(t *testing.T, log readLog) {
		if err := log.Wait(t.Context(), 2); err != nil {
			t.Errorf("for less than there is: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := log.Wait(ctx, 3); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		woken := make(chan error)
		go func() { woken <- log.Wait(t.Context(), 3) }()
		if err := waitFor(log.Append(numbered(3))); err != nil {
			t.Fatal(err)
		}
		if err := <-woken; err != nil {
			t.Errorf("after an append: %v", err)
		}
		go func() { woken <- log.Wait(t.Context(), 4) }()
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-woken; !errors.Is(err, audit.ErrClosed) {
			t.Errorf("when the log is closed: %v", err)
		}
		if err := log.Wait(t.Context(), 3); err != nil {
			t.Errorf("for what is there, after Close: %v", err)
		}
	})
}

// TestWaitLooksTwice has the log grow between the first look at its size and
// the sleep: nobody tells of it again. A miss is a deadlock, which synctest
// reports.
func TestWaitLooksTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w audit.Watch
		size := uint64(7)
		err := w.Wait(t.Context(), 7, func() uint64 {
			seen := size
			if size == 7 {
				size = 8
				w.Tell()
			}
			return seen
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestWaitForWhatWasHeld waits while receipts are held back.
func TestWaitForWhatWasHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := audit.Memory()
		log.Hold()
		log.Append(entry(1))
		woken := make(chan error, 1)
		go func() { woken <- log.Wait(t.Context(), 0) }()
		synctest.Wait()
		if len(woken) > 0 {
			t.Error("woken by what is not durable")
		}
		log.Release()
		if err := <-woken; err != nil {
			t.Error(err)
		}
	})
}

// TestWaitMissesNothing appends one entry and wants all who wait woken before
// the next. A miss is a deadlock, which synctest reports.
func TestWaitMissesNothing(t *testing.T) {
	for name, start := range map[string]func() (readLog, error){
		"memory": func() (readLog, error) { return audit.Memory(), nil },
		"file": func() (readLog, error) {
			return audit.Open("log", small.OnDisk(newFakeDisk(1).start()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size, waiting = 3000, 4
				log, err := start()
				if err != nil {
					t.Fatal(err)
				}
				var all sync.WaitGroup
				woken := make(chan uint64)
				for range waiting {
					all.Go(func() {
						for n := range uint64(size) {
							if err := log.Wait(t.Context(), n); err != nil || log.Size() <= n {
								t.Errorf("woken at %d for %d, error %v", log.Size(), n, err)
							}
							woken <- n
						}
					})
				}
				for n := range uint64(size) {
					log.Append(entry(0))
					for range waiting {
						if got := <-woken; got != n {
							t.Fatalf("woken for %d, want %d", got, n)
						}
					}
				}
				all.Wait()
				if err := log.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
