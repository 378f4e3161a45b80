package tree_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/note"
)

// hashTiles reads the hash tiles.
func hashTiles(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for path := range files(t, dir) {
		if match, _ := filepath.Match("tile/[0-9]*/*", path); match {
			out[path] = string(read(t, dir, path))
		}
	}
	return out
}

// prunedTree publishes a log of size entries, takes those before first away,
// bundles included, and returns both.
func prunedTree(t testing.TB, size int, first uint64) (dir string, m *memory) {
	t.Helper()
	dir, m = newDir(t), logOf(size)
	publish(t, dir, m)
	if first > 0 {
		announce(t, dir, first)
	}
	m.prune(first)
	p, err := start(t, dir, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

// TestPrunedTreeGrows holds that a tree goes on over a pruned log as it would
// over the whole one.
func TestPrunedTreeGrows(t *testing.T) {
	for _, first := range []uint64{0, 1, 255, 256, 257, 700, 768} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			dir, m := prunedTree(t, 900, first)
			m.grow(400)
			publish(t, dir, m)
			whole := newDir(t)
			publish(t, whole, logOf(1300))
			if !maps.Equal(hashTiles(t, dir), hashTiles(t, whole)) {
				t.Error("the hash tiles are not those of the whole log")
			}
			got := files(t, dir)
			for n := range uint64(1300 / tree.BundleSize) {
				if path := fmt.Sprintf("tile/entries/%03d", n); got[path] != ((n+1)*tree.BundleSize > first) {
					t.Errorf("%s is there: %t", path, got[path])
				}
			}
			report, err := tree.Check(t.Context(), dir, m, []note.Verifier{verifier(t, seedKey(1))}, nil)
			if err != nil || report.Pruned != first || report.Entries != 1300 {
				t.Errorf("report %+v, error %v", report, err)
			}
		})
	}
}

// TestPrunedTreeIsMended damages what can be made again without the entries
// that are gone.
func TestPrunedTreeIsMended(t *testing.T) {
	const size, first = 900, 300
	for _, path := range []string{"tile/0/003.p/132", "tile/entries/003.p/132", "tile/1/000.p/3", "tile/entries/001"} {
		t.Run(path, func(t *testing.T) {
			dir, m := prunedTree(t, size, first)
			good := hashTiles(t, dir)
			write(t, dir, path, []byte("damaged"))
			if bad := (*tree.TileError)(nil); !errors.As(check(t, dir, m, nil), &bad) || bad.Path != path {
				t.Errorf("found %v", bad)
			}
			if path == "tile/entries/001" { // it is noticed only when the tree is made again
				write(t, dir, "tile/1/000.p/3", nil)
			}
			publish(t, dir, m)
			if err := check(t, dir, m, nil); err != nil {
				t.Errorf("after a start: %v", err)
			}
			if !maps.Equal(hashTiles(t, dir), good) {
				t.Error("the hash tiles are not as they were")
			}
		})
	}
}

// TestPrunedHashesAreNotMadeUp damages a hash tile of entries that are gone.
// It is named, and nothing is built on it.
func TestPrunedHashesAreNotMadeUp(t *testing.T) {
	for what, damage := range map[string]func(path string) error{
		"missing": os.Remove,
		"short":   func(path string) error { return os.Truncate(path, 32) },
		"flipped": func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[77] ^= 1
			return os.WriteFile(path, data, 0o600)
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir, m := prunedTree(t, 900, 600)
			if err := damage(filepath.Join(dir, "tile/0/001")); err != nil {
				t.Fatal(err)
			}
			write(t, dir, "tile/entries/003.p/132", nil) // has the tree made again
			left := hashTiles(t, dir)
			bad := (*tree.TileError)(nil)
			if err := check(t, dir, m, nil); !errors.As(err, &bad) || bad.Path != "tile/0/001" {
				t.Errorf("check found %v", err)
			}
			if _, err := start(t, dir, m); !errors.As(err, &bad) || bad.Path != "tile/0/001" {
				t.Errorf("start found %v", err)
			}
			if !maps.Equal(hashTiles(t, dir), left) {
				t.Error("hash tiles were written")
			}
		})
	}
}

// TestPrunedPastTheCheckpoint takes away what no checkpoint has covered in a
// full bundle.
func TestPrunedPastTheCheckpoint(t *testing.T) {
	dir, m := newDir(t), logOf(600)
	publish(t, dir, m)
	for _, first := range []uint64{513, 600} {
		m.prune(first)
		bad := (*tree.EntryError)(nil)
		if err := check(t, dir, m, nil); !errors.As(err, &bad) || bad.Index != 512 {
			t.Errorf("first %d: check found %v", first, err)
		}
		if _, err := start(t, dir, m); !errors.As(err, &bad) || bad.Index != 512 {
			t.Errorf("first %d: start found %v", first, err)
		}
	}
}

// TestEarlierCheckpointOfPruned holds a checkpoint that covers nothing but
// entries that are gone against the tree.
func TestEarlierCheckpointOfPruned(t *testing.T) {
	dir, m := newDir(t), logOf(100)
	earlier := publish(t, dir, m)
	m.grow(800)
	publish(t, dir, m)
	announce(t, dir, 700)
	m.prune(700)
	if err := check(t, dir, m, earlier.Signed); err != nil {
		t.Errorf("with the true one: %v", err)
	}
	other := logOf(100)
	other.set(append(other.all()[:99], []byte("x")))
	bad := (*tree.CheckpointError)(nil)
	if err := check(t, dir, m, publish(t, newDir(t), other).Signed); !errors.As(err, &bad) || !bad.Earlier {
		t.Errorf("with another one: %v", err)
	}
}

// TestPruneRemovesBundlesOnly calls Prune over files of every kind, also in
// folders of a long log.
func TestPruneRemovesBundlesOnly(t *testing.T) {
	dir := newDir(t)
	p, err := start(t, dir, logOf(0))
	if err != nil {
		t.Fatal(err)
	}
	gone := []string{"tile/entries/000", "tile/entries/017", "tile/entries/x001/000", "tile/entries/x001/999", "tile/entries/x002/003"}
	stay := []string{
		"tile/0/000", "tile/0/x001/000", "tile/1/000", "tile/entries/x002/004", "tile/entries/x002/005", "tile/entries/x001/x000/000",
		"tile/entries/003.p/7", "tile/entries/0001", "tile/entries/x000/001", "tile/entries/x1/002", "tile/entries/note",
	}
	for _, path := range append(gone, stay...) {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, dir, path, nil)
	}
	if err := p.Prune(t.Context(), 2004*tree.BundleSize+tree.BundleSize-1); err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	for _, path := range gone {
		if got[path] {
			t.Errorf("%s is there", path)
		}
	}
	for _, path := range stay {
		if !got[path] {
			t.Errorf("%s is gone", path)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Prune(ctx, 3000*tree.BundleSize); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCover(t *testing.T) {
	dir := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		m := logOf(0)
		p, err := start(t, dir, m)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m.grow(5)
		if err := p.Cover(t.Context(), 5); err != nil || p.Last().Size != 5 { // the clock stands still
			t.Errorf("covers %d, error %v", p.Last().Size, err)
		}
		if err := p.Cover(t.Context(), 6); !errors.Is(err, tree.ErrRange) {
			t.Errorf("more than there is: %v", err)
		}
		m.grow(1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Cover(ctx, 5); err != nil {
			t.Errorf("what is covered, with a context that has ended: %v", err)
		}
		blocked := filepath.Join(dir, "tile", "0", "000.p", "7")
		if err := os.MkdirAll(filepath.Join(blocked, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		m.grow(1)
		if err := p.Cover(t.Context(), 7); err == nil || p.Err() == nil {
			t.Errorf("on a disk that refuses: %v", err)
		}
		if err := os.RemoveAll(blocked); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if err := p.Cover(t.Context(), 7); err != nil {
			t.Errorf("what Close covered: %v", err)
		}
		m.grow(1)
		if err := p.Cover(t.Context(), 8); !errors.Is(err, tree.ErrRange) {
			t.Errorf("after Close: %v", err)
		}
	})
}
