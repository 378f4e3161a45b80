package vault

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// The keysets that every vault has.
var (
	rowsKey        = keys.ID{Kind: keys.KindRows}
	lookupKey      = keys.ID{Kind: keys.KindLookup}
	auditRefKey    = keys.ID{Kind: keys.KindAuditRef}
	auditSignerKey = keys.ID{Kind: keys.KindAuditSigner}
)

// keyring keeps a keys.Ring in the key store.
type keyring struct{ store store.Store }

// Load implements keys.Storage.
func (k keyring) Load(ctx context.Context) ([]keys.Row, error) {
	var all []keys.Row
	from := []byte{0}
	for {
		page, err := k.store.Scan(ctx, rows.Keyring, from, nil, 1000)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			all = append(all, keys.Row{Name: string(r.Key), Blob: r.Value})
		}
		if len(page) < 1000 {
			return all, nil
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// Save implements keys.Storage.
func (k keyring) Save(ctx context.Context, create []keys.Row, replace []keys.Replace) error {
	var b store.Batch
	for _, r := range create {
		b.RequireAbsent(rows.Keyring, []byte(r.Name))
		b.Put(rows.Keyring, []byte(r.Name), r.Blob)
	}
	for _, r := range replace {
		b.RequireEqual(rows.Keyring, []byte(r.Name), r.Old)
		b.Put(rows.Keyring, []byte(r.Name), r.New)
	}
	err := k.store.Commit(ctx, &b)
	if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
		return keys.ErrConflict
	}
	return err
}

// sealedRow is the associated data of rows sealed under the rows keyset: what
// the row is, which vault's, and its number.
func sealedRow(vaultID [16]byte, what string, number uint64) []byte {
	return appendRowPlace(nil, vaultID, what, number)
}

// appendRowPlace is sealedRow into memory of the caller's.
func appendRowPlace(dst []byte, vaultID [16]byte, what string, number uint64) []byte {
	dst = append(dst, "cloakroom/row/v1"...)
	dst = append(dst, vaultID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, number)
	return append(dst, what...)
}
