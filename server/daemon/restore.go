package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// RestoreOptions say what Restore brings back.
type RestoreOptions struct {
	// Values and Keys are the paths of the two artefacts.
	Values, Keys string
	// AcceptUnread and Progress are those of vault.RestoreOptions.
	AcceptUnread bool
	Progress     func(done uint64)
}

// RestoreReport is that of the vault, and where the stores are that stood there
// before; empty when there were none.
type RestoreReport struct {
	*vault.RestoreReport
	Aside string
}

// Restore brings the stores of a vault back from a backup, beside those that
// are there: only when all is done and on the disk do the files change places,
// and a process that is killed leaves either what was there or what was
// restored (see place). The audit log must be there and be nobody else's:
// audit.ErrLocked while a daemon serves the directory. Nothing is written to
// it. Other errors are those of vault.Restore, ErrNoBackup, ErrNoLog and those
// of key providers.
func Restore(ctx context.Context, c *config.Config, o RestoreOptions, logger *slog.Logger) (_ *RestoreReport, err error) {
	if c.Backup == nil {
		return nil, ErrNoBackup
	}
	n := newNode(c, logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := requireFIPS(c); err != nil {
		return nil, err
	}
	if err := n.logged(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLog, err)
	}
	if n.Log, err = audit.Open(c.Audit.Directory, audit.Options{}); err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	n.closing(n.Log.Close)
	if err := os.MkdirAll(c.Directory, 0o700); err != nil {
		return nil, err
	}
	if err := n.finishRestore(); err != nil {
		return nil, err
	}
	staging := filepath.Join(c.Directory, stagingName)
	if err := os.RemoveAll(staging); err != nil {
		return nil, err
	}
	if err := os.Mkdir(staging, 0o700); err != nil {
		return nil, err
	}
	r := &RestoreReport{}
	if r.RestoreReport, err = n.stage(ctx, staging, &o); err == nil {
		err = n.signed(r.VerifierKeys)
	}
	if err != nil {
		// What is there is as it was; half of a vault is of no use.
		return nil, errors.Join(err, os.RemoveAll(staging))
	}
	r.Aside, err = placeRestored(c.Directory, nil)
	return r, err
}

// signed holds that the last checkpoint of the log was signed by one of some
// keys, or that there is none: without that the log could not be published.
func (n *Node) signed(verifierKeys string) error {
	keys, err := tree.NewVerifiers(verifierKeys)
	if err != nil {
		return err
	}
	folder := filepath.Join(n.config.Audit.Directory, audit.TreeDir)
	_, err = tree.NewReader(folder, keys...).Checkpoint()
	if err == nil || errors.Is(err, tree.ErrNoCheckpoint) {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrSigner, folder, err)
}

// stage restores into an empty folder.
func (n *Node) stage(ctx context.Context, staging string, o *RestoreOptions) (_ *vault.RestoreReport, err error) {
	ro := vault.RestoreOptions{By: localUser(os.Getuid()), AcceptUnread: o.AcceptUnread, Progress: o.Progress}
	for _, part := range []struct {
		name, path string
		kek        *config.Provider
		reader     **backup.Reader
	}{
		{"backup.values", o.Values, &n.config.Backup.Values.KEK, &ro.Values},
		{"backup.keys", o.Keys, &n.config.Backup.Keys.KEK, &ro.Keys},
	} {
		kek, done, err := n.providers.openKEK(ctx, part.kek)
		if err != nil {
			return nil, fmt.Errorf("open %s.kek.%s: %w", part.name, part.kek.Kind(), err)
		}
		defer func() { _ = done() }()
		f, err := os.Open(part.path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if *part.reader, err = backup.Open(ctx, f, kek); err != nil {
			return nil, fmt.Errorf("%s: %w", part.path, err)
		}
	}
	keyStore, err := boltstore.Open(boltstore.Options{Path: filepath.Join(staging, keysName), Tables: rows.KeyTables(), Logger: n.logger})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, keyStore.Close()) }()
	kek, err := n.restoreKEK(ctx)
	if err != nil {
		return nil, err
	}
	of := &n.config.Epochs.EpochProvider
	epochs, done, err := n.providers.openEpochs(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("open epochs.%s: %w", of.Kind(), err)
	}
	n.closing(done)
	return vault.Restore(ctx, vault.Options{
		Keys: keyStore, KEK: kek, Epochs: epochs, Log: n.Log, Logger: n.logger,
		Values: func(s vault.Sealer) (store.Store, error) {
			return boltstore.Open(boltstore.Options{Path: filepath.Join(staging, valuesName), Tables: rows.ValueTables(), Seal: s, Logger: n.logger})
		},
	}, ro)
}

// restoreKEK is the KEK of the vault: which one wrapped the root is known when
// the rows are loaded, so with kek.next the one that opens it is taken.
func (n *Node) restoreKEK(ctx context.Context) (keys.KEK, error) {
	c := &n.config.KEK
	if c.Next == nil {
		return n.openOne(ctx, "kek", &c.Provider)
	}
	e := &either{}
	for key, p := range map[string]*config.Provider{"kek": &c.Provider, "kek.next": c.Next} {
		kek, err := n.openOne(ctx, key, p)
		e.candidates = append(e.candidates, candidate{kek, err})
	}
	if a, b := e.candidates[0].err, e.candidates[1].err; a != nil && b != nil {
		return nil, errors.Join(a, b)
	}
	return e, nil
}
