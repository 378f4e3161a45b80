package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// watchedDisk tells of each call that changes a name, before it is made.
type watchedDisk struct {
	audit.Disk
	before func(op, path string)
}

func (d watchedDisk) Create(path string) (audit.DiskFile, error) {
	d.before("create", path)
	f, err := d.Disk.Create(path)
	return watchedFile{f, path, d.before}, err
}

func (d watchedDisk) Rename(from, to string) error {
	d.before("rename", from)
	return d.Disk.Rename(from, to)
}

func (d watchedDisk) Remove(path string) error {
	d.before("remove", path)
	return d.Disk.Remove(path)
}

func (d watchedDisk) SyncDir(dir string) error {
	d.before("syncdir", dir)
	return d.Disk.SyncDir(dir)
}

// watchedFile tells of each write and sync of a file that was created.
type watchedFile struct {
	audit.DiskFile
	path   string
	before func(op, path string)
}

func (f watchedFile) WriteAt(p []byte, at int64) (int, error) {
	f.before("write", f.path)
	return f.DiskFile.WriteAt(p, at)
}

func (f watchedFile) Sync() error {
	f.before("sync", f.path)
	return f.DiskFile.Sync()
}

// TestPruneIsCutShort stops the program before each change that Prune makes
// to names: what is left must verify, open, read, be published, and be pruned.
// The first Prune of a log has no note before it, a later one replaces it.
func TestPruneIsCutShort(t *testing.T) {
	t.Run("the first", func(t *testing.T) { cutPruneShort(t, 0) })
	t.Run("a later one", func(t *testing.T) { cutPruneShort(t, 300) })
}

func cutPruneShort(t *testing.T, earlier int) {
	dir := filepath.Join(t.TempDir(), "audit")
	var steps []string
	var copies []string
	watching := false
	o := audit.Options{SegmentSize: 16 << 10}.OnDisk(watchedDisk{audit.OSDisk(), func(op, path string) {
		if !watching {
			return
		}
		as := filepath.Join(t.TempDir(), "audit")
		if err := os.CopyFS(as, os.DirFS(dir)); err != nil {
			t.Error(err)
		}
		steps, copies = append(steps, op+" "+filepath.Base(path)), append(copies, as)
	}})
	log := agedLog(t, dir, o, 700)
	if _, err := log.Prune(t.Context(), until(earlier)); err != nil {
		t.Fatal(err)
	}
	had := log.First()
	if had > 0 != (earlier > 0) {
		t.Fatalf("pruned before %d", had)
	}
	all := contents(t, log)
	watching = true
	first, err := log.Prune(t.Context(), until(600))
	watching = false
	if err != nil || first == had {
		t.Fatalf("pruned before %d: %v", first, err)
	}
	before, _, _ := strings.Cut(strings.Join(steps, "\n"), "\nremove ")
	if want := "create pruned.new\nwrite pruned.new\nsync pruned.new\nrename pruned.new\nsyncdir tlog"; !strings.HasSuffix(before, want) {
		t.Errorf("before the first removal comes %q: the note must be durable by then", before)
	}
	removed := 0
	for i, step := range steps {
		if strings.HasPrefix(step, "remove") {
			if removed++; steps[i+1] != "syncdir audit" {
				t.Errorf("%s is followed by %s: it must be durable before the next goes", step, steps[i+1])
			}
		}
	}
	if removed < 2 {
		t.Fatalf("steps %q", steps)
	}
	for i, as := range copies {
		t.Run(fmt.Sprintf("%d %s", i, steps[i]), func(t *testing.T) {
			report, err := audit.Verify(t.Context(), as, audit.VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			log := openPublished(t, as, small)
			if log.First() != report.Pruned || log.First() > first || log.First() < had {
				t.Errorf("first %d, pruned %d", log.First(), report.Pruned)
			}
			now := contents(t, log)
			for index, raw := range all {
				if index >= log.First() && now[index] != raw {
					t.Fatalf("entry %d is another", index)
				}
			}
			if again, err := log.Prune(t.Context(), until(600)); err != nil || again != first {
				t.Errorf("pruned again before %d, want %d: %v", again, first, err)
			}
			if _, err := audit.Verify(t.Context(), as, audit.VerifyOptions{}); err != nil {
				t.Errorf("after all: %v", err)
			}
		})
	}
}

// TestPruneLeftBundles has some bundles left, in any number, and wants them
// gone with the next start.
func TestPruneLeftBundles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	log := agedLog(t, dir, small, 1400)
	if _, err := log.Prune(t.Context(), born); err != nil { // which publishes what there is
		t.Fatal(err)
	}
	bundles := treeFiles(t, dir, "bundles")
	first, err := log.Prune(t.Context(), until(1400))
	if err != nil || first < 1024 {
		t.Fatalf("pruned before %d: %v", first, err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{"entries/001", "entries/003"} {
		if err := os.WriteFile(filepath.Join(dir, audit.TreeDir, "tile", left), []byte(bundles[left]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil {
		t.Errorf("with bundles left: %v", err)
	}
	openPublished(t, dir, small)
	if now := treeFiles(t, dir, "bundles"); len(now) != 1 {
		t.Errorf("%d bundles after a start", len(now))
	}
}

// pruneForEver appends and prunes again and again.
func pruneForEver(dir string) error {
	s, err := newSigner()
	if err != nil {
		return err
	}
	now := born
	log, err := audit.Open(dir, audit.Options{SegmentSize: 4096, Now: func() time.Time { return now }})
	if err != nil {
		return err
	}
	if err := log.Publish(context.Background(), []*tree.Signer{s}, nil); err != nil {
		return err
	}
	now = born.Add(time.Duration(log.Size()) * time.Minute)
	for {
		for range 4 {
			var last audit.Receipt
			for range 100 {
				last = log.Append(entry(3))
				now = now.Add(time.Minute)
			}
			if err := waitFor(last); err != nil {
				return err
			}
		}
		first, err := log.Prune(context.Background(), now.Add(-600*time.Minute))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, first); err != nil {
			return err
		}
	}
}

// TestKillWhilePruning kills a program with SIGKILL while it prunes.
func TestKillWhilePruning(t *testing.T) {
	const rounds = 20
	dir := filepath.Join(t.TempDir(), "audit")
	var pruned, cut int
	var seen []byte
	for round := range rounds {
		killChild(t, "prune", dir, rand.IntN(4))
		report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{Earlier: seen})
		if errors.Is(err, tree.ErrNoCheckpoint) && len(seen) == 0 {
			continue
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		seen = report.Checkpoint.Signed
		if report.Pruned > 0 {
			pruned++
		}
		for name := range treeFiles(t, dir, "bundles") {
			var n uint64
			if _, err := fmt.Sscanf(name, "entries/%d", &n); err == nil && (n+1)*256 <= report.Pruned {
				cut++
				break
			}
		}
	}
	if pruned < rounds/2 {
		t.Errorf("only %d of %d rounds left a pruned log", pruned, rounds)
	}
	t.Logf("%d rounds left a pruned log, %d of them with bundles still to go", pruned, cut)
}
