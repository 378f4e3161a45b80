package daemon_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// backedUp is a vault directory with a backup section.
func backedUp(t *testing.T) *config.Config {
	t.Helper()
	c := initialised(t)
	root := filepath.Dir(c.Directory)
	part := func(name string) config.BackupPart {
		p := config.BackupPart{Directory: filepath.Join(root, name), Keep: 24 * time.Hour}
		p.KEK.File = filepath.Join(root, name+".key")
		if err := errors.Join(os.Mkdir(p.Directory, 0o700), filekek.Generate(p.KEK.File)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	c.Backup = &config.Backup{Values: part("b-values"), Keys: part("b-keys")}
	return c
}

func count(t *testing.T, dir string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.cloak"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestBackupOnlineAndOffline(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := backedUp(t)
	for _, online := range []bool{false, true} {
		var n *daemon.Node
		if online {
			var err error
			if n, err = daemon.Open(t.Context(), c, quiet); err != nil {
				t.Fatal(err)
			}
		}
		r, err := daemon.Backup(t.Context(), c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if r.Online != online || r.Values.Rows == 0 || r.Keys.Rows == 0 || r.Epoch != 1 || len(r.Removed) != 0 || r.Kept != "" {
			t.Errorf("the report says %+v", r)
		}
		if online {
			wantBackupEntry(t, n.Log)
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if v, k := count(t, c.Backup.Values.Directory), count(t, c.Backup.Keys.Directory); v != 2 || k != 2 {
		t.Errorf("%d artefacts of values and %d of keys", v, k)
	}
}

// wantBackupEntry wants the newest entries of a log to name a local user's
// backup.
func wantBackupEntry(t *testing.T, log *audit.FileLog) {
	t.Helper()
	found := false
	err := log.Read(0, func(_ uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err == nil && e.Action == audit.ActionBackup {
			found = strings.HasPrefix(e.Principal, "local:") && strings.HasPrefix(e.Object, "pair ")
		}
		return err
	})
	if err != nil || !found {
		t.Errorf("no entry tells of the backup: %v", err)
	}
}

// The daemon makes backups by itself when they are due.
func TestBackupsByThemselves(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := backedUp(t)
	c.Backup.Every = time.Hour
	n, err := daemon.Open(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for count(t, c.Backup.Keys.Directory) == 0 {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("no backup was made")
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	// The next is not due: it counts from the one that is there.
	if n, err = daemon.Open(t.Context(), c, quiet); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if got := count(t, c.Backup.Keys.Directory); got != 1 {
		t.Errorf("%d backups", got)
	}
}

func TestBackupRefuses(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := backedUp(t)
	none := *c
	none.Backup = nil
	if _, err := daemon.Backup(t.Context(), &none, quiet); !errors.Is(err, daemon.ErrNoBackup) {
		t.Errorf("without a section: %v", err)
	}
	n, err := daemon.Open(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := os.Remove(c.Backup.Keys.KEK.File); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Backup(t.Context(), c, quiet); err == nil || !strings.Contains(err.Error(), "backup.keys.kek.file") {
		t.Errorf("without a KEK, asked of the daemon: %v", err)
	}
	if v := count(t, c.Backup.Values.Directory); v != 0 {
		t.Errorf("%d artefacts of values without keys", v)
	}
}

// The socket is for the user of the daemon alone, stands in whatever long a
// path, and a name that a crash left does not keep the next start from it.
func TestControlSocket(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := backedUp(t)
	deep := filepath.Join(filepath.Dir(c.Directory), strings.Repeat("long", 40))
	if err := os.Rename(c.Directory, deep); err != nil {
		t.Fatal(err)
	}
	c.Directory, c.Audit.Directory = deep, filepath.Join(deep, "audit")
	path := filepath.Join(deep, daemon.ControlName)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := daemon.Backup(t.Context(), c, quiet); err != nil || r.Online {
		t.Errorf("beside a name that a crash left: %+v, %v", r, err)
	}
	n, err := daemon.Open(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if r, err := daemon.Backup(t.Context(), c, quiet); err != nil || !r.Online {
		t.Errorf("the daemon answers %+v, %v", r, err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
}

// Keys that signed nothing of the log as it is could not go on with it: that is
// found before anything is put in place.
func TestRestoreWithoutTheSigner(t *testing.T) {
	c := backedUp(t)
	r, err := daemon.Backup(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	n, err := daemon.Open(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	receipt := n.Log.Append(&audit.Entry{Action: audit.ActionRead, Outcome: audit.Refused, Principal: "spiffe://cloakroom.example/test"})
	if _, err := receipt.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	checkpoint := filepath.Join(c.Audit.Directory, audit.TreeDir, "checkpoint")
	content, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	o := daemon.RestoreOptions{Values: r.Values.Path, Keys: r.Keys.Path}
	other := backedUp(t)
	if n, err = daemon.Open(t.Context(), other, quiet); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(other.Audit.Directory, audit.TreeDir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		checkpoint []byte
		want       error
	}{{foreign, daemon.ErrSigner}, {content, nil}} {
		if err := os.WriteFile(checkpoint, step.checkpoint, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := daemon.Restore(t.Context(), c, o, quiet); !errors.Is(err, step.want) || step.want == nil && err != nil {
			t.Errorf("got %v, want %v", err, step.want)
		}
		if _, err := os.Lstat(filepath.Join(c.Directory, "restore.tmp")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder of the restore is there: %v", err)
		}
	}
}
