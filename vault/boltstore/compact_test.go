package boltstore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	o.Seal, o.MergeRows = keepingSealer{o.Seal, new(sync.Mutex), &sealed}, 50
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

// TestCompactIsLocked: at no step may another process have the store.
func TestCompactIsLocked(t *testing.T) {
	o := options(t, t.TempDir())
	s := openChecked(t, o)
	fill(t, s, 20)
	var seen []string
	s.OnStep(func(name string) {
		seen = append(seen, name)
		if _, err := boltstore.Open(o); !errors.Is(err, store.ErrLocked) {
			t.Errorf("open at the step %q: %v, want ErrLocked", name, err)
		}
	})
	compact(t, s)
	if want := append(slices.Clone(boltstore.Steps), boltstore.Steps...); !slices.Equal(seen, want) {
		t.Errorf("steps %q, want %q", seen, want)
	}
	if _, err := boltstore.Open(o); !errors.Is(err, store.ErrLocked) {
		t.Errorf("open after it: %v, want ErrLocked", err)
	}
	if got := count(t, s, 20); got != 20 {
		t.Errorf("%d rows, want 20", got)
	}
}

// TestCompactEnds: a Compact that is cancelled, or whose store is closed, at
// any step leaves the old or the new file and no other.
func TestCompactEnds(t *testing.T) {
	for _, how := range []string{"cancelled", "closed", "reset"} {
		for _, step := range boltstore.Steps {
			for _, file := range []int{1, 2} {
				t.Run(how+" when "+step+map[int]string{1: ", scattered", 2: ", values"}[file], func(t *testing.T) {
					endCompact(t, how, step, file)
				})
			}
		}
	}
}

func endCompact(t *testing.T, how, step string, file int) {
	o := options(t, t.TempDir())
	s := open(t, o)
	fill(t, s, 30)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var others sync.WaitGroup
	seen := 0
	s.OnStep(func(name string) {
		if name != step {
			return
		}
		if seen++; seen != file {
			return
		}
		switch how {
		case "cancelled":
			cancel()
		case "closed":
			others.Go(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			for { // until the close has begun
				n, err := s.Snapshot(t.Context())
				if errors.Is(err, store.ErrClosed) {
					break
				}
				if err == nil {
					err = n.Close()
				}
				if err != nil {
					t.Errorf("snapshot: %v", err)
					break
				}
			}
		case "reset":
			others.Go(func() {
				if err := s.ResetScattered(t.Context()); err != nil {
					t.Errorf("reset: %v", err)
				}
			})
			if step == "created" || step == "copied" { // no lock is held
				others.Wait()
			}
		}
	})
	_, _, err := s.Compact(ctx)
	others.Wait()
	if seen == 0 {
		t.Fatal("the step was not met")
	}
	late := slices.Index(boltstore.Steps, step) >= 2 && file == 2
	switch {
	case how == "reset", late:
		if err != nil {
			t.Errorf("compact: %v", err)
		}
	case how == "cancelled" && !errors.Is(err, context.Canceled), how == "closed" && !errors.Is(err, store.ErrClosed):
		t.Errorf("compact: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(o.Path))
	if err != nil || len(entries) != 2 {
		t.Errorf("files %v, %v, want two", entries, err)
	}
	s = openChecked(t, o)
	want := 30
	if how == "reset" {
		want = 0
	}
	if got := count(t, s, 30); got != want {
		t.Errorf("%d scattered rows, want %d", got, want)
	}
	if page, err := s.Scan(t.Context(), storetest.Cells, nil, nil, 100); err != nil || len(page) != 30 {
		t.Errorf("%d ordered rows, %v, want 30", len(page), err)
	}
}

// TestCompactRefusesDamage: a copy of a damaged file would look sound.
func TestCompactRefusesDamage(t *testing.T) {
	files := sample(t, true)
	for name, data := range files {
		o := options(t, t.TempDir())
		dir := filepath.Dir(o.Path)
		with := map[string][]byte{"values.db": files["values.db"], "values.scattered.db": files["values.scattered.db"]}
		damaged := bytes.Clone(data)
		for _, page := range pagesInUse(data) {
			if damaged[page*4096+8] == 2 && damaged[page*4096+10] > 20 {
				damaged[page*4096+10]-- // the last row of a leaf is gone
				break
			}
		}
		with[name] = damaged
		for n, b := range with {
			if err := os.WriteFile(filepath.Join(dir, n), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, o)
		if _, _, err := s.Compact(t.Context()); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
		if err := s.Healthy(); err != nil {
			t.Errorf("%s: the store refuses commits: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
			t.Errorf("%s: files %v, %v", name, entries, err)
		}
	}
}

// TestCompactThroughLink: the copy takes the place of the file, not of a link
// to it.
func TestCompactThroughLink(t *testing.T) {
	o := options(t, t.TempDir())
	real := t.TempDir()
	for _, name := range []string{"values.db", "values.scattered.db"} {
		if err := os.Symlink(filepath.Join(real, name), filepath.Join(filepath.Dir(o.Path), name)); err != nil {
			t.Fatal(err)
		}
	}
	direct := o
	direct.Path = filepath.Join(real, "values.db")
	if err := open(t, direct).Close(); err != nil {
		t.Fatal(err)
	}
	s := openChecked(t, o)
	if err := commit(t.Context(), s, func(b *store.Batch) { b.Put(storetest.Cells, []byte("k"), []byte("canary")) }); err != nil {
		t.Fatal(err)
	}
	if err := commit(t.Context(), s, func(b *store.Batch) { b.Delete(storetest.Cells, []byte("k")) }); err != nil {
		t.Fatal(err)
	}
	if len(holding(contents(t, real), []byte("canary"))) == 0 {
		t.Fatal("nothing would have to go")
	}
	compact(t, s)
	if names := holding(contents(t, real), []byte("canary")); names != nil {
		t.Errorf("left in %v", names)
	}
	for _, name := range []string{"values.db", "values.scattered.db"} {
		if _, err := os.Readlink(filepath.Join(filepath.Dir(o.Path), name)); err != nil {
			t.Errorf("the link is gone: %v", err)
		}
	}
}

// TestCopyLeftBehind: what a crash left of a copy is removed by the next
// start.
func TestCopyLeftBehind(t *testing.T) {
	o := options(t, t.TempDir())
	s := open(t, o)
	fill(t, s, 5)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{o.Path, scatteredFile(o)} {
		if err := os.WriteFile(path+".compact", []byte("left behind"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = openChecked(t, o)
	if names := holding(contents(t, filepath.Dir(o.Path)), []byte("left behind")); names != nil {
		t.Errorf("%v are still there", names)
	}
	compact(t, s)
	if got := count(t, s, 5); got != 5 {
		t.Errorf("%d rows, want 5", got)
	}
}

// agingSealer puts the number of its key before what it seals.
type agingSealer struct {
	boltstore.Sealer
	mu  *sync.Mutex
	age *byte
}

func (s agingSealer) Seal(dst, plaintext, ad []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Sealer.Seal(append(dst, strings.Repeat(string(rune('a'+*s.age)), 16)...), plaintext, ad)
}

func (s agingSealer) Open(dst, ciphertext, ad []byte) ([]byte, error) {
	if len(ciphertext) < 16 {
		return nil, errors.New("too short")
	}
	return s.Sealer.Open(dst, ciphertext[16:], ad)
}

// TestSealerAges: the sealer changes its key while callers commit; a Drain
// removes all that the key before had sealed.
func TestSealerAges(t *testing.T) {
	o := options(t, t.TempDir())
	aging := agingSealer{o.Seal, new(sync.Mutex), new(byte)}
	o.Seal = aging
	s := open(t, o)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := commit(t.Context(), s, func(b *store.Batch) { b.Put(storetest.Lookup, hashed(g, n), be64(n)) }); err != nil {
					t.Errorf("commit: %v", err)
					return
				}
			}
		})
	}
	for range 5 {
		aging.mu.Lock()
		*aging.age++
		old := strings.Repeat(string(rune('a'+*aging.age-1)), 16)
		aging.mu.Unlock()
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := s.EachPending(func(sealed []byte) {
			if bytes.HasPrefix(sealed, []byte(old)) {
				t.Error("an entry under the key before is left")
			}
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stop()
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, o).Close(); err != nil { // opens what is pending
		t.Fatal(err)
	}
}
