package bench

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// artefacts opens both artefacts of the last backup.
func (b *benchBackups) artefacts(ctx context.Context) (values, keys *backup.Reader, done func(), err error) {
	var files []*os.File
	done = func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	if b == nil || b.last == nil {
		return nil, nil, done, errors.New("there is no backup")
	}
	open := func(path string, kek *filekek.KEK) (*backup.Reader, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		return backup.Open(ctx, f, kek)
	}
	if values, err = open(b.last.Values.Path, b.valuesKEK); err == nil {
		keys, err = open(b.last.Keys.Path, b.keysKEK)
	}
	return values, keys, done, err
}

// restore closes the vault, if that was not done, and restores the last backup
// into empty stores, with the vault's own log, of which it reads what came after
// the backup.
func (c *keyChild) restore(ctx context.Context) (a keyAnswer, err error) {
	c.unserve()
	if err := c.node.Close(); err != nil {
		return a, err
	}
	dir, err := os.MkdirTemp(c.dir, "restored-")
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	from := func(parts ...string) string { return filepath.Join(append([]string{c.dir, "vault"}, parts...)...) }
	o := vault.Options{Values: func(s vault.Sealer) (store.Store, error) {
		return boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "values.db"), Tables: rows.ValueTables(), Seal: s})
	}}
	if o.KEK, err = filekek.Open(from("kek", "kek.key")); err != nil {
		return a, err
	}
	if o.Epochs, err = filekek.OpenEpochs(from("epochs")); err != nil {
		return a, err
	}
	log, err := audit.Open(c.node.AuditDirectory(), audit.Options{})
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	o.Log = log
	values, keys, done, err := c.backups.artefacts(ctx)
	defer done()
	if err != nil {
		return a, err
	}
	begun := time.Now()
	o.Keys, err = boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "keys.db"), Tables: rows.KeyTables()})
	if err != nil {
		return a, err
	}
	report, err := vault.Restore(ctx, o, vault.RestoreOptions{Values: values, Keys: keys, By: "local:0"})
	if err = errors.Join(err, o.Keys.Close()); err != nil {
		return a, err
	}
	return keyAnswer{
		N: rowsIn(c.backups.last), Seconds: time.Since(begun).Seconds(), Entries: report.To - report.From,
	}, nil
}

// loadLot is how many rows a restore writes at a time.
const loadLot = 10_000

// bareLoad reads the artefacts and writes their rows into two empty stores.
func (c *keyChild) bareLoad(ctx context.Context) (a keyAnswer, err error) {
	dir, err := os.MkdirTemp(c.dir, "loaded-")
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	values, keys, done, err := c.backups.artefacts(ctx)
	defer done()
	if err != nil {
		return a, err
	}
	begun := time.Now()
	for _, part := range []struct {
		name   string
		tables []store.Table
		from   *backup.Reader
	}{{"keys.db", rows.KeyTables(), keys}, {"values.db", orderedTables(), values}} {
		n, err := loadInto(ctx, filepath.Join(dir, part.name), part.tables, part.from)
		if err != nil {
			return a, err
		}
		a.N += float64(n)
	}
	a.Seconds = time.Since(begun).Seconds()
	return a, nil
}

// orderedTables are the tables of values.db that a backup holds.
func orderedTables() (ordered []store.Table) {
	for _, t := range rows.ValueTables() {
		if t.Kind == store.Ordered {
			ordered = append(ordered, t)
		}
	}
	return ordered
}

// loadInto writes the rows of an artefact into a new store.
func loadInto(ctx context.Context, path string, tables []store.Table, from *backup.Reader) (n int, err error) {
	s, err := boltstore.Open(boltstore.Options{Path: path, Tables: tables})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var b store.Batch
	for {
		table, key, value, err := from.Next()
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return n, err
		}
		if !end {
			b.Put(table, append([]byte(nil), key...), append([]byte(nil), value...))
			n++
		}
		if len(b.Writes) == loadLot || end && len(b.Writes) > 0 {
			if err := s.Commit(ctx, &b); err != nil {
				return n, err
			}
			b.Reset()
		}
		if end {
			return n, nil
		}
	}
}
