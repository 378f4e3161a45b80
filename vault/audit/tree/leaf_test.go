package tree_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/tlog"
)

// TestLeaves reads the hashes of whole bundles, of entries that are there and
// of those that are gone.
func TestLeaves(t *testing.T) {
	dir, m := prunedTree(t, 900, 300)
	r := tree.NewReader(dir, verifier(t, seedKey(1)))
	for bundle := range uint64(3) {
		leaves, err := r.Leaves(bundle)
		if err != nil || len(leaves) != tree.BundleSize {
			t.Fatalf("bundle %d: %d leaves, error %v", bundle, len(leaves), err)
		}
		for i, leaf := range leaves {
			if leaf != tlog.RecordHash(m.all()[int(bundle)*tree.BundleSize+i]) {
				t.Fatalf("another leaf at %d of bundle %d", i, bundle)
			}
		}
	}
	for _, bundle := range []uint64{3, 4, 1 << 60} {
		if _, err := r.Leaves(bundle); !errors.Is(err, tree.ErrRange) {
			t.Errorf("bundle %d: %v", bundle, err)
		}
	}
	good := read(t, dir, "tile/0/001")
	other := append([]byte(nil), good...)
	other[4] ^= 1
	bad := (*tree.TileError)(nil)
	for what, content := range map[string][]byte{"flipped": other, "short": good[:64], "empty": {}} {
		write(t, dir, "tile/0/001", content)
		if _, err := r.Leaves(1); !errors.As(err, &bad) || bad.Path != "tile/0/001" {
			t.Errorf("%s: %v", what, err)
		}
	}
	write(t, dir, "tile/0/001", good)
	above := read(t, dir, "tile/1/000.p/3")
	write(t, dir, "tile/1/000.p/3", append([]byte{above[0] ^ 1}, above[1:]...))
	if _, err := r.Leaves(0); !errors.As(err, &bad) || bad.Path != "tile/0/000" {
		t.Errorf("the tile above flipped: %v", err)
	}
	write(t, dir, "tile/1/000.p/3", above)
	if err := os.Remove(filepath.Join(dir, "tile/0/001")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Leaves(1); !errors.As(err, &bad) || bad.Path != "tile/0/001" {
		t.Errorf("missing: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "tile/0/001"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Leaves(1); err == nil || errors.Is(err, tree.ErrCorrupt) {
		t.Errorf("a disk that refuses: %v", err)
	}
	if _, err := tree.NewReader(newDir(t), verifier(t, seedKey(1))).Leaves(0); !errors.Is(err, tree.ErrNoCheckpoint) {
		t.Errorf("without a checkpoint: %v", err)
	}
}
