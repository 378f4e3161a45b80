package tree_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/tlog"
)

// TestCadence holds that a checkpoint comes each second when something was
// written, none when nothing was, and one at the end.
func TestCadence(t *testing.T) {
	dir := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		m := logOf(0)
		p, err := start(t, dir, m)
		if err != nil {
			t.Fatal(err)
		}
		// want advances the clock and holds what was published by then.
		want := func(after time.Duration, size uint64) *tree.Checkpoint {
			t.Helper()
			if after > 0 {
				<-time.After(after)
			}
			synctest.Wait()
			cp := p.Last()
			if cp == nil || cp.Size != size {
				t.Fatalf("the checkpoint is %+v, want size %d", cp, size)
			}
			return cp
		}
		want(0, 0) // of the empty log, at once
		m.grow(3)
		want(999*time.Millisecond, 0)
		first := want(2*time.Millisecond, 3)
		if want(5*time.Second, 3) != first {
			t.Error("a checkpoint without a new entry")
		}
		m.grow(300)
		want(time.Second, 303)
		m.grow(1)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if p.Last().Size != 304 {
			t.Errorf("the last checkpoint covers %d of 304", p.Last().Size)
		}
		if err := p.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	})
}

// TestPartialsAreReplaced holds that partial tiles of the last two checkpoints
// are there and no others, and full ones stay as they are.
func TestPartialsAreReplaced(t *testing.T) {
	dir := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		m := logOf(10)
		p, err := start(t, dir, m)
		if err != nil {
			t.Fatal(err)
		}
		tick := func(grow int) {
			m.grow(grow)
			<-time.After(time.Second)
			synctest.Wait()
		}
		synctest.Wait()
		tick(10)
		got := files(t, dir)
		if !got["tile/0/000.p/10"] || !got["tile/0/000.p/20"] || !got["tile/entries/000.p/10"] {
			t.Errorf("after two: %v", got)
		}
		tick(10)
		if got := files(t, dir); got["tile/0/000.p/10"] || got["tile/entries/000.p/10"] || !got["tile/0/000.p/20"] || !got["tile/0/000.p/30"] {
			t.Errorf("after three: %v", got)
		}
		tick(230) // 260
		tick(1)
		tick(1)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{"checkpoint", "vkey", "vkeys", "tile/0/000", "tile/entries/000", "tile/1/000.p/1",
			"tile/0/001.p/5", "tile/entries/001.p/5", "tile/0/001.p/6", "tile/entries/001.p/6"}
		got = files(t, dir)
		for _, path := range want {
			if !got[path] {
				t.Errorf("%s is missing", path)
			}
		}
		if len(got) != len(want) {
			t.Errorf("files %v, want %v", got, want)
		}
	})
	// What a crash left is swept at the next start.
	write(t, dir, "tile/0/000.new", nil)
	if err := os.MkdirAll(filepath.Join(dir, "tile/0/000.p"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tile/0/000.p/17", nil)
	publish(t, dir, logOf(262))
	if got := files(t, dir); len(got) != 8 || got["tile/0/000.new"] || got["tile/0/000.p/17"] || got["tile/0/001.p/5"] {
		t.Errorf("after a start: %v", got)
	}
}

// TestCatchesUpAfterFaults makes the disk refuse, in the middle of publishing,
// and holds that the log is caught up with later, under an unbroken tree.
func TestCatchesUpAfterFaults(t *testing.T) {
	dir := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		m := logOf(100)
		p, err := start(t, dir, m)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := p.Last()
		// A folder stands where a full tile must be, which is found in the middle
		// of adding an entry.
		blocked := filepath.Join(dir, "tile/0/000")
		if err := os.MkdirAll(filepath.Join(blocked, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		m.grow(400)
		<-time.After(time.Second)
		synctest.Wait()
		if p.Err() == nil || p.Last().Size != 100 {
			t.Fatalf("error %v, last checkpoint of %d", p.Err(), p.Last().Size)
		}
		m.grow(400)
		if err := os.RemoveAll(blocked); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if p.Err() != nil || p.Last().Size != 900 {
			t.Fatalf("error %v, last checkpoint of %d", p.Err(), p.Last().Size)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := check(t, dir, m, before.Signed); err != nil {
			t.Error(err)
		}
	})
}

// TestRange holds the limits of proofs.
func TestRange(t *testing.T) {
	dir, m := newDir(t), logOf(5)
	r := tree.NewReader(dir, verifier(t, seedKey(1)))
	if _, err := r.Checkpoint(); !errors.Is(err, tree.ErrNoCheckpoint) {
		t.Errorf("before the first checkpoint: %v", err)
	}
	cp := publish(t, dir, m)
	for _, bad := range [][2]uint64{{5, 5}, {4, 6}, {0, 0}} {
		if _, err := r.Inclusion(bad[0], bad[1]); !errors.Is(err, tree.ErrRange) {
			t.Errorf("inclusion of %d in %d: %v", bad[0], bad[1], err)
		}
	}
	for _, bad := range [][2]uint64{{0, 5}, {4, 3}, {5, 6}} {
		if _, err := r.Consistency(bad[0], bad[1]); !errors.Is(err, tree.ErrRange) {
			t.Errorf("consistency of %d and %d: %v", bad[0], bad[1], err)
		}
	}
	proof, err := r.Consistency(5, 5)
	if err == nil {
		err = tlog.CheckTree(proof, 5, cp.Root, 5, cp.Root)
	}
	if err != nil {
		t.Errorf("a tree with itself: %v", err)
	}
}

// TestProofsFromDamagedTiles holds that nothing is proven from them.
func TestProofsFromDamagedTiles(t *testing.T) {
	dir, m := newDir(t), logOf(600)
	publish(t, dir, m)
	data := read(t, dir, "tile/0/000")
	data[32*7] ^= 1
	write(t, dir, "tile/0/000", data)
	r := tree.NewReader(dir, verifier(t, seedKey(1)))
	if _, err := r.Inclusion(9, 600); err == nil {
		t.Error("a proof from a damaged tile")
	}
	if _, err := r.Inclusion(300, 600); err != nil {
		t.Errorf("a proof that does not need it: %v", err)
	}
}

// TestWrongSigner holds that a vault with another key does not go on.
func TestWrongSigner(t *testing.T) {
	dir, m := newDir(t), logOf(5)
	publish(t, dir, m)
	_, err := tree.Start(t.Context(), dir, m, []*tree.Signer{signer(t, seedKey(2))}, slog.New(slog.DiscardHandler))
	if bad := (*tree.CheckpointError)(nil); !errors.As(err, &bad) {
		t.Errorf("found %v", err)
	}
	if _, err := tree.NewSigner("with space", seedKey(1)); !errors.Is(err, tree.ErrKey) {
		t.Errorf("a name with a space: %v", err)
	}
}
