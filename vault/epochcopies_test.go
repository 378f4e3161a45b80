package vault_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// keyDump is what a backup holds of the key store.
type keyDump map[uint8][]store.Row

func dumpKeys(t *testing.T, s store.Store) keyDump {
	t.Helper()
	snapshot, err := s.(store.Snapshotter).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := snapshot.Close(); err != nil {
			t.Error(err)
		}
	}()
	d := keyDump{}
	for _, table := range rows.KeyTables() {
		err := snapshot.Each(t.Context(), table.Number, func(key, value []byte) error {
			d[table.Number] = append(d[table.Number], store.Row{Key: append([]byte(nil), key...), Value: append([]byte(nil), value...)})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// opens reports whether anybody with the provider as it is now opens a person's
// key in a dump: by every epoch row that this or any other dump holds.
func (d keyDump) opens(t *testing.T, id [16]byte, provider keys.EpochKEK, others ...keyDump) bool {
	t.Helper()
	for _, from := range append(others, d) {
		for _, r := range from[rows.KeyControl] {
			row, err := rows.ParseEpoch(r.Value)
			if err != nil || !strings.Contains(string(r.Key), "epoch") {
				continue
			}
			e, err := keys.OpenEpoch(context.Background(), provider, row.Number, id, row.Wrapped)
			if err != nil {
				continue
			}
			for _, p := range d[rows.Subjects] {
				ref, err := rows.ParseRef(p.Key)
				if err != nil {
					t.Fatal(err)
				}
				var key [keys.SecretSize]byte
				if e.UnwrapSubjectKey(p.Value, ref, 1, &key) == nil {
					return true
				}
			}
		}
	}
	return false
}

func (d keyDump) id(t *testing.T) [16]byte {
	t.Helper()
	for _, r := range d[rows.KeyControl] {
		if string(r.Key) == string(rows.VaultKey) {
			return [16]byte(r.Value)
		}
	}
	t.Fatal("a key store without the vault's id")
	return [16]byte{}
}

// copied copies the files of a vault that is closed.
func copied(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "copy"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, "copy")
}

// copyRig is a vault on files with a provider of its choice.
type copyRig struct {
	dir    string
	kek    keys.KEK
	epochs keys.EpochKEK
	log    *audit.MemoryLog
	keys   store.Store
	vault  *vault.Vault
}

// open opens the vault in dir; with create it makes it first.
func (r *copyRig) open(ctx context.Context, create bool) (err error) {
	r.keys, err = boltstore.Open(boltstore.Options{Path: filepath.Join(r.dir, "keys.db"), Tables: rows.KeyTables()})
	if err != nil {
		return err
	}
	o := vault.Options{Keys: r.keys, KEK: r.kek, Epochs: r.epochs, Log: r.log, Values: func(s vault.Sealer) (store.Store, error) {
		return boltstore.Open(boltstore.Options{Path: filepath.Join(r.dir, "values.db"), Tables: rows.ValueTables(), Seal: s})
	}}
	if create {
		err = vault.Create(ctx, o, vaulttest.Admin)
	}
	if err == nil {
		r.vault, err = vault.Open(ctx, o)
	}
	if err != nil {
		return errors.Join(err, r.keys.Close())
	}
	return nil
}

func (r *copyRig) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(r.vault.Close(), r.keys.Close()); err != nil {
		t.Error(err)
	}
}

// reveal opens a vault over a copy of the files in dir, with everything else as
// it is now, and reveals a token.
func (r *copyRig) reveal(t *testing.T, dir, token string) (string, error) {
	t.Helper()
	over := &copyRig{dir: copied(t, dir), kek: r.kek, epochs: r.epochs, log: r.log}
	if err := over.open(t.Context(), false); err != nil {
		return "", err
	}
	defer over.close(t)
	var out vault.Revealed
	if err := over.vault.Detokenize(t.Context(), as("reader"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "support"}, &out); err != nil {
		return "", err
	}
	if out.Items[0].Err != nil {
		return "", out.Items[0].Err
	}
	return string(out.Value(0).Expose()), nil
}

func fileKEK(t *testing.T) keys.KEK {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := filekek.Generate(path); err != nil {
		t.Fatal(err)
	}
	kek, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

// Who took copies of all files and dumps of the key store before a person was
// erased, and has all keys and every provider as they are afterwards, opens the
// person's values as long as the epoch goes on, and never once it has ended.
func TestOlderCopiesDieWithTheEpoch(t *testing.T) {
	for name, provider := range map[string]func(t *testing.T) keys.EpochKEK{
		"files": func(t *testing.T) keys.EpochKEK {
			epochs, err := filekek.CreateEpochs(filepath.Join(t.TempDir(), "epochs"))
			if err != nil {
				t.Fatal(err)
			}
			return epochs
		},
		"memory":  func(*testing.T) keys.EpochKEK { return keystest.NewEpochKEK() },
		"transit": transitEpochs,
	} {
		t.Run(name, func(t *testing.T) {
			r := &copyRig{dir: t.TempDir(), kek: fileKEK(t), epochs: provider(t), log: audit.Memory()}
			if err := r.open(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			olderCopies(t, r)
			r.close(t)
		})
	}
}

func olderCopies(t *testing.T, r *copyRig) {
	if _, _, err := r.vault.ApplyPolicy(t.Context(), as("admin"), vault.ApplyRequest{Document: []byte(testPolicy)}); err != nil {
		t.Fatal(err)
	}
	h := &vaulttest.Harness{Vault: r.vault}
	token := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
	before := dumpKeys(t, r.keys)
	r.close(t)
	copy := copied(t, r.dir)
	if err := r.open(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	h.Vault = r.vault
	remove(t, h, "customers", "c-1")
	put(t, h, "c-2", "note", "survivor")

	after := dumpKeys(t, r.keys)
	if got, err := r.reveal(t, copy, token); err != nil || got != "tea" {
		t.Fatalf("before the epoch ended the copy reveals %q and %v: the test shows nothing", got, err)
	}
	if id := before.id(t); !before.opens(t, id, r.epochs, after) {
		t.Fatal("before the epoch ended the dump does not open: the test shows nothing")
	}
	if _, err := r.vault.AskEpochEnd(t.Context(), as("keeper")); err != nil {
		t.Fatal(err)
	}
	during := dumpKeys(t, r.keys)
	if err := r.vault.EndEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := dumpKeys(t, r.keys)
	if got, err := r.reveal(t, copy, token); !errors.Is(err, keys.ErrDestroyed) {
		t.Errorf("a vault over the copy opens after the epoch ended: %q, %v", got, err)
	}
	if before.opens(t, before.id(t), r.epochs, after, during, last) {
		t.Error("a person's key in the dump opens after the epoch ended")
	}
	if !last.opens(t, last.id(t), r.epochs) {
		t.Error("nor does that of a survivor in the key store: the test shows nothing")
	}
}

func transitEpochs(t *testing.T) keys.EpochKEK {
	t.Helper()
	s := transittest.New()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s.root"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.AddToken("s.root", 0)
	epochs, err := transitkek.OpenEpochs(t.Context(), transitkek.Options{
		Address: s.Start(t), Mount: transittest.Mount, Prefix: "cloakroom", Auth: transitkek.Auth{TokenFile: token},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(epochs.Close)
	return epochs
}
