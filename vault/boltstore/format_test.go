package boltstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

// edit changes a closed file behind the store's back.
func edit(t *testing.T, path string, fn func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(fn); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFormat(t *testing.T) {
	meta := []byte("meta")
	tests := []struct {
		name string
		edit func(tx *bbolt.Tx) error
		want error
	}{
		{"newer", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Put([]byte("format"), []byte{2}) }, store.ErrFormat},
		{"older", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Put([]byte("format"), []byte{0}) }, store.ErrFormat},
		{"none", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Delete([]byte("format")) }, store.ErrFormat},
		{"not a store", func(tx *bbolt.Tx) error { return tx.DeleteBucket(meta) }, store.ErrFormat},
		{"kind changed", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Put([]byte("table\x01"), []byte("\x02cells")) }, store.ErrFormat},
		{"name changed", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Put([]byte("table\x01"), []byte("\x01cell")) }, store.ErrFormat},
		{"table undeclared", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Put([]byte("table\x09"), []byte("\x01nine")) }, store.ErrFormat},
		{"table lost", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("t\x01")) }, store.ErrCorrupt},
		{"link lost", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Delete([]byte("scattered")) }, store.ErrCorrupt},
		{"link cut short", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Put([]byte("scattered"), make([]byte, 40)) }, store.ErrCorrupt},
		{"generations out of order", func(tx *bbolt.Tx) error { return tx.Bucket(meta).Put([]byte("scattered"), make([]byte, 41)) }, store.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, t.TempDir())
			if err := open(t, o).Close(); err != nil {
				t.Fatal(err)
			}
			edit(t, o.Path, tt.edit)
			if _, err := boltstore.Open(o); !errors.Is(err, tt.want) {
				t.Errorf("open: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTableAdded(t *testing.T) {
	o := options(t, t.TempDir())
	o.Tables = o.Tables[:1]
	s := open(t, o)
	if err := commit(t.Context(), s, func(b *store.Batch) { b.Put(storetest.Cells, []byte("k"), []byte("v")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(o.Path), "values.scattered.db")); err == nil {
		t.Error("a store without scattered tables made a scattered file")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.Tables = storetest.Tables()
	s = openChecked(t, o)
	if s.ScatteredLost() {
		t.Error("new scattered tables count as lost")
	}
	err := commit(t.Context(), s, func(b *store.Batch) {
		b.RequireEqual(storetest.Cells, []byte("k"), []byte("v"))
		b.Put(storetest.Ledger, []byte("k"), nil)
		b.Put(storetest.Lookup, []byte("k"), nil)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		edit func(o *boltstore.Options)
	}{
		{"no path", func(o *boltstore.Options) { o.Path = "" }},
		{"no tables", func(o *boltstore.Options) { o.Tables = nil }},
		{"no sealer", func(o *boltstore.Options) { o.Seal = nil }},
		{"table twice", func(o *boltstore.Options) { o.Tables = append(o.Tables, o.Tables[0]) }},
		{"unknown kind", func(o *boltstore.Options) { o.Tables = []store.Table{{Number: 1, Kind: 3}} }},
		{"negative limit", func(o *boltstore.Options) { o.MergeRows = -1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, t.TempDir())
			tt.edit(&o)
			if _, err := boltstore.Open(o); !errors.Is(err, store.ErrUsage) {
				t.Errorf("open: %v, want ErrUsage", err)
			}
		})
	}
}

func TestLocked(t *testing.T) {
	o := options(t, t.TempDir())
	s := openChecked(t, o)
	if _, err := boltstore.Open(o); !errors.Is(err, store.ErrLocked) {
		t.Errorf("second open: %v, want ErrLocked", err)
	}
	if err := commit(t.Context(), s, func(b *store.Batch) { b.Put(storetest.Cells, []byte("k"), nil) }); err != nil {
		t.Errorf("commit after a refused second open: %v", err)
	}
}

// TestNothingInClear: neither keys nor values of scattered rows, nor whether
// a row was set or removed, can be read from the pending log.
func TestNothingInClear(t *testing.T) {
	o := options(t, t.TempDir())
	s := open(t, o)
	const key, value = "canary-key-4711", "canary-value-4711"
	for range 2 {
		err := commit(t.Context(), s, func(b *store.Batch) { b.Put(storetest.Lookup, []byte(key), []byte(value)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := commit(t.Context(), s, func(b *store.Batch) { b.Delete(storetest.Lookup, []byte(strings.Repeat("x", 40))) }); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(o.Path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(o.Path), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s holds a pending row in clear", e.Name())
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600 (%v)", e.Name(), info.Mode(), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var sealed [][]byte
	edit(t, o.Path, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("p\x00\x00\x00\x00\x00\x00\x00\x01")).ForEach(func(_, v []byte) error {
			sealed = append(sealed, bytes.Clone(v))
			return nil
		})
	})
	if len(sealed) != 3 {
		t.Fatalf("%d pending entries, want 3", len(sealed))
	}
	if bytes.Equal(sealed[0], sealed[1]) {
		t.Error("equal rows give equal entries")
	}
	if len(sealed[0]) != len(sealed[2]) {
		t.Errorf("setting and removing rows differ in length: %d and %d bytes", len(sealed[0]), len(sealed[2]))
	}
}
