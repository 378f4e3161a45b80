package boltstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

func scatteredFile(o boltstore.Options) string {
	return filepath.Join(filepath.Dir(o.Path), "values.scattered.db")
}

// fill puts rows 0 to n-1 into a scattered table, one a batch, and one
// ordered row each.
func fill(t *testing.T, s store.Store, n int) {
	t.Helper()
	for i := range n {
		err := commit(t.Context(), s, func(b *store.Batch) {
			b.Put(storetest.Lookup, hashed(0, i), be64(i))
			b.Put(storetest.Cells, be64(i), be64(i))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// count returns how many of the rows of fill exist; each must have its value.
func count(t *testing.T, s store.Store, n int) int {
	t.Helper()
	keys := make([]store.Key, n)
	for i := range keys {
		keys[i] = store.Key{Table: storetest.Lookup, Key: hashed(0, i)}
	}
	var rows store.Rows
	if err := s.Get(t.Context(), keys, &rows); err != nil {
		t.Fatal(err)
	}
	found := 0
	for i := range keys {
		if v, ok := rows.Value(i); ok {
			found++
			if !bytes.Equal(v, be64(i)) {
				t.Errorf("row %d reads %x", i, v)
			}
		}
	}
	return found
}

// lose makes a store with n rows, most of them merged, closes it and lets
// damage change the files.
func lose(t *testing.T, o boltstore.Options, n int, damage func(t *testing.T, path string)) {
	t.Helper()
	s := open(t, o)
	fill(t, s, n)
	if o.MergeRows > 0 {
		if err := s.Merge(t.Context()); err != nil || s.Stats().Pending > 0 {
			t.Fatalf("merge: %v, %d rows pending", err, s.Stats().Pending)
		}
		fill(t, s, 5)
	}
	if s.ScatteredLost() {
		t.Fatal("lost without a reason")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, scatteredFile(o))
}

// ways to lose the scattered file.
func losses() map[string]func(t *testing.T, path string) {
	return map[string]func(t *testing.T, path string){
		"missing": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
		"cut short": func(t *testing.T, path string) {
			if err := os.Truncate(path, 10_000); err != nil {
				t.Fatal(err)
			}
		},
		"not a file of bbolt": func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("garbage "), 5000), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"of another store": func(t *testing.T, path string) {
			other := options(t, t.TempDir())
			if err := open(t, other).Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(scatteredFile(other), path); err != nil {
				t.Fatal(err)
			}
		},
		"older": func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("merged"), be64(0)) })
		},
		"newer": func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("merged"), be64(1000)) })
		},
		"without a table": func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte{'t', storetest.Lookup}) })
		},
	}
}

func TestScatteredLost(t *testing.T) {
	for name, damage := range losses() {
		t.Run(name, func(t *testing.T) {
			o := options(t, t.TempDir())
			o.MergeRows = 10
			const n = 95
			lose(t, o, n, damage)
			for range 2 { // the loss is remembered
				s := open(t, o)
				if !s.ScatteredLost() {
					t.Fatal("the loss is not reported")
				}
				if got := count(t, s, n); got >= n {
					t.Errorf("%d rows of %d are left", got, n)
				}
				if err := s.Check(t.Context()); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			rebuild(t, o, n)
			_, err := os.Stat(scatteredFile(o) + ".lost")
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file set aside is still there after the rebuild: %v", err)
			}
		})
	}
}

// rebuild resets the scattered tables, writes all rows again, opening anew in
// the middle, and ends the rebuild.
func rebuild(t *testing.T, o boltstore.Options, n int) {
	t.Helper()
	s := open(t, o)
	if err := s.ResetScattered(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, s, n); got != 0 || !s.ScatteredLost() {
		t.Errorf("after the reset %d rows are left; lost: %v", got, s.ScatteredLost())
	}
	fill(t, s, n/2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if got := count(t, s, n); got != n/2 || !s.ScatteredLost() {
		t.Errorf("in the middle of the rebuild %d rows are there, want %d; lost: %v", got, n/2, s.ScatteredLost())
	}
	fill(t, s, n)
	if err := s.ScatteredRebuilt(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if s.ScatteredLost() {
			t.Error("lost after the rebuild")
		}
		if got := count(t, s, n); got != n {
			t.Errorf("%d rows after the rebuild, want %d", got, n)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, o)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNotLost: while every row is still pending, the file is not needed.
func TestNotLost(t *testing.T) {
	for name, damage := range losses() {
		if name == "newer" {
			continue // says that rows were merged
		}
		t.Run(name, func(t *testing.T) {
			o := options(t, t.TempDir())
			lose(t, o, 20, damage)
			s := openChecked(t, o)
			if s.ScatteredLost() {
				t.Error("counts as lost")
			}
			if got := count(t, s, 20); got != 20 {
				t.Errorf("%d rows, want 20", got)
			}
		})
	}
}
