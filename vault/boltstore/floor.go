package boltstore

import (
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Floor reads rows of an ordered table with as little as bbolt allows: one
// transaction, one cursor, one search a key. It calls fn with the index of
// each key that exists and the value in place, which must not be kept or
// changed. Benchmarks compare Get with it; nothing else should call it.
func (s *Store) Floor(table uint8, keys [][]byte, fn func(i int, value []byte) error) error {
	if t := s.table(table); t == nil || t.Kind != store.Ordered {
		return fmt.Errorf("%w: table %d is not an ordered table", store.ErrUsage, table)
	}
	return s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketTable(table))
		if b == nil {
			return missing(tx, bucketTable(table))
		}
		c := b.Cursor()
		for i, key := range keys {
			k, v := c.Seek(key)
			if string(k) != string(key) {
				continue
			}
			if err := fn(i, v); err != nil {
				return err
			}
		}
		return nil
	})
}
