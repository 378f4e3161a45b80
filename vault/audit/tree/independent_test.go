package tree_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// outsider reads a tree with x/mod alone and the C2SP documents in hand. It
// shares no code with the package.
type outsider struct{ dir string }

func (outsider) Height() int                        { return 8 }
func (outsider) SaveTiles([]tlog.Tile, [][]byte)    {}
func (o outsider) file(path string) ([]byte, error) { return os.ReadFile(filepath.Join(o.dir, path)) }
func (o outsider) path(t tlog.Tile, what string) string {
	// x/mod has tile/8/<L>/…, C2SP has tile/<L>/….
	_, rest, _ := strings.Cut(strings.TrimPrefix(t.Path(), "tile/8/"), "/")
	return "tile/" + what + "/" + rest
}

func (o outsider) ReadTiles(list []tlog.Tile) (out [][]byte, err error) {
	for _, t := range list {
		data, err := o.file(o.path(t, strconv.Itoa(t.L)))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

// checkpoint opens the checkpoint by its vkey file.
func (o outsider) checkpoint() (tlog.Tree, error) {
	vkey, err := o.file("vkey")
	if err != nil {
		return tlog.Tree{}, err
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := o.file("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != v.Name() || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("checkpoint %q", n.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, err
}

// entries reads all bundles.
func (o outsider) entries(size int64) (out [][]byte, err error) {
	for n := int64(0); n*256 < size; n++ {
		t := tlog.Tile{H: 8, L: 0, N: n, W: int(min(256, size-n*256))}
		data, err := o.file(o.path(t, "entries"))
		if err != nil {
			return nil, err
		}
		for range t.W {
			end := 2 + int(binary.BigEndian.Uint16(data))
			out, data = append(out, data[2:end]), data[end:]
		}
		if len(data) > 0 {
			return nil, fmt.Errorf("bundle %d has bytes left over", n)
		}
	}
	return out, nil
}

// TestOutsiderAccepts grows a tree in steps, and verifies at each with public
// code only: every entry's inclusion by our proofs and by the tiles, and that
// the tree goes on from all earlier ones.
func TestOutsiderAccepts(t *testing.T) {
	dir, m := newDir(t), logOf(0)
	o, ours := outsider{dir}, tree.NewReader(dir, verifier(t, seedKey(1)))
	var earlier []tlog.Tree
	for _, size := range []int{1, 2, 255, 256, 257, 511, 512, 513, 700} {
		m.grow(size - int(m.Size()))
		publish(t, dir, m)
		cp, err := o.checkpoint()
		if err != nil {
			t.Fatal(err)
		}
		if cp.N != int64(size) {
			t.Fatalf("the checkpoint covers %d of %d entries", cp.N, size)
		}
		entries, err := o.entries(cp.N)
		if err != nil {
			t.Fatal(err)
		}
		tiles := tlog.TileHashReader(cp, o)
		for i, raw := range entries {
			if string(raw) != fmt.Sprintf("entry %d", i) {
				t.Fatalf("entry %d is %q", i, raw)
			}
			theirs, err := tlog.ProveRecord(cp.N, int64(i), tiles)
			if err != nil {
				t.Fatal(err)
			}
			mine, err := ours.Inclusion(uint64(i), uint64(cp.N))
			if err != nil {
				t.Fatal(err)
			}
			for whose, proof := range map[string]tlog.RecordProof{"their": theirs, "our": mine} {
				if err := tlog.CheckRecord(proof, cp.N, cp.Hash, int64(i), tlog.RecordHash(raw)); err != nil {
					t.Fatalf("size %d: %s proof of entry %d: %v", size, whose, i, err)
				}
			}
		}
		for _, e := range earlier {
			proof, err := ours.Consistency(uint64(e.N), uint64(cp.N))
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(proof, cp.N, cp.Hash, e.N, e.Hash); err != nil {
				t.Fatalf("from %d to %d: %v", e.N, cp.N, err)
			}
			if root, err := ours.Root(uint64(e.N)); err != nil || root != e.Hash {
				t.Fatalf("root at %d of %d: %v", e.N, cp.N, err)
			}
		}
		earlier = append(earlier, cp)
	}
}

// TestLargeTree reaches three levels of tiles: 65536 entries fill one of
// level 1.
func TestLargeTree(t *testing.T) {
	dir, m := newDir(t), logOf(65536+257)
	publish(t, dir, m)
	o := outsider{dir}
	cp, err := o.checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	tiles := tlog.TileHashReader(cp, o)
	for _, i := range []int64{0, 255, 256, 65535, 65536, 65792} {
		proof, err := tlog.ProveRecord(cp.N, i, tiles)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(proof, cp.N, cp.Hash, i, tlog.RecordHash(fmt.Appendf(nil, "entry %d", i))); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	for path, want := range map[string]bool{"tile/1/000": true, "tile/2/000.p/1": true, "tile/0/257.p/1": true, "tile/0/256.p/1": false, "tile/0/257": false} {
		if got := files(t, dir)[path]; got != want {
			t.Errorf("%s is there: %t", path, got)
		}
	}
	if err := check(t, dir, m, nil); err != nil {
		t.Error(err)
	}
	publish(t, dir, m) // goes on from the tiles
}
