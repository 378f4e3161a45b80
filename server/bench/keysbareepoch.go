package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const (
	// fillLane is the lane of the refs of persons who have a key and nothing
	// else. The vault gives out none of it and does not sweep it.
	fillLane = 9
	fillLot  = 10_000
	// epochPage is what the end of an epoch reads and writes at a time.
	epochPage = 1000
	// bareEpochMost bounds the persons of the bare loop: how fast it goes does
	// not depend on it, and a copy of ten million would only fill the disk.
	bareEpochMost = 1_000_000
)

// fillKeys stores n persons' keys wrapped in an epoch, from a number on.
func fillKeys(ctx context.Context, s store.Store, e *keys.Epoch, first, n int) error {
	var key [keys.SecretSize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	for done := 0; done < n; done += fillLot {
		var b store.Batch
		for i := done; i < min(done+fillLot, n); i++ {
			ref := rows.Ref(fillLane, uint64(first+i+1))
			b.Put(rows.Subjects, rows.RefKey(ref), e.WrapSubjectKey(nil, ref, 1, &key))
		}
		if err := s.Commit(ctx, &b); err != nil {
			return err
		}
	}
	return nil
}

// morePersons stores the keys of n persons more in the vault's current epoch,
// by the engine and past the vault.
func (c *keyChild) morePersons(ctx context.Context, n int) (a keyAnswer, err error) {
	begun := time.Now()
	var have store.Rows
	err = c.node.Keys.Get(ctx, []store.Key{
		{Table: rows.KeyControl, Key: rows.VaultKey}, {Table: rows.KeyControl, Key: rows.EpochKey},
	}, &have)
	if err != nil {
		return a, err
	}
	id, _ := have.Value(0)
	row, ok := have.Value(1)
	if len(id) != 16 || !ok {
		return a, errors.New("keys.db is not that of a vault")
	}
	stored, err := rows.ParseEpoch(row)
	if err != nil {
		return a, err
	}
	provider, err := filekek.OpenEpochs(filepath.Join(c.dir, "vault", "epochs"))
	if err != nil {
		return a, err
	}
	e, err := keys.OpenEpoch(ctx, provider, stored.Number, [16]byte(id), stored.Wrapped)
	if err != nil {
		return a, err
	}
	err = fillKeys(ctx, c.node.Keys, e, 0, n)
	return keyAnswer{N: float64(n), Seconds: time.Since(begun).Seconds()}, err
}

// bareEpochs is the floor of the end of an epoch: persons' keys in an engine of
// the same kind, under an epoch of the bench.
type bareEpochs struct {
	provider *filekek.Epochs
	store    *boltstore.Store
	epoch    *keys.Epoch
}

// close closes the store, which may be nil.
func (b *bareEpochs) close() error {
	if b == nil {
		return nil
	}
	return b.store.Close()
}

func newBareEpochs(ctx context.Context, dir string, n int) (_ *bareEpochs, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	b := &bareEpochs{}
	if b.provider, err = filekek.CreateEpochs(filepath.Join(dir, "epochs")); err != nil {
		return nil, err
	}
	if b.epoch, _, err = keys.CreateEpoch(ctx, b.provider, 1, [16]byte{1}); err != nil {
		return nil, err
	}
	if b.store, err = boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "keys.db"), Tables: rows.KeyTables()}); err != nil {
		return nil, err
	}
	if err := fillKeys(ctx, b.store, b.epoch, 0, n); err != nil {
		return nil, errors.Join(err, b.store.Close())
	}
	return b, nil
}

// bareEpoch unwraps and wraps n persons' keys: once with the store, a scan and
// a commit of puts for each page, and once without, which is the part "crypto".
func (c *keyChild) bareEpoch(ctx context.Context, n int) (a keyAnswer, err error) {
	if c.persons == nil {
		if c.persons, err = newBareEpochs(ctx, filepath.Join(c.dir, "bare-epochs"), n); err != nil {
			return a, err
		}
	}
	b := c.persons
	next, _, err := keys.CreateEpoch(ctx, b.provider, b.epoch.Number()+1, [16]byte{1})
	if err != nil {
		return a, err
	}
	var one store.Row
	begun := time.Now()
	err = eachOf(ctx, b.store, rows.Subjects, epochPage, func(page []store.Row) error {
		var batch store.Batch
		for _, r := range page {
			fresh, err := wrapAnew(nil, b.epoch, next, &r)
			if err != nil {
				return err
			}
			batch.Put(rows.Subjects, r.Key, fresh)
		}
		one = page[0]
		a.N += float64(len(page))
		return b.store.Commit(ctx, &batch)
	})
	if err != nil {
		return a, err
	}
	a.Seconds = time.Since(begun).Seconds()
	begun = time.Now()
	dst := make([]byte, 0, keys.WrappedSubjectKeySize)
	for range int(a.N) {
		if _, err := wrapAnew(dst, b.epoch, next, &one); err != nil {
			return a, err
		}
	}
	a.Steps = map[string]float64{"crypto": time.Since(begun).Seconds()}
	b.epoch = next
	return a, nil
}

// wrapAnew appends the key of a row, wrapped in another epoch.
func wrapAnew(dst []byte, from, to *keys.Epoch, r *store.Row) ([]byte, error) {
	var key [keys.SecretSize]byte
	defer clear(key[:])
	ref, err := rows.ParseRef(r.Key)
	if err != nil {
		return dst, err
	}
	_, generation, err := keys.SubjectKeyEpoch(r.Value)
	if err != nil {
		return dst, err
	}
	if err := from.UnwrapSubjectKey(r.Value, ref, generation, &key); err != nil {
		return dst, err
	}
	return to.WrapSubjectKey(dst, ref, generation, &key), nil
}
