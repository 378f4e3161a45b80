package tree_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// forge signs a checkpoint of any root.
func forge(t *testing.T, k seedKey, name string, size int, root tlog.Hash) []byte {
	t.Helper()
	return sign(t, k, name, fmt.Sprintf("%s\n%d\n%s\n", origin, size, root))
}

// TestCheckNamesEntries changes the log in every way, and wants the first bad
// entry.
func TestCheckNamesEntries(t *testing.T) {
	const size = 600
	tests := []struct {
		name   string
		change func(e [][]byte) [][]byte
		want   uint64
	}{
		{"the first is changed", func(e [][]byte) [][]byte { e[0] = []byte("x"); return e }, 0},
		{"one is changed", func(e [][]byte) [][]byte { e[300] = []byte("x"); return e }, 300},
		{"one of the last tile is changed", func(e [][]byte) [][]byte { e[599] = []byte("x"); return e }, 599},
		{"the last of a tile is changed", func(e [][]byte) [][]byte { e[255] = []byte("x"); return e }, 255},
		{"one is removed", func(e [][]byte) [][]byte { return slices.Delete(e, 257, 258) }, 257},
		{"one is put in", func(e [][]byte) [][]byte { return slices.Insert(e, 40, []byte("x")) }, 40},
		{"two are swapped", func(e [][]byte) [][]byte { e[100], e[500] = e[500], e[100]; return e }, 100},
		{"the last is cut off", func(e [][]byte) [][]byte { return e[:599] }, 599},
		{"all is cut off", func(e [][]byte) [][]byte { return nil }, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, m := newDir(t), logOf(size)
			publish(t, dir, m)
			m.set(test.change(m.all()))
			err := check(t, dir, m, nil)
			if bad := (*tree.EntryError)(nil); !errors.As(err, &bad) || bad.Index != test.want || !errors.Is(err, tree.ErrCorrupt) {
				t.Errorf("found %v, want entry %d", err, test.want)
			}
			// A Publisher must not go on from there either.
			if p, err := start(t, dir, m); err == nil {
				_ = p.Close()
				t.Error("a publisher starts on it")
			} else if bad := (*tree.EntryError)(nil); !errors.As(err, &bad) || bad.Index != test.want {
				t.Errorf("start found %v, want entry %d", err, test.want)
			}
		})
	}
}

// TestCheckNamesTiles flips a bit of every file of the tree, cuts it, and
// takes it away; the file must be named, and a Publisher must mend it.
func TestCheckNamesTiles(t *testing.T) {
	dir, m := newDir(t), logOf(600)
	publish(t, dir, m)
	whole := files(t, dir)
	delete(whole, "checkpoint")
	delete(whole, "vkey")
	delete(whole, "vkeys")
	if len(whole) != 3+3+1 {
		t.Fatalf("the tree has the files %v", whole)
	}
	damages := map[string]func(path string, data []byte) error{
		"a flipped bit": func(path string, data []byte) error {
			data[len(data)/2] ^= 1
			return os.WriteFile(path, data, 0o600)
		},
		"cut short":  func(path string, data []byte) error { return os.WriteFile(path, data[:len(data)-1], 0o600) },
		"taken away": func(path string, _ []byte) error { return os.Remove(path) },
	}
	for path := range whole {
		for name, damage := range damages {
			good := read(t, dir, path)
			if err := damage(filepath.Join(dir, path), slices.Clone(good)); err != nil {
				t.Fatal(err)
			}
			err := check(t, dir, m, nil)
			if bad := (*tree.TileError)(nil); !errors.As(err, &bad) || bad.Path != path {
				t.Errorf("%s, %s: found %v", path, name, err)
			}
			write(t, dir, path, good)
		}
	}
	// What a Publisher goes on from, it mends.
	for _, path := range []string{"tile/0/002.p/88", "tile/entries/002.p/88", "tile/1/000.p/2", "tile/0/001"} {
		if err := os.Remove(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
		publish(t, dir, m)
		if err := check(t, dir, m, nil); err != nil {
			t.Errorf("after %s was mended: %v", path, err)
		}
	}
}

// TestDamagedTileAndEntry damages both: the entry is named, with the tile.
func TestDamagedTileAndEntry(t *testing.T) {
	dir, m := newDir(t), logOf(600)
	publish(t, dir, m)
	tileData := read(t, dir, "tile/0/001")
	tileData[0] ^= 1
	write(t, dir, "tile/0/001", tileData)
	entries := m.all()
	entries[256] = []byte("x")
	m.set(entries)
	err := check(t, dir, m, nil)
	if bad := (*tree.EntryError)(nil); !errors.As(err, &bad) || bad.Index != 256 || !bytes.Contains([]byte(err.Error()), []byte("tile/")) {
		t.Errorf("found %v", err)
	}
	before := read(t, dir, "tile/0/001")
	if p, err := start(t, dir, m); err == nil {
		_ = p.Close()
		t.Error("a publisher starts on it")
	}
	if !bytes.Equal(before, read(t, dir, "tile/0/001")) {
		t.Error("the refused publisher changed the evidence")
	}
}

func TestForgedCheckpoints(t *testing.T) {
	const size = 300
	dir, m := newDir(t), logOf(size)
	cp := publish(t, dir, m)
	otherOrigin, err := note.Sign(&note.Note{Text: fmt.Sprintf("cloakroom.vault/other\n%d\n%s\n", size, cp.Root)}, signer(t, seedKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		signed []byte
	}{
		{"the right key for another log", otherOrigin},
		{"another key under the same name", forge(t, 2, origin, size, cp.Root)},
		{"another name", forge(t, 1, "cloakroom.vault/other", size, cp.Root)},
		{"the right key over another root", forge(t, 1, origin, size, tlog.Hash{1})},
		{"the right key over a smaller size", forge(t, 1, origin, 256, cp.Root)},
		{"another size in the text", bytes.Replace(cp.Signed, []byte("\n300\n"), []byte("\n299\n"), 1)},
		{"nothing signed", []byte("hello\n")},
		{"empty", []byte{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			write(t, dir, "checkpoint", test.signed)
			if bad, err := (*tree.CheckpointError)(nil), check(t, dir, m, nil); !errors.As(err, &bad) || bad.Earlier {
				t.Errorf("found %v", err)
			}
			if p, err := start(t, dir, m); err == nil {
				_ = p.Close()
				t.Error("a publisher goes on from it")
			}
			if got := read(t, dir, "checkpoint"); !bytes.Equal(got, test.signed) {
				t.Error("the evidence was changed")
			}
			// As the one seen earlier.
			write(t, dir, "checkpoint", cp.Signed)
			bad, err := (*tree.CheckpointError)(nil), check(t, dir, m, test.signed)
			if len(test.signed) > 0 && (!errors.As(err, &bad) || !bad.Earlier) {
				t.Errorf("as the one seen earlier: found %v", err)
			}
		})
	}
	if err := os.Remove(filepath.Join(dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	if err := check(t, dir, m, nil); !errors.Is(err, tree.ErrNoCheckpoint) {
		t.Errorf("without a checkpoint: %v", err)
	}
}

// TestSeenEarlier holds that only a checkpoint of this very log passes.
func TestSeenEarlier(t *testing.T) {
	dir, m := newDir(t), logOf(0)
	var all [][]byte
	for _, size := range []int{0, 1, 255, 256, 400} {
		m.grow(size - int(m.Size()))
		all = append(all, publish(t, dir, m).Signed)
	}
	for i, earlier := range all {
		if err := check(t, dir, m, earlier); err != nil {
			t.Errorf("checkpoint %d: %v", i, err)
		}
	}

	back := newDir(t)
	publish(t, back, logOf(300)) // as a copy made at 300 entries
	bad := (*tree.CheckpointError)(nil)
	if err := check(t, back, logOf(300), all[4]); !errors.As(err, &bad) || !bad.Earlier {
		t.Errorf("a log put back: found %v", err)
	}

	anew := newDir(t)
	other := logOf(400)
	entries := other.all()
	entries[254] = []byte("x")
	other.set(entries)
	publish(t, anew, other) // the key's holder writes the log anew
	for i, earlier := range all {
		err := check(t, anew, other, earlier)
		if forked := i >= 2; errors.As(err, &bad) != forked {
			t.Errorf("a log written anew, checkpoint %d: found %v", i, err)
		}
	}
}

func TestNothingIsChangedByChecking(t *testing.T) {
	dir, m := newDir(t), logOf(300)
	publish(t, dir, m)
	before := files(t, dir)
	m.grow(10) // not covered
	report, err := tree.Check(t.Context(), dir, m, []note.Verifier{verifier(t, seedKey(1))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.Entries != 310 || report.Checkpoint.Size != 300 || report.Tiles != 5 {
		t.Errorf("report %+v", report)
	}
	if after := files(t, dir); len(after) != len(before) {
		t.Errorf("files before %v, after %v", before, after)
	}
}
