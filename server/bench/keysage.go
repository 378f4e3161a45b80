package bench

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// rootName is the name of the row of the root.
const rootName = "root"

// ageKeys rotates the keyset of every field of a vault that is closed, until
// each has the given number of versions. Each keyset is rotated in memory, in a
// ring that holds it and the root alone, and stored at the end.
func ageKeys(ctx context.Context, dir string, versions int) (err error) {
	s, err := boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "data", "keys.db"), Tables: rows.KeyTables()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	kek, err := filekek.Open(filepath.Join(dir, "kek", "kek.key"))
	if err != nil {
		return err
	}
	var have store.Rows
	if err := s.Get(ctx, []store.Key{{Table: rows.KeyControl, Key: rows.VaultKey}, {Table: rows.Keyring, Key: []byte(rootName)}}, &have); err != nil {
		return err
	}
	vaultID, _ := have.Value(0)
	root, ok := have.Value(1)
	if len(vaultID) != 16 || !ok {
		return errors.New("keys.db is not that of a vault")
	}
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	err = eachOf(ctx, s, rows.Keyring, fillLot, func(page []store.Row) error {
		for _, r := range page {
			id, err := keys.ParseID(string(r.Key))
			if err != nil || id.Kind != keys.KindField {
				continue // the root, and what the wide vault has one of
			}
			work.Go(func() error {
				alone := &memory{rows: map[string][]byte{rootName: root, string(r.Key): r.Value}}
				if err := ageOne(ctx, alone, kek, [16]byte(vaultID), id, versions); err != nil {
					return err
				}
				var b store.Batch
				b.RequireEqual(rows.Keyring, r.Key, r.Value)
				b.Put(rows.Keyring, r.Key, alone.rows[string(r.Key)])
				return s.Commit(ctx, &b)
			})
		}
		return nil
	})
	return errors.Join(err, work.Wait())
}

func ageOne(ctx context.Context, st keys.Storage, kek keys.KEK, vaultID [16]byte, id keys.ID, versions int) error {
	ring, err := keys.Open(ctx, st, kek, vaultID)
	if err != nil {
		return err
	}
	defer ring.Close()
	for version := ring.Snapshot().AEAD(id).Primary(); int(version) < versions; {
		if version, err = ring.Rotate(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
