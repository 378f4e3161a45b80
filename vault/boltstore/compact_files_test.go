package boltstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

// TestCompactRefusesDamage: a copy of a damaged file would look sound.
func TestCompactRefusesDamage(t *testing.T) {
	files := sample(t, true)
	for name, data := range files {
		o := options(t, t.TempDir())
		dir := filepath.Dir(o.Path)
		with := map[string][]byte{"values.db": files["values.db"], "values.scattered.db": files["values.scattered.db"]}
		damaged := bytes.Clone(data)
		for _, page := range pagesInUse(data) { // all, since some were freed
			if damaged[page*4096+8] == 2 && damaged[page*4096+10] > 20 {
				damaged[page*4096+10]-- // the last row of a leaf is gone
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
