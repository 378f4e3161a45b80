package boltstore

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// reader is the memory of one Get, reused by later ones.
type reader struct {
	values, rows *bbolt.Tx
	slots        []slot // one a table
	inFile       []int  // keys of scattered tables that memory does not decide
	key          [1 + store.MaxKeyLen]byte
}

// slot is a place in a table: a cursor, and the row it stands on.
type slot struct {
	cursor     *bbolt.Cursor
	asked      []byte // no key lies from asked up to key
	key, value []byte // nil key: the cursor stands nowhere
	steps      int    // how far to walk before a search from the root
	misses     int    // walks in a row that did not arrive
}

const maxSteps = 32

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, keys []store.Key, out *store.Rows) (err error) {
	out.Reset()
	scattered := false
	for i := range keys {
		k := &keys[i]
		t := s.table(k.Table)
		switch {
		case t == nil:
			return fmt.Errorf("%w: key %d: table %d is not declared", store.ErrUsage, i, k.Table)
		case len(k.Key) == 0 || len(k.Key) > store.MaxKeyLen:
			return fmt.Errorf("%w: key %d has %d bytes, want 1 to %d", store.ErrUsage, i, len(k.Key), store.MaxKeyLen)
		}
		scattered = scattered || t.Kind == store.Scattered
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	out.Resize(len(keys))
	r := s.readers.Get().(*reader)
	defer s.readers.Put(r)
	defer r.release()
	defer func() {
		if err != nil {
			out.Reset()
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer trap(&err)
	if err := s.beginRead(r, keys, scattered, out); err != nil {
		return err
	}
	for i := range keys {
		if s.table(keys[i].Table).Kind == store.Ordered {
			if err := s.read(r, r.values, keys, i, out); err != nil {
				return err
			}
		}
	}
	for _, i := range r.inFile {
		if err := s.read(r, r.rows, keys, i, out); err != nil {
			return err
		}
	}
	return nil
}

// beginRead opens the transactions of one snapshot, and answers the scattered
// keys that memory decides. All three happen under one lock: a layer stops
// taking writes and is forgotten only while nobody holds it, so what the file
// holds was committed before, and what it lacks is in memory.
func (s *Store) beginRead(r *reader, keys []store.Key, scattered bool, out *store.Rows) (err error) {
	if !scattered {
		r.values, _, err = s.beginValues()
		return err
	}
	s.mem.mu.RLock()
	defer s.mem.mu.RUnlock()
	if r.rows, err = s.rows.db.Begin(false); err != nil {
		return readError(err)
	}
	var f *file
	if r.values, f, err = s.beginValues(); err != nil {
		return err
	}
	txid := f.id(r.values)
	for i := range keys {
		if s.table(keys[i].Table).Kind != store.Scattered {
			continue
		}
		v := find(s.mem.layers, appendRowKey(r.key[:0], keys[i]), txid)
		switch {
		case v == nil:
			r.inFile = append(r.inFile, i)
		case !v.deleted:
			out.Set(i, v.value)
		}
	}
	return nil
}

// read answers key i from a table in tx.
func (s *Store) read(r *reader, tx *bbolt.Tx, keys []store.Key, i int, out *store.Rows) error {
	number := keys[i].Table
	at := &r.slots[s.slots[number]-1]
	if at.cursor == nil {
		name := [2]byte{'t', number}
		b := tx.Bucket(name[:])
		if b == nil {
			return missing(tx, name[:])
		}
		at.cursor, at.steps = b.Cursor(), maxSteps
	}
	value, ok := at.find(keys[i].Key)
	if !ok {
		return nil
	}
	if value == nil { // bbolt says so of a nested bucket
		return fmt.Errorf("%w: key %d: a bucket in place of a value", store.ErrCorrupt, i)
	}
	if len(value) > store.MaxValueLen {
		return fmt.Errorf("%w: key %d: a value of %d bytes", store.ErrCorrupt, i, len(value))
	}
	out.Set(i, value)
	return nil
}

// find returns the value of a key. A caller mostly asks for a header row and
// cells a few rows on, so a short walk is tried before a search from the
// root; how short follows from what walks have needed.
func (at *slot) find(want []byte) ([]byte, bool) {
	if at.key != nil {
		switch cmp := bytes.Compare(want, at.key); {
		case cmp == 0:
			at.asked = want
			return at.value, true
		case cmp > 0:
			if at.walk(want) {
				return at.answer(want)
			}
		case bytes.Compare(want, at.asked) >= 0:
			return nil, false
		}
	}
	at.key, at.value = at.cursor.Seek(want)
	return at.answer(want)
}

// walk moves on to the first key that is not below want, and reports whether
// it got there.
func (at *slot) walk(want []byte) bool {
	for step := range at.steps {
		at.key, at.value = at.cursor.Next()
		if at.key == nil || bytes.Compare(at.key, want) >= 0 {
			at.steps, at.misses = min(maxSteps, 2*step+2), 0
			return true
		}
	}
	if at.misses++; at.misses >= 4 {
		at.steps, at.misses = max(1, at.steps/2), 0
	}
	return false
}

func (at *slot) answer(want []byte) ([]byte, bool) {
	at.asked = want
	if bytes.Equal(at.key, want) {
		return at.value, true
	}
	return nil, false
}

// release ends the transactions and drops what points into them.
func (r *reader) release() {
	for _, tx := range [...]*bbolt.Tx{r.values, r.rows} {
		if tx != nil {
			_ = tx.Rollback()
		}
	}
	r.values, r.rows, r.inFile = nil, nil, r.inFile[:0]
	clear(r.slots)
}
