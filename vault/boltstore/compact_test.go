package boltstore_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

func compact(t testing.TB, s *boltstore.Store) {
	t.Helper()
	if _, _, err := s.Compact(context.Background()); err != nil {
		t.Fatalf("compact: %v", err)
	}
}

// contents reads all files of a directory.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// holding lists the files that hold some bytes.
func holding(files map[string][]byte, b []byte) (names []string) {
	for name, content := range files {
		if bytes.Contains(content, b) {
			names = append(names, name)
		}
	}
	return names
}

// keepingSealer remembers all it sealed.
type keepingSealer struct {
	boltstore.Sealer
	mu  *sync.Mutex
	all *[][]byte
}

func (s keepingSealer) Seal(dst, plaintext, ad []byte) []byte {
	sealed := s.Sealer.Seal(dst, plaintext, ad)
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.all = append(*s.all, bytes.Clone(sealed))
	return sealed
}

// TestNothingLeft: after a Compact no file holds a value that was deleted or
// overwritten, nor a sealed entry of the pending log that did.
func TestNothingLeft(t *testing.T) {
	o := options(t, t.TempDir())
	dir := filepath.Dir(o.Path)
	var sealed [][]byte
	o.Seal, o.MergeRows = keepingSealer{o.Seal, new(sync.Mutex), &sealed}, 100_000
	s := openChecked(t, o)
	const n = 300
	canary := func(word string, i int) []byte { return append([]byte("canary-"+word+"-"), hashed(0, i)...) }
	put := func(word string) {
		for i := 0; i < n; i += 20 {
			err := commit(t.Context(), s, func(b *store.Batch) {
				for j := i; j < i+20; j++ {
					b.Put(storetest.Cells, be64(j), canary(word, j))
					b.Put(storetest.Lookup, hashed(1, j), canary(word, j))
					b.Put(storetest.Postings, canary("key", j), nil)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	put("old")
	if err := s.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	put("new")
	for i := range n {
		err := commit(t.Context(), s, func(b *store.Batch) {
			b.Delete(storetest.Postings, canary("key", i))
			if i%2 == 0 {
				b.Delete(storetest.Cells, be64(i))
				b.Delete(storetest.Lookup, hashed(1, i))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, del := range []bool{false, true} { // many at once, so that few of their pages are used again
		err := commit(t.Context(), s, func(b *store.Batch) {
			for i := range 10 * n {
				for _, k := range []store.Key{{Table: storetest.Cells, Key: be64(n + i)}, {Table: storetest.Lookup, Key: hashed(2, i)}} {
					if del {
						b.Delete(k.Table, k.Key)
					} else {
						b.Put(k.Table, k.Key, canary("old", i))
					}
				}
			}
		})
		if err == nil && !del {
			err = s.Merge(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	files := contents(t, dir)
	clear, inLog := holding(files, []byte("canary-old-")), holding(files, sealed[len(sealed)-1])
	if len(clear) < 2 || len(inLog) == 0 {
		t.Fatalf("there is too little that has to go: %v, %v", clear, inLog)
	}
	compact(t, s)
	files = contents(t, dir)
	for _, word := range []string{"canary-old-", "canary-key-"} {
		if names := holding(files, []byte(word)); names != nil {
			t.Errorf("%q is left in %v", word, names)
		}
	}
	for i := range n {
		if names := holding(files, canary("new", i)); (len(names) > 0) != (i%2 == 1) {
			t.Fatalf("value %d is in %v", i, names)
		}
	}
	for i, e := range sealed {
		if names := holding(files, e); names != nil {
			t.Fatalf("entry %d of the pending log is left in %v", i, names)
		}
	}
}

// TestCompactDuringCommits compacts again and again, in small steps, while
// callers commit and read and the merger works.
func TestCompactDuringCommits(t *testing.T) {
	o, err := crashOptions(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, o)
	s.SetCopyRows(50)
	const batches = 120
	var writers, others sync.WaitGroup
	for g := range crashWriters {
		writers.Go(func() {
			for n := 1; n <= batches; n++ {
				if err := commit(t.Context(), s, func(b *store.Batch) { crashBatch(b, g, n) }); err != nil {
					t.Errorf("writer %d, batch %d: %v", g, n, err)
					return
				}
				var rows store.Rows
				keys := []store.Key{{Table: storetest.Ledger, Key: be64(g)}, {Table: storetest.Lookup, Key: be64(g)},
					{Table: storetest.Lookup, Key: hashed(g, n)}, {Table: storetest.Postings, Key: hashed(g, n)}}
				if err := s.Get(t.Context(), keys, &rows); err != nil {
					t.Errorf("get: %v", err)
					return
				}
				for i := range keys {
					if v, _ := rows.Value(i); !bytes.Equal(v, be64(n)) {
						t.Errorf("writer %d reads %x in table %d, want %d", g, v, keys[i].Table, n)
						return
					}
				}
				if err := s.Get(t.Context(), keys[:1], &rows); err != nil { // no scattered key
					t.Errorf("get: %v", err)
				} else if v, _ := rows.Value(0); !bytes.Equal(v, be64(n)) {
					t.Errorf("writer %d reads %x, want %d", g, v, n)
				}
			}
		})
	}
	stop := make(chan struct{})
	rounds := 0
	others.Go(func() {
		for ; ; rounds++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, err := s.Compact(t.Context()); err != nil {
				t.Errorf("compact: %v", err)
				return
			}
		}
	})
	writers.Wait()
	close(stop)
	others.Wait()
	t.Logf("%d compactions", rounds)
	var acked [crashWriters]int
	for g := range acked {
		acked[g] = batches
		checkWriter(t, s, g, batches)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkCrashed(t, filepath.Dir(o.Path), &acked)
}

// TestSnapshotOutlivesCompact: a snapshot goes on reading the file that was
// replaced, which is closed with it.
func TestSnapshotOutlivesCompact(t *testing.T) {
	o := options(t, t.TempDir())
	s := open(t, o)
	fill(t, s, 40)
	first, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone := o.Path + " (deleted)"
	for range 2 {
		compact(t, s)
		if n := len(openAs(t, gone)); n != 1 {
			t.Errorf("%d files without a name are open, want that of the snapshot", n)
		}
		if err := commit(t.Context(), s, func(b *store.Batch) { b.Delete(storetest.Cells, be64(3)) }); err != nil {
			t.Fatal(err)
		}
	}
	rows := 0
	err = first.Each(t.Context(), storetest.Cells, func(key, value []byte) error {
		if !bytes.Equal(key, value) {
			t.Errorf("row %x reads %x", key, value)
		}
		rows++
		return nil
	})
	if err != nil || rows != 40 {
		t.Errorf("%d rows, %v, want 40", rows, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	compact(t, s) // waits for the files that it replaces, not for that one
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(openAs(t, gone)) + len(openAs(t, o.Path)); n != 0 {
		t.Errorf("%d files are open after Close", n)
	}
}

// TestChangedWhileReading changes rows just after a step of the copy has
// begun to read: before, at and behind the place where it is.
func TestChangedWhileReading(t *testing.T) {
	s := openChecked(t, options(t, t.TempDir()))
	s.SetCopyRows(10)
	const n = 100
	fill(t, s, n)
	round, files := 0, 0
	s.OnStep(func(name string) {
		switch {
		case name == "created":
			files++
		case name == "reading" && files == 3 && round < n/2: // created, copied, created
			err := commit(t.Context(), s, func(b *store.Batch) {
				for _, i := range []int{round, n/2 + round} {
					if i%3 == 0 {
						b.Delete(storetest.Cells, be64(i))
					} else {
						b.Put(storetest.Cells, be64(i), []byte("changed"))
					}
				}
			})
			if err != nil {
				t.Errorf("commit: %v", err)
			}
			round++
		case name == "copied":
			files++ // the last step holds the writers
		}
	})
	compact(t, s)
	if round == 0 {
		t.Fatal("nothing was changed")
	}
	for i := range n {
		var rows store.Rows
		if err := s.Get(t.Context(), []store.Key{{Table: storetest.Cells, Key: be64(i)}}, &rows); err != nil {
			t.Fatal(err)
		}
		v, ok := rows.Value(0)
		changed := i%(n/2) < round
		switch {
		case changed && i%3 == 0:
			if ok {
				t.Errorf("row %d is back", i)
			}
		case changed && string(v) != "changed", !changed && !bytes.Equal(v, be64(i)):
			t.Errorf("row %d reads %x", i, v)
		}
	}
}
