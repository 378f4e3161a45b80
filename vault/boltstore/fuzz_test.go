package boltstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// FuzzWalk reads arbitrary bytes as a file. It must end, with a verdict that
// is nil or store.ErrCorrupt. This is the only thing between a damaged file
// and bbolt, so it is tested from inside.
func FuzzWalk(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 1024})
	if err != nil {
		f.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{"large", "small"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for i := range len(name) * len(name) {
				if err := b.Put([]byte{byte(i)}, make([]byte, 10*i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	seed = bytes.TrimRight(seed, "\x00")
	f.Add(seed, true)
	f.Add(seed, false)
	f.Fuzz(func(t *testing.T, b []byte, leaves bool) {
		r := bytes.NewReader(b)
		m, err := readMeta(r)
		if err == nil && m.pages <= uint64(len(b)/m.pageSize+1) { // as verify demands
			w := newWalk(r, m.pageSize, m.pages, leaves)
			if err = w.file(m.root); err == nil {
				err = w.freelist(m.freelist)
			}
		}
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%v, want ErrCorrupt", err)
		}
	})
}

// FuzzEntry reads arbitrary bytes as a pending entry. What is accepted is
// encoded to the same bytes.
func FuzzEntry(f *testing.F) {
	tables := []store.Table{{Number: 3, Name: "lookup", Kind: store.Scattered}, {Number: 1, Name: "cells", Kind: store.Ordered}}
	f.Add(appendEntry(nil, []byte("\x03key"), &version{value: []byte("value")}))
	f.Add(appendEntry(nil, []byte("\x03key"), &version{deleted: true}))
	f.Add(appendEntry(nil, []byte("\x01key"), &version{value: make([]byte, 100)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, v, err := parseEntry(b, tables)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%v, want ErrCorrupt", err)
			}
			return
		}
		if again := appendEntry(nil, []byte(key), v); !bytes.Equal(again, b) {
			t.Errorf("read %x, wrote %x", b, again)
		}
	})
}
