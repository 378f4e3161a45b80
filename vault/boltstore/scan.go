package boltstore

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, table uint8, from, to []byte, limit int) ([]store.Row, error) {
	switch t := s.table(table); {
	case t == nil:
		return nil, fmt.Errorf("%w: table %d is not declared", store.ErrUsage, table)
	case t.Kind != store.Ordered:
		return nil, fmt.Errorf("%w: table %d is scattered and cannot be scanned", store.ErrUsage, table)
	case limit < 1:
		return nil, fmt.Errorf("%w: a scan of %d rows, want at least 1", store.ErrUsage, limit)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var page []store.Row
	err := s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketTable(table))
		if b == nil {
			return missing(tx, bucketTable(table))
		}
		c := b.Cursor()
		k, v := c.Seek(from)
		for ; k != nil && len(page) < limit && (to == nil || bytes.Compare(k, to) < 0); k, v = c.Next() {
			if v == nil || len(k) > store.MaxKeyLen || len(v) > store.MaxValueLen {
				return fmt.Errorf("%w: table %d has a row that is none", store.ErrCorrupt, table)
			}
			if len(page)%256 == 255 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			row := append(append(make([]byte, 0, len(k)+len(v)), k...), v...)
			page = append(page, store.Row{Key: row[:len(k):len(k)], Value: row[len(k):]})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}
