package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// What the re-wrap of the vault reads and writes at a time.
const (
	barePage = 512
	bareLot  = 256
)

// bareCells is the floor of a re-wrap: the same rows in an engine of the same
// kind, with values of the same sizes under keysets of the bench.
type bareCells struct {
	ring  *keys.Ring
	store *boltstore.Store
	card  uint32 // the number of the field of cards
}

// close closes the store, which may be nil.
func (b *bareCells) close() error {
	if b == nil {
		return nil
	}
	b.ring.Close()
	return b.store.Close()
}

// newBareCells copies the people table of a vault.
func newBareCells(ctx context.Context, dir string, from store.Store) (_ *bareCells, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	b := &bareCells{}
	if b.ring, err = newRing(ctx, dir); err != nil {
		return nil, err
	}
	b.store, err = boltstore.Open(boltstore.Options{
		Path: filepath.Join(dir, "people.db"), Tables: []store.Table{{Number: rows.People, Name: "people", Kind: store.Ordered}},
	})
	if err != nil {
		b.ring.Close()
		return nil, err
	}
	if err := b.copy(ctx, from); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bareCells) copy(ctx context.Context, from store.Store) error {
	var person [keys.SecretSize]byte
	if _, err := rand.Read(person[:]); err != nil {
		return err
	}
	known := make(map[uint32]bool)
	return eachOf(ctx, from, rows.People, 10*bareLot, func(page []store.Row) error {
		var batch store.Batch
		for _, r := range page {
			k, err := rows.ParsePersonKey(r.Key)
			if err != nil {
				return err
			}
			if k.Field != 0 {
				if !known[k.Field] {
					if err := b.ring.Ensure(ctx, keys.ID{Kind: keys.KindField, Number: k.Field}); err != nil {
						return err
					}
					known[k.Field], b.card = true, max(b.card, k.Field) // the card is the last field of the record
				}
				value := make([]byte, len(r.Value)-seal.Overhead-1) // one byte at least is padding
				if r.Value, err = seal.Seal(nil, b.ring.Snapshot().Field(k.Field), &person, barePlace(&k), value); err != nil {
					return err
				}
			}
			batch.Put(rows.People, r.Key, r.Value)
		}
		return b.store.Commit(ctx, &batch)
	})
}

func barePlace(k *rows.PersonKey) *seal.Place {
	return &seal.Place{Collection: 1, Ref: k.Ref, Field: k.Field, Item: k.Item, KeyGeneration: 1}
}

// eachOf calls fn with every row of a table, page by page.
func eachOf(ctx context.Context, s store.Store, table uint8, size int, fn func([]store.Row) error) error {
	for from := []byte{0}; ; {
		page, err := s.Scan(ctx, table, from, nil, size)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := fn(page); err != nil || len(page) < size {
			return err
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// bareRewrap rotates the keyset of the card, or with n the keysets of all
// fields, and re-wraps what stands under the old versions: one scan, and a
// commit of puts for each lot.
func (c *keyChild) bareRewrap(ctx context.Context, n int) (a keyAnswer, err error) {
	if c.cells == nil {
		if c.cells, err = newBareCells(ctx, filepath.Join(c.dir, "bare-cells"), c.node.Values); err != nil {
			return a, err
		}
	}
	b := c.cells
	for _, id := range b.ring.Snapshot().IDs() {
		if id.Kind == keys.KindField && (n != 0 || id.Number == b.card) {
			if _, err := b.ring.Rotate(ctx, id); err != nil {
				return a, err
			}
		}
	}
	snapshot := b.ring.Snapshot()
	var batch store.Batch
	flush := func() error {
		if len(batch.Writes) == 0 {
			return nil
		}
		a.N += float64(len(batch.Writes))
		err := b.store.Commit(ctx, &batch)
		batch.Reset()
		return err
	}
	begun := time.Now()
	err = eachOf(ctx, b.store, rows.People, barePage, func(page []store.Row) error {
		for _, r := range page {
			k, err := rows.ParsePersonKey(r.Key)
			if err != nil {
				return err
			}
			if k.Field == 0 {
				continue
			}
			lock := snapshot.Field(k.Field)
			version, err := seal.OuterVersion(lock, r.Value)
			if err != nil {
				return err
			}
			if version == lock.Primary() {
				continue
			}
			fresh, err := seal.Rewrap(nil, lock, lock, barePlace(&k), r.Value)
			if err != nil {
				return err
			}
			batch.Put(rows.People, r.Key, fresh)
			if len(batch.Writes) == bareLot {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	a.Seconds = time.Since(begun).Seconds()
	return a, err
}
