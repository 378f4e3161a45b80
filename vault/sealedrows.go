package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// rowLen is the length of a freeze or a honey mark before it is sealed. All
// are equally long, so that a stolen disk does not show what kind of thing is
// frozen or how long its name is.
//
//	format 1 | JSON | spaces
const rowLen = 1024

const sealedFormat = 1

// rowName says in the associated data which table a sealed row is of, so that
// none opens in another table or under another number.
func rowName(table uint8) string {
	switch table {
	case rows.Honey:
		return "honey"
	case rows.KeyRequests:
		return "key-request"
	}
	return "freeze"
}

// putRow adds a sealed row to a batch.
func (v *Vault) putRow(b *store.Batch, table uint8, number uint64, content any) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	plain := append(make([]byte, 0, rowLen), sealedFormat)
	plain = append(plain, text...)
	if len(plain) > rowLen {
		return fmt.Errorf("%w: a row of %d bytes is too long", store.ErrUsage, len(plain))
	}
	plain = append(plain, bytes.Repeat([]byte{' '}, rowLen-len(plain))...)
	b.Put(table, rows.NumberKey(number), v.ring.Snapshot().Rows().Seal(nil, plain, sealedRow(v.id, rowName(table), number)))
	return nil
}

// eachRow opens every row of a table, by rising number: read gets the number
// and a function that decodes the row. A row that does not open is an error of
// the whole: somebody may have wanted it gone.
func (v *Vault) eachRow(ctx context.Context, table uint8, read func(number uint64, decode func(any) error) error) error {
	from := []byte{0}
	for {
		page, err := v.values.Scan(ctx, table, from, nil, scanPage)
		if err != nil {
			return err
		}
		for _, r := range page {
			number, err := rows.ParseNumberKey(r.Key)
			if err != nil {
				return err
			}
			err = read(number, func(into any) error { return v.openRow(table, number, r.Value, into) })
			if err != nil {
				return err
			}
		}
		if len(page) < scanPage {
			return nil
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

func (v *Vault) openRow(table uint8, number uint64, sealed []byte, into any) error {
	plain, err := v.ring.Snapshot().Rows().Open(nil, sealed, sealedRow(v.id, rowName(table), number))
	if err != nil {
		return fmt.Errorf("%w: %s row %d: %w", store.ErrCorrupt, rowName(table), number, err)
	}
	if len(plain) != rowLen || plain[0] != sealedFormat {
		return fmt.Errorf("%w: %s row %d", store.ErrFormat, rowName(table), number)
	}
	if err := json.Unmarshal(plain[1:], into); err != nil {
		return fmt.Errorf("%w: %s row %d", store.ErrCorrupt, rowName(table), number)
	}
	return nil
}

// loadRestrictions reads what is frozen and who is marked. each is told every
// row, and why it does not open; what it returns ends the reading.
func (v *Vault) loadRestrictions(ctx context.Context, each func(at numbered, err error) error) ([]storedFreeze, honeySet, error) {
	var freezes []storedFreeze
	err := v.eachRow(ctx, rows.Freezes, func(number uint64, decode func(any) error) error {
		f := storedFreeze{number: number}
		err := decode(&f)
		if err == nil && (f.Kind < FreezePrincipal || f.Kind > FreezeVault) {
			err = fmt.Errorf("%w: a freeze of an unknown kind", store.ErrFormat)
		}
		freezes = append(freezes, f)
		return each(numbered{rows.Freezes, number}, err)
	})
	if err != nil {
		return nil, nil, err
	}
	var honey honeySet
	err = v.eachRow(ctx, rows.Honey, func(number uint64, decode func(any) error) error {
		var h storedHoney
		err := decode(&h)
		if honey == nil {
			honey = make(honeySet)
		}
		honey[h.Ref] = honeyMark{number: number, refuse: h.Refuse}
		return each(numbered{rows.Honey, number}, err)
	})
	return freezes, honey, err
}
