package vault

import (
	"bytes"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// outboxRows puts entries of changes into a batch, as rows of the outbox. The
// next start signs whatever it finds there, so the rows are sealed: nobody who
// writes the disk can have the vault attest what it did not do. The zero value
// is ready; it belongs to one goroutine and uses its memory again.
type outboxRows struct{ plain, place []byte }

// put stamps an entry and adds its row. What no log would take is refused: once
// committed it could never be logged, and would stop the vault.
func (o *outboxRows) put(v *Vault, b *store.Batch, e *audit.Entry) error {
	err := e.Validate()
	if err == nil {
		o.plain, err = v.stamp(e, o.plain)
	}
	if err != nil {
		return &Error{Reason: Internal, Detail: "the call cannot be entered in the audit log", cause: err}
	}
	o.place = v.outboxPlace(o.place[:0], e.ID[:])
	// One piece of memory for the key and the row: there is one per change.
	key := append(make([]byte, 0, len(e.ID)+len(o.plain)+keys.AEADOverhead), e.ID[:]...)
	row := v.ring.Snapshot().Rows().Seal(key[len(key):], o.plain, o.place)
	b.Put(rows.Outbox, key[:len(key):len(key)], row)
	return nil
}

// openOutbox opens a row of the outbox.
func (v *Vault) openOutbox(key, row []byte) (*audit.Entry, error) {
	plain, err := v.ring.Snapshot().Rows().Open(nil, row, v.outboxPlace(nil, key))
	if err != nil {
		return nil, outboxCorrupt(key, err)
	}
	e, err := audit.Decode(plain)
	if err == nil && !bytes.Equal(e.ID[:], key) {
		err = fmt.Errorf("%w: its id is another", audit.ErrEntry)
	}
	if err != nil {
		return nil, outboxCorrupt(key, err)
	}
	return e, nil
}

// outboxCorrupt says which row is at fault and what to do. The cause is told
// and not wrapped: its own advice would be about keys.
func outboxCorrupt(key []byte, cause error) error {
	return fmt.Errorf("%w: row %x of the outbox was changed, or this vault did not write it (%s); nothing was taken from it. "+
		"Keep a copy of the whole directory, it is evidence; then bring values.db and keys.db back from a backup", store.ErrCorrupt, key, cause.Error())
}

// outboxPlace is the associated data of a row of the outbox.
func (v *Vault) outboxPlace(dst, key []byte) []byte {
	return append(appendRowPlace(dst, v.id, "outbox/", 0), key...)
}
