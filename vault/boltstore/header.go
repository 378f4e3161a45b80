package boltstore

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const formatVersion = 1

var (
	bucketMeta   = []byte("meta")
	rowFormat    = []byte("format")
	rowScattered = []byte("scattered")
	rowID        = []byte("id")
	rowMerged    = []byte("merged")
)

// maxStored bounds a stored value: the longest row as a pending entry with
// the overhead of its seal.
const maxStored = store.MaxValueLen + 1024

func bucketTable(number uint8) []byte { return []byte{'t', number} }

func bucketPending(gen uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'p'}, gen) }

func rowTable(number uint8) []byte { return append([]byte("table"), number) }

// link ties the values file to its scattered file.
type link struct {
	id      [16]byte
	gen     uint64 // being written
	trimmed uint64 // the last generation dropped from the pending log
	base    uint64 // the scattered file was created empty after this one
	lost    bool   // rows were lost and not rebuilt yet
}

const linkSize = 16 + 3*8 + 1

func newLink(trimmed uint64) link {
	l := link{gen: trimmed + 1, trimmed: trimmed, base: trimmed}
	_, _ = rand.Read(l.id[:]) // never fails
	return l
}

func (l *link) put(tx *bbolt.Tx) error {
	b := append(make([]byte, 0, linkSize), l.id[:]...)
	for _, n := range []uint64{l.gen, l.trimmed, l.base} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	lost := byte(0)
	if l.lost {
		lost = 1
	}
	return tx.Bucket(bucketMeta).Put(rowScattered, append(b, lost))
}

func readLink(tx *bbolt.Tx) (l link, exists bool, err error) {
	b := tx.Bucket(bucketMeta).Get(rowScattered)
	if b == nil {
		return l, false, nil
	}
	if len(b) != linkSize || b[linkSize-1] > 1 {
		return l, false, fmt.Errorf("%w: the row about the scattered file has %d bytes", store.ErrCorrupt, len(b))
	}
	copy(l.id[:], b)
	l.gen, l.trimmed, l.base = binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[32:])
	l.lost = b[linkSize-1] == 1
	if l.base > l.trimmed || l.trimmed >= l.gen {
		return l, false, fmt.Errorf("%w: the generations of the pending log are out of order", store.ErrCorrupt)
	}
	return l, true, nil
}

// checkFormat reads the format version of a file. A file without one fails
// with none.
func checkFormat(tx *bbolt.Tx, none error) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("%w: the file is not one of a store", none)
	}
	switch v := meta.Get(rowFormat); {
	case len(v) != 1:
		return fmt.Errorf("%w: the file names no version", none)
	case v[0] != formatVersion:
		return fmt.Errorf("%w: version %d, want %d", store.ErrFormat, v[0], formatVersion)
	}
	return nil
}

// checkTables compares the tables in the file with the declared ones and
// reports whether some must be added.
func checkTables(tx *bbolt.Tx, tables []store.Table) (add bool, err error) {
	found := 0
	c := tx.Bucket(bucketMeta).Cursor()
	prefix := []byte("table")
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if len(k) != len(prefix)+1 || len(v) < 1 {
			return false, fmt.Errorf("%w: a declaration of a table is damaged", store.ErrCorrupt)
		}
		number := k[len(prefix)]
		t := store.Find(tables, number)
		switch {
		case t == nil:
			return false, fmt.Errorf("%w: it holds table %d, %q, which is not declared", store.ErrFormat, number, v[1:])
		case store.Kind(v[0]) != t.Kind || string(v[1:]) != t.Name:
			return false, fmt.Errorf("%w: table %d is %q of kind %d, declared as %q of kind %d", store.ErrFormat, number, v[1:], v[0], t.Name, t.Kind)
		}
		if t.Kind == store.Ordered && tx.Bucket(bucketTable(number)) == nil {
			return false, missing(tx, bucketTable(number))
		}
		found++
	}
	return found < len(tables), nil
}

// addTables writes the format and the declarations that are not there yet.
func addTables(tx *bbolt.Tx, tables []store.Table) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if err := meta.Put(rowFormat, []byte{formatVersion}); err != nil {
		return err
	}
	scattered := false
	for _, t := range tables {
		if err := meta.Put(rowTable(t.Number), append([]byte{byte(t.Kind)}, t.Name...)); err != nil {
			return err
		}
		if t.Kind == store.Scattered {
			scattered = true
		} else if _, err := tx.CreateBucketIfNotExists(bucketTable(t.Number)); err != nil {
			return err
		}
	}
	if _, exists, err := readLink(tx); err != nil || exists || !scattered {
		return err
	}
	l := newLink(0)
	return l.put(tx)
}
