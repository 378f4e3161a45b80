package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// vaultOfBackups is where the backups of a site lie, and their KEKs.
type vaultOfBackups struct {
	t                  *testing.T
	values, keys       *backup.Folder
	valuesKEK, keysKEK *keystest.KEK
}

func newBackups(t *testing.T) *vaultOfBackups {
	t.Helper()
	b := &vaultOfBackups{t: t, valuesKEK: keystest.NewKEK(), keysKEK: keystest.NewKEK()}
	for _, f := range []**backup.Folder{&b.values, &b.keys} {
		var err error
		if *f, err = backup.OpenFolder(t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *vaultOfBackups) options() vault.BackupOptions {
	return vault.BackupOptions{
		Values: b.values, Keys: b.keys, ValuesKEK: b.valuesKEK, KeysKEK: b.keysKEK, By: "local:0", Program: "test",
	}
}

func (b *vaultOfBackups) make(s *site) *vault.BackupReport {
	b.t.Helper()
	r, err := s.vault.Backup(b.t.Context(), b.options())
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// reader opens an artefact.
func (b *vaultOfBackups) reader(path string, kek keys.KEK) *backup.Reader {
	b.t.Helper()
	r, err := b.tryReader(path, kek)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *vaultOfBackups) tryReader(path string, kek keys.KEK) (*backup.Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b.t.Cleanup(func() { _ = f.Close() })
	return backup.Open(b.t.Context(), f, kek)
}

// restoreTo restores into a folder, from the log that stands there.
func (b *vaultOfBackups) restoreTo(dir string, values, keyFile backup.Artefact, change ...func(*vault.Options, *vault.RestoreOptions)) (_ *vault.RestoreReport, err error) {
	b.t.Helper()
	kek, epochs, err := secrets(dir)
	if err != nil {
		return nil, err
	}
	log, err := audit.Open(filepath.Join(dir, "audit"), audit.Options{SegmentSize: 64 << 10})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	keyStore, err := boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "keys.db"), Tables: rows.KeyTables()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, keyStore.Close()) }()
	o := vault.Options{Keys: keyStore, KEK: kek, Epochs: epochs, Log: log, Values: func(s vault.Sealer) (store.Store, error) {
		return boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "values.db"), Tables: rows.ValueTables(), Seal: s})
	}}
	r := vault.RestoreOptions{By: "local:0"}
	if r.Values, err = b.tryReader(values.Path, b.valuesKEK); err != nil {
		return nil, err
	}
	if r.Keys, err = b.tryReader(keyFile.Path, b.keysKEK); err != nil {
		return nil, err
	}
	for _, f := range change {
		f(&o, &r)
	}
	return vault.Restore(b.t.Context(), o, r)
}

// restore loses the stores of a site, brings them back from a backup and starts
// the vault.
func (b *vaultOfBackups) restore(s *site, values, keyFile backup.Artefact, change ...func(*vault.Options, *vault.RestoreOptions)) *vault.RestoreReport {
	b.t.Helper()
	s.stop()
	s.lose()
	r, err := b.restoreTo(s.dir, values, keyFile, change...)
	if err != nil {
		b.t.Fatal(err)
	}
	s.start(false)
	return r
}

// lose removes both stores of a stopped vault.
func (s *site) lose() {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.db"))
	if err != nil || len(files) < 2 {
		s.t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			s.t.Fatal(err)
		}
	}
}
