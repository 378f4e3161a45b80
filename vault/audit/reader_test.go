package audit_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

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
		first := int(log.Size())
		for i := range n {
			r := log.Append(numbered(first + i))
			if i%5 != 4 && i < n-1 {
				continue // five to an fsync
			}
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
	t.Run("one segment", func(t *testing.T) {
		log := open(t, filepath.Join(t.TempDir(), "audit"), audit.Options{})
		fill(t, log, n)
		if log.Stats().Bytes < 100<<10 && n > 100 {
			t.Errorf("%d bytes, too few to have marks in the segment", log.Stats().Bytes)
		}
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
		if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); err != nil {
			t.Fatal(err)
		}
		fill(t, log, n*3/4)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		log = open(t, dir, small)
		if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); err != nil {
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
		if err := log.At(t.Context(), []uint64{1, 2}, func(uint64, []byte) error { return stop }); err != stop {
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
	whole := filepath.Join(t.TempDir(), "audit")
	published(t, whole, 600)
	for name, damage := range map[string]func(path string) error{
		"removed":      os.Remove,
		"cut":          func(path string) error { return os.Truncate(path, 1000) },
		"of another":   func(path string) error { return os.Rename(filepath.Join(filepath.Dir(path), "001"), path) },
		"byte flipped": flip,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			log := open(t, dir, small)
			s, err := newSigner()
			if err != nil {
				t.Fatal(err)
			}
			if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); err != nil {
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
