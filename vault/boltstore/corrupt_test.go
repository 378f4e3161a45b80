package boltstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

const damagedRows = 1500

// sample makes a store of several levels and returns its files: as a clean
// close leaves them, or as a crash does, without a free list.
func sample(t *testing.T, clean bool) map[string][]byte {
	t.Helper()
	o := options(t, t.TempDir())
	o.MergeRows = 500
	s := open(t, o)
	for i := 0; i < damagedRows; i += 100 {
		err := commit(t.Context(), s, func(b *store.Batch) {
			for j := i; j < i+100; j++ {
				b.Put(storetest.Cells, be64(j), hashed(1, j))
				b.Put(storetest.Lookup, hashed(0, j), be64(j))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := commit(t.Context(), s, func(b *store.Batch) { b.Delete(storetest.Cells, be64(damagedRows)) }); err != nil {
		t.Fatal(err)
	}
	read := func() map[string][]byte {
		files := map[string][]byte{}
		for _, name := range []string{"values.db", "values.scattered.db"} {
			b, err := os.ReadFile(filepath.Join(filepath.Dir(o.Path), name))
			if err != nil {
				t.Fatal(err)
			}
			// Without the room that bbolt keeps at the end.
			files[name] = b[:binary.NativeEndian.Uint64(newestMeta(b)[40:])*4096]
		}
		return files
	}
	crashed := read()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if clean {
		return read()
	}
	return crashed
}

// verdict is what a damaged store said at each step.
type verdict struct{ open, read, commit, check error }

// probe opens a store over files and uses all of it. A wrong value is only
// allowed where the engine cannot see it; missing counts rows that read as
// absent, wrong those with another value.
func probe(t *testing.T, files map[string][]byte) (v verdict, missing, wrong int) {
	t.Helper()
	o := options(t, t.TempDir())
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(filepath.Dir(o.Path), name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := boltstore.Open(o)
	if err != nil {
		return verdict{open: err}, 0, 0
	}
	defer s.Close()
	for i := 0; i < damagedRows; i += 10 { // in parts, so that one bad page hides few rows
		var keys []store.Key
		for j := i; j < i+10; j++ {
			keys = append(keys, store.Key{Table: storetest.Cells, Key: be64(j)}, store.Key{Table: storetest.Lookup, Key: hashed(0, j)})
		}
		var rows store.Rows
		if err := s.Get(t.Context(), keys, &rows); err != nil {
			v.read = err
			continue
		}
		for j := range keys {
			want := hashed(1, i+j/2)
			if j%2 == 1 {
				want = be64(i + j/2)
			}
			if got, ok := rows.Value(j); !ok {
				missing++
			} else if !bytes.Equal(got, want) {
				wrong++
			}
		}
	}
	if _, err := s.Scan(t.Context(), storetest.Cells, nil, nil, 2*damagedRows); err != nil {
		v.read = err
	}
	v.check = s.Check(context.Background())
	for i := 0; i < damagedRows && v.commit == nil; i += damagedRows / 20 {
		v.commit = commit(t.Context(), s, func(b *store.Batch) {
			b.Put(storetest.Cells, be64(i), []byte("new"))
			b.Put(storetest.Lookup, hashed(0, i), be64(i))
		})
	}
	return v, missing, wrong
}

// TestDamagedPages flips bits in page headers and element tables of every
// kind of page. Nothing may panic, hang or be answered with a value of
// another row, and Open or Check finds each one.
func TestDamagedPages(t *testing.T) {
	const pageSize = 4096
	spots := []struct {
		name   string
		offset int
	}{
		{"page id", 0}, {"flags", 8}, {"count", 10}, {"count, high byte", 11}, {"overflow", 12},
		{"first element, flags or position", 16}, {"first element, second word", 20},
		{"first element, third word", 24}, {"first element, fourth word", 28}, {"ninth element", 16 + 8*16 + 4},
	}
	for _, clean := range []bool{true, false} {
		files := sample(t, clean)
		for name, data := range files {
			used := pagesInUse(data)
			if len(used) < 10 {
				t.Fatalf("%s has only %d pages in use", name, len(used))
			}
			for i, at := range spots {
				label := name + " " + at.name + map[bool]string{true: ", closed", false: ", crashed"}[clean]
				t.Run(label, func(t *testing.T) {
					for p := i % 5; p < len(used); p += max(1, len(used)/7) {
						page := used[p]
						if branch := data[page*pageSize+8] == 1; at.offset > 100 && branch {
							continue // may have fewer elements
						}
						damaged := bytes.Clone(data)
						damaged[page*pageSize+at.offset] ^= 0x41
						with := map[string][]byte{"values.db": files["values.db"], "values.scattered.db": files["values.scattered.db"]}
						with[name] = damaged
						judge(t, with, name, page)
					}
				})
			}
		}
	}
}

func judge(t *testing.T, files map[string][]byte, name string, page int) {
	t.Helper()
	v, missing, wrong := probe(t, files)
	for _, err := range []error{v.open, v.read, v.check} {
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("page %d: %v, want ErrCorrupt", page, err)
		}
	}
	if v.commit != nil && !errors.Is(v.commit, store.ErrCorrupt) && !errors.Is(v.commit, store.ErrBroken) {
		t.Errorf("page %d: commit: %v", page, v.commit)
	}
	if v.open == nil && v.check == nil && (missing > 0 || wrong > 0 || v.read != nil) {
		// The scattered file was set aside, which is no damage any more.
		if name == "values.scattered.db" && wrong == 0 && v.read == nil {
			return
		}
		t.Errorf("page %d: check found nothing, though %d rows are missing and %d wrong (%v)", page, missing, wrong, v.read)
	}
}

// TestBucketInTable: a row that turned into a nested bucket is neither absent
// nor empty.
func TestBucketInTable(t *testing.T) {
	files := sample(t, true)
	data := bytes.Clone(files["values.db"])
	for _, page := range pagesInUse(data) {
		if p := data[page*4096:]; p[8] == 2 { // a leaf
			first := p[16+int(binary.NativeEndian.Uint32(p[20:])):]
			if bytes.HasPrefix(first, make([]byte, 6)) { // of the table of cells
				p[16] ^= 1
			}
		}
	}
	v, missing, wrong := probe(t, map[string][]byte{"values.db": data, "values.scattered.db": files["values.scattered.db"]})
	if v.open != nil || !errors.Is(v.read, store.ErrCorrupt) || !errors.Is(v.check, store.ErrCorrupt) || missing+wrong > 0 {
		t.Errorf("%+v, %d rows missing, %d wrong", v, missing, wrong)
	}
}

// pagesInUse lists the pages with a branch or a leaf that carry their own
// number. Pages that were freed look the same; damage there has no effect.
func pagesInUse(data []byte) (ids []int) {
	const pageSize = 4096
	for id := 2; (id+1)*pageSize <= len(data); id++ {
		p := data[id*pageSize:]
		if flags := binary.NativeEndian.Uint16(p[8:]); (flags == 1 || flags == 2) && binary.NativeEndian.Uint64(p) == uint64(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestDamagedFile damages a values file as a whole.
func TestDamagedFile(t *testing.T) {
	files := sample(t, true)
	data := files["values.db"]
	tests := []struct {
		name   string
		damage func(b []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"one byte", func(b []byte) []byte { return b[:1] }},
		{"one page", func(b []byte) []byte { return b[:4096] }},
		{"meta pages only", func(b []byte) []byte { return b[:8192] }},
		{"half a page", func(b []byte) []byte { return b[:5*4096+100] }},
		{"not a file of bbolt", func(b []byte) []byte { return bytes.Repeat([]byte("garbage "), 10_000) }},
		{"both meta pages", func(b []byte) []byte { b[40]++; b[4096+40]++; return b }},
		{"all zero behind the meta pages", func(b []byte) []byte { clear(b[8192:]); return b }},
		{"free list names a page in use", func(b []byte) []byte {
			// In order, so that only its use speaks against it.
			list := b[freelistOf(b)*4096+16:]
			at := func(i int) uint64 { return binary.NativeEndian.Uint64(list[8*i:]) }
			for i := 1; ; i++ {
				if at(i)+1 < at(i+1) {
					binary.NativeEndian.PutUint64(list[8*i:], at(i)+1)
					return b
				}
			}
		}},
		{"free list too long", func(b []byte) []byte {
			binary.NativeEndian.PutUint16(b[freelistOf(b)*4096+10:], 0xFFFE)
			return b
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with := map[string][]byte{"values.db": tt.damage(bytes.Clone(data)), "values.scattered.db": files["values.scattered.db"]}
			if v, _, _ := probe(t, with); !errors.Is(v.open, store.ErrCorrupt) {
				t.Errorf("open: %v, want ErrCorrupt", v.open)
			}
		})
	}
	t.Run("one meta page", func(t *testing.T) {
		for _, at := range []int{40, 4096 + 40} {
			b := bytes.Clone(data)
			b[at]++
			v, _, wrong := probe(t, map[string][]byte{"values.db": b, "values.scattered.db": files["values.scattered.db"]})
			if v.open != nil && !errors.Is(v.open, store.ErrCorrupt) || wrong > 0 {
				t.Errorf("open: %v, %d wrong rows", v.open, wrong)
			}
		}
	})
}

// newestMeta returns the meta page bbolt would use.
func newestMeta(b []byte) []byte {
	m := b[16:]
	if other := b[4096+16:]; binary.NativeEndian.Uint64(other[48:]) > binary.NativeEndian.Uint64(m[48:]) {
		m = other
	}
	return m
}

func freelistOf(b []byte) int { return int(binary.NativeEndian.Uint64(newestMeta(b)[32:])) }
