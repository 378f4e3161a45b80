package boltstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

// TestCompactIsLocked: at no step may another process have the store.
func TestCompactIsLocked(t *testing.T) {
	o := options(t, t.TempDir())
	s := openChecked(t, o)
	fill(t, s, 20)
	var seen []string
	s.OnStep(func(name string) {
		if name == "reading" {
			return
		}
		seen = append(seen, name)
		if _, err := boltstore.Open(o); !errors.Is(err, store.ErrLocked) {
			t.Errorf("open at the step %q: %v, want ErrLocked", name, err)
		}
	})
	compact(t, s)
	if want := append(slices.Clone(boltstore.Steps), boltstore.Steps...); !slices.Equal(seen, want) {
		t.Errorf("steps %q, want %q", seen, want)
	}
	if _, err := boltstore.Open(o); !errors.Is(err, store.ErrLocked) {
		t.Errorf("open after it: %v, want ErrLocked", err)
	}
	if got := count(t, s, 20); got != 20 {
		t.Errorf("%d rows, want 20", got)
	}
}

// TestCompactEnds: a Compact that is cancelled, or whose store is closed, at
// any step leaves the old or the new file and no other.
func TestCompactEnds(t *testing.T) {
	for _, how := range []string{"cancelled", "closed", "reset"} {
		for _, step := range boltstore.Steps {
			for _, file := range []int{1, 2} {
				t.Run(how+" when "+step+map[int]string{1: ", scattered", 2: ", values"}[file], func(t *testing.T) {
					endCompact(t, how, step, file)
				})
			}
		}
	}
}

func endCompact(t *testing.T, how, step string, file int) {
	o := options(t, t.TempDir())
	s := open(t, o)
	fill(t, s, 30)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var others sync.WaitGroup
	seen := 0
	s.OnStep(func(name string) {
		if name != step {
			return
		}
		if seen++; seen != file {
			return
		}
		switch how {
		case "cancelled":
			cancel()
		case "closed":
			others.Go(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			for { // until the close has begun
				n, err := s.Snapshot(t.Context())
				if errors.Is(err, store.ErrClosed) {
					break
				}
				if err == nil {
					err = n.Close()
				}
				if err != nil {
					t.Errorf("snapshot: %v", err)
					break
				}
			}
		case "reset":
			others.Go(func() {
				if err := s.ResetScattered(t.Context()); err != nil {
					t.Errorf("reset: %v", err)
				}
			})
			if step == "created" || step == "copied" { // no lock is held
				others.Wait()
			}
		}
	})
	_, _, err := s.Compact(ctx)
	others.Wait()
	if seen == 0 {
		t.Fatal("the step was not met")
	}
	late := slices.Index(boltstore.Steps, step) >= 2 && file == 2
	switch {
	case how == "reset", late:
		if err != nil {
			t.Errorf("compact: %v", err)
		}
	case how == "cancelled" && !errors.Is(err, context.Canceled), how == "closed" && !errors.Is(err, store.ErrClosed):
		t.Errorf("compact: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(o.Path))
	if err != nil || len(entries) != 2 {
		t.Errorf("files %v, %v, want two", entries, err)
	}
	s = openChecked(t, o)
	want := 30
	if how == "reset" {
		want = 0
	}
	if got := count(t, s, 30); got != want {
		t.Errorf("%d scattered rows, want %d", got, want)
	}
	if page, err := s.Scan(t.Context(), storetest.Cells, nil, nil, 100); err != nil || len(page) != 30 {
		t.Errorf("%d ordered rows, %v, want 30", len(page), err)
	}
}

// TestCompactAgainstOpen: callers take turns with a store, as processes
// would, while it is compacted. None may get a file that has lost its name,
// since what it commits would be lost with it.
func TestCompactAgainstOpen(t *testing.T) {
	o := options(t, t.TempDir())
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	const callers, turns = 3, 8
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range turns {
				if err := takeTurn(t.Context(), o); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s := openChecked(t, o)
	err := commit(t.Context(), s, func(b *store.Batch) {
		b.RequireEqual(storetest.Cells, []byte("n"), store.AppendCounter(nil, callers*turns))
		b.RequireEqual(storetest.Lookup, []byte("n"), store.AppendCounter(nil, callers*turns))
		b.Put(storetest.Ledger, []byte("n"), nil)
	})
	if err != nil {
		t.Errorf("commits were lost: %v", err)
	}
}

func takeTurn(ctx context.Context, o boltstore.Options) error {
	s, err := boltstore.Open(o)
	for errors.Is(err, store.ErrLocked) {
		s, err = boltstore.Open(o)
	}
	if err != nil {
		return err
	}
	err = commit(ctx, s, func(b *store.Batch) {
		b.Add(storetest.Cells, []byte("n"), 1, 0, 1<<30)
		b.Add(storetest.Lookup, []byte("n"), 1, 0, 1<<30)
	})
	if err == nil {
		_, _, err = s.Compact(ctx)
	}
	return errors.Join(err, s.Close())
}
