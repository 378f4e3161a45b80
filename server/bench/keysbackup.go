package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

// benchBackups is where the backups of the bench lie, and their KEKs.
type benchBackups struct {
	values, keys       *backup.Folder
	valuesKEK, keysKEK *filekek.KEK
	last               *vault.BackupReport // that was not removed
}

func newBenchBackups(dir string) (*benchBackups, error) {
	b := &benchBackups{}
	for _, p := range []struct {
		name   string
		folder **backup.Folder
		kek    **filekek.KEK
	}{{"values", &b.values, &b.valuesKEK}, {"keys", &b.keys, &b.keysKEK}} {
		folder := filepath.Join(dir, p.name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		err := filekek.Generate(folder + ".key")
		if err != nil {
			return nil, err
		}
		if *p.kek, err = filekek.Open(folder + ".key"); err != nil {
			return nil, err
		}
		if *p.folder, err = backup.OpenFolder(folder); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// backup makes a backup in place of the last one.
func (c *keyChild) backup(ctx context.Context) (a keyAnswer, err error) {
	if c.backups == nil {
		if c.backups, err = newBenchBackups(filepath.Join(c.dir, "backups")); err != nil {
			return a, err
		}
	}
	b := c.backups
	begun := time.Now()
	r, err := c.node.Vault.Backup(ctx, vault.BackupOptions{
		Values: b.values, Keys: b.keys, ValuesKEK: b.valuesKEK, KeysKEK: b.keysKEK, By: "local:0", Program: "bench",
	})
	if err != nil {
		return a, err
	}
	a.Seconds = time.Since(begun).Seconds()
	if b.last != nil {
		err = errors.Join(b.values.Remove(b.last.Values), b.keys.Remove(b.last.Keys))
	}
	b.last = r
	a.N, a.Bytes = rowsIn(r), float64(r.Values.Size+r.Keys.Size)
	return a, err
}

// rowsIn counts the rows of both artefacts.
func rowsIn(r *vault.BackupReport) float64 {
	n := uint64(0)
	for _, m := range []*backup.Manifest{&r.ValuesManifest, &r.KeysManifest} {
		for _, t := range m.Tables {
			n += t.Rows
		}
	}
	return float64(n)
}

// backupOnce is backup as a chore.
func (c *keyChild) backupOnce(ctx context.Context, t *tally) error {
	a, err := c.backup(ctx)
	if err == nil {
		t.add(a.N)
	}
	return err
}

// bareCopy copies the two files that a backup is made from, as they stand, and
// forces the copies to the disk. What is copied while they change is of no use
// to anybody, but takes as long.
func (c *keyChild) bareCopy() (a keyAnswer, err error) {
	begun := time.Now()
	for _, name := range []string{"values.db", "keys.db"} {
		n, err := copyFile(filepath.Join(c.dir, "copy-of-"+name), filepath.Join(c.dir, "vault", "data", name))
		if err != nil {
			return a, err
		}
		a.Bytes += float64(n)
	}
	a.Seconds = time.Since(begun).Seconds()
	return a, nil
}

func copyFile(to, from string) (n int64, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return n, errors.Join(err, out.Close())
}

// measureBackup compares a backup with a copy of the files, tells what callers
// feel of it, and compares a restore with the bare load of its rows.
func measureBackup(ctx context.Context, o *KeyOptions) ([]Result, error) {
	return withCallers(ctx, o, func(k *keyCallers) ([]Result, error) {
		var speed, restored pairs
		var seconds, took []float64
		var last, back keyAnswer
		for range o.Rounds {
			var err error
			if last, err = k.p.order(keyOrder{Do: doBackup}); err != nil {
				return nil, err
			}
			bare, err := k.p.order(keyOrder{Do: doBareCopy})
			if err != nil {
				return nil, err
			}
			speed.add(last.Bytes/1e6/last.Seconds, bare.Bytes/1e6/bare.Seconds)
			seconds = append(seconds, last.Seconds)
		}
		out := []Result{
			speed.result("backup, written and opened again / copy of the files", "MB a second", ""),
			{Name: "backup", Figure: fmt.Sprintf("%.2f s for %.0f rows, %.1f MB", median(seconds), last.N, last.Bytes/1e6)},
		}
		felt, err := k.slowdown(ctx, choreBackup, "backups", "rows of whole backups", "")
		if err != nil {
			return nil, err
		}
		for range o.Rounds {
			if back, err = k.p.order(keyOrder{Do: doRestore}); err != nil {
				return nil, err
			}
			bare, err := k.p.order(keyOrder{Do: doBareLoad})
			if err != nil {
				return nil, err
			}
			restored.add(back.rate(), bare.rate())
			took = append(took, back.Seconds)
		}
		return append(append(out, felt...),
			restored.result("restore / bare load of the rows", "rows a second", ""),
			Result{Name: "restore", Figure: fmt.Sprintf("%.2f s for %.0f rows and %d entries of the log", median(took), back.N, back.Entries)},
		), nil
	})
}
