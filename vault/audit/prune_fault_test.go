package audit_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// TestPruneFails has a removal fail: the next Prune goes on where it stopped,
// and writes no second entry.
func TestPruneFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	disk := &refusingDisk{Disk: audit.OSDisk()}
	log := agedLog(t, dir, small.OnDisk(disk), 600)
	disk.after = 5
	disk.refuse = true
	if _, err := log.Prune(t.Context(), until(500)); !errors.Is(err, errInjected) {
		t.Fatalf("got %v", err)
	}
	size, first := log.Size(), log.First()
	contents(t, log)
	if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil {
		t.Errorf("after a failed removal: %v", err)
	}
	disk.refuse = false
	if again, err := log.Prune(t.Context(), until(500)); err != nil || again != first || log.Size() != size {
		t.Errorf("pruned again before %d, was %d; size %d, was %d; error %v", again, first, log.Size(), size, err)
	}
	if s := segments(t, dir); s[0].first != first {
		t.Errorf("the first segment is %d, want %d", s[0].first, first)
	}
}

// TestPruneNoteFails has each step of writing the note fail: nothing is
// removed, the log goes on, and the next Prune does all of it.
func TestPruneNoteFails(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "rename", "syncdir"} {
		t.Run(step, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			disk := &notelessDisk{Disk: audit.OSDisk()}
			log := agedLog(t, dir, small.OnDisk(disk), 600)
			before := len(segments(t, dir))
			disk.refuse = step
			if first, err := log.Prune(t.Context(), until(500)); !errors.Is(err, errInjected) || first != 0 || log.First() != 0 {
				t.Fatalf("pruned before %d, first %d, error %v", first, log.First(), err)
			}
			if now := len(segments(t, dir)); now < before {
				t.Errorf("%d segments of %d", now, before)
			}
			contents(t, log)
			if err := log.Check(t.Context()); err != nil {
				t.Errorf("check: %v", err)
			}
			if report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil || report.Pruned != 0 {
				t.Errorf("report %+v, error %v", report, err)
			}
			disk.refuse = ""
			if first, err := log.Prune(t.Context(), until(500)); err != nil || first == 0 {
				t.Errorf("pruned before %d: %v", first, err)
			}
			if report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil || report.Pruned != log.First() || report.PruneNote == nil {
				t.Errorf("report %+v, error %v", report, err)
			}
		})
	}
}

// notelessDisk refuses one step of writing files in the tree's folder.
type notelessDisk struct {
	audit.Disk
	refuse string
}

func (d *notelessDisk) fails(op, dir string) bool {
	return op == d.refuse && filepath.Base(dir) == audit.TreeDir
}

func (d *notelessDisk) Create(path string) (audit.DiskFile, error) {
	if d.fails("create", filepath.Dir(path)) {
		return nil, errInjected
	}
	f, err := d.Disk.Create(path)
	return notelessFile{f, d, filepath.Dir(path)}, err
}

func (d *notelessDisk) Rename(from, to string) error {
	if d.fails("rename", filepath.Dir(to)) {
		return errInjected
	}
	return d.Disk.Rename(from, to)
}

func (d *notelessDisk) SyncDir(dir string) error {
	if d.fails("syncdir", dir) {
		return errInjected
	}
	return d.Disk.SyncDir(dir)
}

type notelessFile struct {
	audit.DiskFile
	disk *notelessDisk
	dir  string
}

func (f notelessFile) WriteAt(p []byte, at int64) (int, error) {
	if f.disk.fails("write", f.dir) {
		return 0, errInjected
	}
	return f.DiskFile.WriteAt(p, at)
}

func (f notelessFile) Sync() error {
	if f.disk.fails("sync", f.dir) {
		return errInjected
	}
	return f.DiskFile.Sync()
}

// refusingDisk refuses to remove, after some removals.
type refusingDisk struct {
	audit.Disk
	after  int
	refuse bool
}

func (d *refusingDisk) Remove(path string) error {
	if d.refuse {
		if d.after--; d.after < 0 {
			return errInjected
		}
	}
	return d.Disk.Remove(path)
}
