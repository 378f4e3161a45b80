package audit_test

import (
	"context"
	"errors"
	"path/filepath"
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

// TestWaitMissesNothing has many wait for each size in turn; a wake-up that is
// missed leaves the test hanging, which synctest reports as a deadlock.
func TestWaitMissesNothing(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func() readLog{
		"memory": func() readLog { return audit.Memory() },
		"file": func() readLog {
			log, err := audit.Open(filepath.Join(dir, "audit"), small)
			if err != nil {
				t.Fatal(err)
			}
			return log
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 300
				log := make()
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						for n := uint64(0); n < size; n++ {
							if err := log.Wait(t.Context(), n); err != nil || log.Size() <= n {
								t.Errorf("woken at %d for %d, error %v", log.Size(), n, err)
							}
						}
					})
				}
				for range 3 {
					all.Go(func() {
						for range size / 3 {
							if err := waitFor(log.Append(entry(1))); err != nil {
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				if err := log.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
