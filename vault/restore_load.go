package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Bounds of the batches that rows are written in.
const (
	loadRows  = 10_000
	loadBytes = 8 << 20
)

// load writes the rows of both artefacts, keys first, and opens what they are.
func (x *restore) load(ctx context.Context) (err error) {
	var have store.Rows
	if err := x.o.Keys.Get(ctx, []store.Key{{Table: rows.KeyControl, Key: rows.VaultKey}}, &have); err != nil {
		return err
	}
	if _, ok := have.Value(0); ok {
		return ErrExists
	}
	if err := x.loadRows(ctx, x.o.Keys, rows.KeyTables(), x.r.Keys, nil); err != nil {
		return fmt.Errorf("restore keys.db: %w", err)
	}
	v := &Vault{
		keys: x.o.Keys, log: x.o.Log, now: x.o.Now, logger: x.o.Logger,
		kek: x.o.KEK, epochKEK: x.o.Epochs,
		subjects: newSubjectCache(x.o.SubjectKeyCache, x.o.SubjectKeyTime, x.o.Now),
	}
	v.changed.begin()
	if err := v.openKeys(ctx, x.o); err != nil {
		if errors.Is(err, keys.ErrDestroyed) {
			err = fmt.Errorf("the erasure epoch of this backup has ended, and no person's key in it opens any more: take a newer backup of keys: %w", err)
		}
		return err
	}
	if v.id != x.report.Keys.Vault {
		v.ring.Close()
		return fmt.Errorf("%w: the rows are of another vault than the manifest says", ErrMismatch)
	}
	if err := x.loadValues(ctx, v); err != nil {
		v.ring.Close()
		return fmt.Errorf("restore values.db: %w", err)
	}
	x.v = v
	return nil
}

func (x *restore) loadValues(ctx context.Context, v *Vault) error {
	values, err := x.o.Values(&rowsLock{ring: v.ring})
	if err != nil {
		return err
	}
	var have store.Rows
	vaultRow := []store.Key{{Table: rows.Control, Key: rows.VaultKey}}
	err = values.Get(ctx, vaultRow, &have)
	if _, ok := have.Value(0); err == nil && ok {
		err = ErrExists
	}
	if err == nil {
		err = x.loadRows(ctx, values, rows.ValueTables(), x.r.Values, func(table uint8, key, value []byte) {
			if table == rows.Outbox && len(key) == 16 {
				x.outbox[[16]byte(key)] = bytes.Clone(value)
			}
		})
	}
	if err == nil {
		err = values.Get(ctx, vaultRow, &have)
	}
	if err == nil {
		if id, ok := have.Value(0); !ok || string(id) != string(v.id[:]) {
			err = ErrMismatch
		}
	}
	if err != nil {
		return errors.Join(err, values.Close())
	}
	v.values = values
	return nil
}

// loadRows writes the rows of an artefact to its end, which says that it is
// whole. also sees each row.
func (x *restore) loadRows(ctx context.Context, s store.Store, tables []store.Table, r *backup.Reader, also func(table uint8, key, value []byte)) error {
	var b store.Batch
	var arena []byte
	keep := func(p []byte) []byte {
		at := len(arena)
		arena = append(arena, p...)
		return arena[at:len(arena):len(arena)]
	}
	flush := func() error {
		if len(b.Writes) == 0 {
			return nil
		}
		err := s.Commit(ctx, &b)
		b.Reset()
		arena = make([]byte, 0, cap(arena)) // an engine may keep what it was given
		return err
	}
	for {
		table, key, value, err := r.Next()
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err != nil {
			return err
		}
		if t := store.Find(tables, table); t == nil || t.Kind != store.Ordered {
			return fmt.Errorf("%w: a row of table %d, which this version does not know", store.ErrFormat, table)
		}
		if also != nil {
			also(table, key, value)
		}
		b.Put(table, keep(key), keep(value))
		x.loaded++
		if err := x.tick(ctx); err != nil {
			return err
		}
		if len(b.Writes) == loadRows || len(arena) >= loadBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}
