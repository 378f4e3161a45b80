package boltstore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

// TestMergedTwice brings back the pending log of rows that are merged
// already, as a crash between the two leaves them: the newest values win.
func TestMergedTwice(t *testing.T) {
	dir := t.TempDir()
	o := options(t, dir)
	s := open(t, o)
	fill(t, s, 50) // all pending
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if err := s.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	merged := gens(t, o.Path)
	// The values file as it was, but for the generation being written.
	if err := os.WriteFile(o.Path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	edit(t, o.Path, func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		row := bytes.Clone(meta.Get([]byte("scattered")))
		copy(row[16:24], be64(int(merged)))
		return meta.Put([]byte("scattered"), row)
	})
	s = openChecked(t, o)
	if s.ScatteredLost() {
		t.Error("counts as lost")
	}
	if got := count(t, s, 50); got != 50 {
		t.Errorf("%d rows, want 50", got)
	}
	if p := s.Stats().Pending; p != 0 {
		t.Errorf("%d merged rows count as pending", p)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := s.EachPending(func([]byte) { left++ }); err != nil || left != 0 {
		t.Errorf("%d entries are in the log after a drain, %v", left, err)
	}
}

// gens returns the generation that the values file is writing.
func gens(t *testing.T, path string) (gen uint64) {
	t.Helper()
	edit(t, path, func(tx *bbolt.Tx) error {
		row := tx.Bucket([]byte("meta")).Get([]byte("scattered"))
		for _, b := range row[16:24] {
			gen = gen<<8 | uint64(b)
		}
		return nil
	})
	return gen
}

// TestPendingDamaged: an entry that does not open is corruption, not a row
// that never was.
func TestPendingDamaged(t *testing.T) {
	first := []byte("p\x00\x00\x00\x00\x00\x00\x00\x01")
	tests := []struct {
		name string
		edit func(b *bbolt.Bucket) error
	}{
		{"flipped", func(b *bbolt.Bucket) error {
			v := bytes.Clone(b.Get(be64(2)))
			v[30] ^= 1
			return b.Put(be64(2), v)
		}},
		{"moved", func(b *bbolt.Bucket) error { return b.Put(be64(2), bytes.Clone(b.Get(be64(3)))) }},
		{"emptied", func(b *bbolt.Bucket) error { return b.Put(be64(2), []byte{}) }},
		{"misnamed", func(b *bbolt.Bucket) error { return b.Put([]byte("k"), bytes.Clone(b.Get(be64(3)))) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, t.TempDir())
			lose(t, o, 5, func(*testing.T, string) {})
			edit(t, o.Path, func(tx *bbolt.Tx) error { return tt.edit(tx.Bucket(first)) })
			if _, err := boltstore.Open(o); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("open: %v, want ErrCorrupt", err)
			}
		})
	}
}

// TestResetDuringCommits resets while callers commit and read: each batch is
// wholly before or wholly after.
func TestResetDuringCommits(t *testing.T) {
	o := options(t, t.TempDir())
	o.MergeRows = 7
	s := openChecked(t, o)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				err := commit(t.Context(), s, func(b *store.Batch) {
					b.Put(storetest.Lookup, hashed(g, n), be64(n))
					b.Put(storetest.Postings, hashed(g, n), be64(n))
				})
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				var rows store.Rows
				keys := []store.Key{{Table: storetest.Postings, Key: hashed(g, n)}, {Table: storetest.Lookup, Key: hashed(g, n)}}
				if err := s.Get(t.Context(), keys, &rows); err != nil {
					t.Errorf("get: %v", err)
					return
				}
				_, a := rows.Value(0)
				if _, b := rows.Value(1); a != b {
					t.Errorf("half a batch is there: %v and %v", a, b)
					return
				}
			}
		})
	}
	for range 20 {
		if err := s.ResetScattered(t.Context()); err != nil {
			t.Errorf("reset: %v", err)
		}
	}
	stop()
	wg.Wait()
	if !s.ScatteredLost() {
		t.Error("a reset store does not ask for a rebuild")
	}
	if err := s.ScatteredRebuilt(t.Context()); err != nil || s.ScatteredLost() {
		t.Errorf("rebuilt: %v, lost: %v", err, s.ScatteredLost())
	}
}
