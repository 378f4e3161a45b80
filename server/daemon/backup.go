package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

// ErrNoBackup: the configuration does not say where backups go and by which
// KEKs they are enciphered.
var ErrNoBackup = errors.New("the configuration has no backup section")

// BackupReport says what a backup made. It holds no keys and no values.
type BackupReport struct {
	Pair    backup.ID     `json:"pair"`
	Values  BackupFile    `json:"values"`
	Keys    BackupFile    `json:"keys"`
	Log     uint64        `json:"log_entries"`    // position that a restore reads the audit log from
	Epoch   uint32        `json:"epoch"`          // erasure epoch of the persons' keys
	Online  bool          `json:"online"`         // made by the daemon that serves the directory
	Removed []string      `json:"removed"`        // artefacts that were too old
	Kept    string        `json:"kept,omitempty"` // why older artefacts could not be removed
	Took    time.Duration `json:"took_ns"`
}

// BackupFile is one artefact.
type BackupFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Rows uint64 `json:"rows"`
}

// Backup makes a backup as the configuration says: by the daemon that serves
// the directory when there is one (see ControlName), else by opening it. Errors
// of the first kind are told as text alone.
func Backup(ctx context.Context, c *config.Config, logger *slog.Logger) (*BackupReport, error) {
	if c.Backup == nil {
		return nil, ErrNoBackup
	}
	r := new(BackupReport)
	switch served, err := askDaemon(ctx, c.Directory, backupPath, r); {
	case err != nil:
		return nil, err
	case served:
		r.Online = true
		return r, nil
	}
	return offline(ctx, c, logger, func(n *Node) (*BackupReport, error) { return n.backup(ctx, localUser(os.Getuid())) })
}

// offline opens the vault without a server for one piece of work.
func offline[T any](ctx context.Context, c *config.Config, logger *slog.Logger, do func(*Node) (T, error)) (out T, err error) {
	n := newNode(c, logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.finishRestore(); err != nil {
		return out, err
	}
	if err := n.complete(); err != nil {
		return out, err
	}
	parts, err := n.parts(ctx)
	if err != nil {
		return out, err
	}
	if n.Log, err = audit.Open(c.Audit.Directory, audit.Options{}); err != nil {
		return out, fmt.Errorf("open the audit log: %w", err)
	}
	n.closing(n.Log.Close)
	parts.Log = n.Log
	if err := n.openVault(ctx, parts); err != nil {
		return out, err
	}
	if err := n.publish(ctx); err != nil {
		return out, err
	}
	return do(n)
}

// localUser is the principal of who runs a command on the machine itself.
func localUser(uid int) string { return "local:" + strconv.Itoa(uid) }

// backup makes one backup and removes those that are too old.
func (n *Node) backup(ctx context.Context, by string) (*BackupReport, error) {
	c := n.config.Backup
	if c == nil {
		return nil, ErrNoBackup
	}
	o := vault.BackupOptions{By: by, Program: program()}
	for _, part := range []struct {
		name   string
		of     *config.BackupPart
		folder **backup.Folder
		kek    *keys.KEK
	}{
		{"backup.values", &c.Values, &o.Values, &o.ValuesKEK},
		{"backup.keys", &c.Keys, &o.Keys, &o.KeysKEK},
	} {
		var err error
		if *part.folder, err = backup.OpenFolder(part.of.Directory); err != nil {
			return nil, fmt.Errorf("%s.directory: %w", part.name, err)
		}
		kek, done, err := n.providers.openKEK(ctx, &part.of.KEK)
		if err != nil {
			return nil, fmt.Errorf("open %s.kek.%s: %w", part.name, part.of.KEK.Kind(), err)
		}
		defer func() { _ = done() }()
		*part.kek = kek
	}
	made, err := n.Vault.Backup(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &BackupReport{
		Pair: made.ValuesManifest.Pair, Log: made.ValuesManifest.Log.Entries, Epoch: made.KeysManifest.Epoch, Took: made.Took,
		Values: backupFile(made.Values, &made.ValuesManifest), Keys: backupFile(made.Keys, &made.KeysManifest),
	}
	if r.Removed, err = retire(c, o.Values, o.Keys, made.ValuesManifest.Vault, made.KeysManifest.Epoch); err != nil {
		// The backup itself is there, and tested.
		r.Kept = err.Error()
	}
	return r, nil
}

func backupFile(a backup.Artefact, m *backup.Manifest) BackupFile {
	f := BackupFile{Path: a.Path, Size: a.Size}
	for _, t := range m.Tables {
		f.Rows += t.Rows
	}
	return f
}

// retire removes artefacts that are too old, and those of keys that no restore
// could open any more. Epochs older than the one before the present are over.
func retire(c *config.Backup, values, keyFolder *backup.Folder, vaultID backup.ID, epoch uint32) (removed []string, err error) {
	ofValues, err := values.List()
	if err != nil {
		return nil, err
	}
	ofKeys, err := keyFolder.List()
	if err != nil {
		return nil, err
	}
	old := backup.Expired(vaultID, ofValues, ofKeys, backup.Rule{Keep: c.Values.Keep}, backup.Rule{Keep: c.Keys.Keep}, time.Now())
	old = append(old, backup.Ended(vaultID, ofKeys, func(e uint32) bool { return e+1 < epoch })...)
	var errs []error
	for _, a := range old {
		folder := values
		if a.Header.Kind == backup.Keys {
			folder = keyFolder
		}
		if err := folder.Remove(a); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, a.Path)
	}
	return removed, errors.Join(errs...)
}

// program names this program for manifests.
func program() string {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	return "cloakroomd " + version
}

// backupRetry is how long after a backup that failed the next one is tried.
const backupRetry = 10 * time.Minute

// keepBackups makes backups at the intervals of the configuration, counted from
// the newest one that is there.
func (n *Node) keepBackups(ctx context.Context) {
	c := n.config.Backup
	if c == nil || c.Every == 0 {
		return
	}
	n.background(ctx, func(ctx context.Context) {
		wait := n.untilBackup()
		for {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			switch r, err := n.backup(ctx, vault.Self); {
			case ctx.Err() != nil:
				return
			case err != nil:
				n.logger.Error("the backup that is due could not be made; it is tried again", "error", err, "in", backupRetry)
				wait = min(backupRetry, c.Every)
			default:
				n.logger.Info("a backup was made", "pair", r.Pair.String(), "values", r.Values.Path, "keys", r.Keys.Path, "took", r.Took)
				wait = c.Every
			}
		}
	})
}

// untilBackup is when the next backup is due.
func (n *Node) untilBackup() time.Duration {
	folder, err := backup.OpenFolder(n.config.Backup.Keys.Directory)
	if err != nil {
		return 0
	}
	list, err := folder.List()
	if err != nil || len(list) == 0 || list[0].Err != nil {
		return 0
	}
	return max(0, n.config.Backup.Every-time.Since(list[0].Header.Time))
}

// beforeEpochEnds makes a backup that still opens when the epoch has ended.
func (n *Node) beforeEpochEnds(ctx context.Context, epoch uint32) error {
	select { // an end that an earlier run began goes on while the vault is opened
	case <-n.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	r, err := n.backup(ctx, vault.Self)
	if err != nil {
		return err
	}
	if r.Epoch <= epoch {
		return fmt.Errorf("the backup is of epoch %d, which is to end", r.Epoch)
	}
	n.logger.Info("a backup was made before an erasure epoch ends", "epoch", epoch, "pair", r.Pair.String())
	return nil
}
