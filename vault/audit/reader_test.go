package audit_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// numbered returns an entry whose id says its number.
func numbered(i int) *audit.Entry {
	e := entry(i % 9)
	e.ID = [16]byte{0: 1}
	binary.BigEndian.PutUint64(e.ID[8:], uint64(i))
	return e
}

// holds fails unless raw is the entry numbered index.
func holds(t testing.TB, index uint64, raw []byte) {
	t.Helper()
	e, err := audit.Decode(raw)
	if err != nil {
		t.Fatalf("entry %d: %v", index, err)
	}
	if got := binary.BigEndian.Uint64(e.ID[8:]); got != index {
		t.Fatalf("entry %d is given for %d", got, index)
	}
}

type readLog interface {
	audit.Log
	audit.Reader
}

// readers calls fn with logs of n numbered entries: in memory, on disk, and
// published on disk.
func readers(t *testing.T, n int, fn func(t *testing.T, log readLog)) {
	fill := func(t *testing.T, log readLog, n int) {
		for i := range n {
			r := log.Append(numbered(int(log.Size())))
			if err := waitFor(r); err != nil {
				t.Fatalf("entry %d: %v", i, err)
			}
		}
	}
	t.Run("memory", func(t *testing.T) {
		log := audit.Memory()
		fill(t, log, n)
		fn(t, log)
	})
	t.Run("file", func(t *testing.T) {
		log := open(t, filepath.Join(t.TempDir(), "audit"), small)
		fill(t, log, n)
		fn(t, log)
	})
	t.Run("published", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "audit")
		log, err := audit.Open(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSigner()
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Publish(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
		fill(t, log, n*3/4)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		log = open(t, dir, small)
		if err := log.Publish(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
		fill(t, log, n-n*3/4) // some of which no checkpoint covers yet
		fn(t, log)
	})
}

func TestAt(t *testing.T) {
	const size = 900
	readers(t, size, func(t *testing.T, log readLog) {
		rng := rand.New(rand.NewPCG(1, 2))
		for round := range 200 {
			var want []uint64
			for range 1 + rng.IntN(6) {
				want = append(want, rng.Uint64N(size))
			}
			if round == 0 {
				want = []uint64{0, 255, 256, 511, 512, size - 1}
			}
			slices.Sort(want)
			want = slices.Compact(want)
			var got []uint64
			err := log.At(t.Context(), want, func(index uint64, raw []byte) error {
				got = append(got, index)
				holds(t, index, raw)
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("got %d, want %d; error %v", got, want, err)
			}
		}
		never := func(index uint64, _ []byte) error {
			t.Errorf("entry %d is given", index)
			return nil
		}
		for _, bad := range [][]uint64{{3, 2}, {3, 3}, {size}} {
			if err := log.At(t.Context(), bad, never); !errors.Is(err, audit.ErrIndex) {
				t.Errorf("indexes %d: %v", bad, err)
			}
		}
		if err := log.At(t.Context(), nil, never); err != nil {
			t.Errorf("no index: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := log.At(ctx, []uint64{1}, never); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		stop := errors.New("stop")
		if err := log.At(t.Context(), []uint64{1, 2}, func(uint64, []byte) error { return stop }); err != stop { //nolint:errorlint // as it is
			t.Errorf("an error of the caller became %v", err)
		}
	})
}

func TestReadFromAnywhere(t *testing.T) {
	const size = 900
	readers(t, size, func(t *testing.T, log readLog) {
		if log.First() != 0 {
			t.Errorf("first %d", log.First())
		}
		for _, from := range []uint64{0, size - 1, 1, 450, 449, 800, 200, size, size + 1} {
			next := from
			err := log.Read(from, func(index uint64, raw []byte) error {
				if index != next {
					t.Fatalf("entry %d after %d", index, next)
				}
				next++
				holds(t, index, raw)
				return nil
			})
			if err != nil || next != max(size, from) {
				t.Errorf("from %d: ended before %d, error %v", from, next, err)
			}
		}
	})
}

// TestAtWithDamagedBundles holds that At finds what the bundles do not hold
// in the segments.
func TestAtWithDamagedBundles(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"removed":      os.Remove,
		"cut":          func(path string) error { return os.Truncate(path, 1000) },
		"of another":   func(path string) error { return os.Rename(filepath.Join(filepath.Dir(path), "001"), path) },
		"byte flipped": flip,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			published(t, dir, 600)
			log := open(t, dir, small)
			s, err := newSigner()
			if err != nil {
				t.Fatal(err)
			}
			if err := log.Publish(t.Context(), s, nil); err != nil {
				t.Fatal(err)
			}
			want := map[uint64]string{}
			_ = log.Read(0, func(index uint64, raw []byte) error {
				want[index] = string(raw)
				return nil
			})
			if err := damage(filepath.Join(dir, audit.TreeDir, "tile", "entries", "000")); err != nil {
				t.Fatal(err)
			}
			var all []uint64
			for i := range uint64(300) {
				all = append(all, i)
			}
			n := 0
			err = log.At(t.Context(), all, func(index uint64, raw []byte) error {
				if n++; string(raw) != want[index] {
					t.Fatalf("entry %d is another", index)
				}
				return nil
			})
			if err != nil || n != len(all) {
				t.Errorf("%d of %d entries, error %v", n, len(all), err)
			}
		})
	}
}

func flip(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[100] ^= 1
	return os.WriteFile(path, content, 0o600)
}

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

// TestProofs answers proofs from a log in use.
func TestProofs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	log := open(t, dir, small)
	if _, err := log.Proofs(); !errors.Is(err, audit.ErrNotPublished) {
		t.Errorf("proofs of a log that is not published: %v", err)
	}
	if _, err := log.VerifierKey(); !errors.Is(err, audit.ErrNotPublished) {
		t.Errorf("key of a log that is not published: %v", err)
	}
	s, err := newSigner()
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Publish(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	if key, err := log.VerifierKey(); err != nil || key != s.VerifierKey() {
		t.Errorf("key %q, error %v", key, err)
	}
	proofs, err := log.Proofs()
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if err := waitFor(log.Append(entry(2))); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	cp, err := proofs.Checkpoint()
	if err != nil || cp.Size != 40 {
		t.Fatalf("checkpoint %+v, error %v", cp, err)
	}
	if _, err := proofs.Inclusion(39, 40); err != nil {
		t.Error(err)
	}
	if _, err := proofs.Consistency(1, 40); err != nil {
		t.Error(err)
	}
	if _, err := proofs.Inclusion(40, 41); !errors.Is(err, tree.ErrRange) {
		t.Errorf("past the end: %v", err)
	}
}

func BenchmarkAt(b *testing.B) {
	const size = 200_000
	dir := filepath.Join(b.TempDir(), "audit")
	fill, err := audit.Open(dir, audit.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := newSigner()
	if err != nil {
		b.Fatal(err)
	}
	if err := fill.Publish(b.Context(), s, nil); err != nil {
		b.Fatal(err)
	}
	var last audit.Receipt
	for i := range size {
		last = fill.Append(numbered(i))
	}
	if err := waitFor(last); err != nil {
		b.Fatal(err)
	}
	if err := fill.Close(); err != nil {
		b.Fatal(err)
	}
	log := open(b, dir, audit.Options{})
	for _, published := range []bool{false, true} {
		if published {
			if err := log.Publish(b.Context(), s, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("published=%t", published), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				index := rng.Uint64N(size)
				err := log.At(b.Context(), []uint64{index}, func(index uint64, raw []byte) error {
					holds(b, index, raw)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("read=tail", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := log.Read(size-1, func(uint64, []byte) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
