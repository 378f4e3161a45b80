package vault

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// The keysets row, sealed in values.db, notes the generation of every keyset
// in keys.db. A keyset that was put back to an older state, in which a version
// is enabled that was disabled since, does not pass for the present one.
//
//	format 1 | keyset generation 8 | for each, rising: kind 1 | number 4 | generation 8
//	for each destruction that waits for approval: 255 | number 4 | approvals 8
//
// So a request that was withdrawn, or an approval that was not given, cannot be
// put back either.
//
// The keyset generation is that of the control row, which the guard repeats,
// so that the row cannot be put back either. Keysets may be ahead of the row:
// they change first.
const (
	keysetsFormat = 1
	keysetEntry   = 1 + 4 + 8
	// keysetsRequest stands in place of a kind.
	keysetsRequest = 255
)

// putKeysets adds the keysets row to a batch that moves the control row to a
// keyset generation.
func (v *Vault) putKeysets(b *store.Batch, generation uint64, requests map[uint64]int) {
	putKeysetsRow(b, v.id, v.ring.Snapshot(), generation, requests)
}

func putKeysetsRow(b *store.Batch, vaultID [16]byte, s *keys.Snapshot, generation uint64, requests map[uint64]int) {
	plain := binary.BigEndian.AppendUint64([]byte{keysetsFormat}, generation)
	for _, id := range s.IDs() {
		plain = append(plain, byte(id.Kind))
		plain = binary.BigEndian.AppendUint32(plain, id.Number)
		plain = binary.BigEndian.AppendUint64(plain, s.Generation(id))
	}
	for _, number := range slices.Sorted(maps.Keys(requests)) {
		plain = append(plain, keysetsRequest)
		plain = binary.BigEndian.AppendUint32(plain, uint32(number))
		plain = binary.BigEndian.AppendUint64(plain, uint64(requests[number]))
	}
	b.Put(rows.Control, rows.KeysetsKey, s.Rows().Seal(nil, plain, sealedRow(vaultID, "keysets", 0)))
}

// checkKeysets holds the keysets against the row and returns the requests that
// it notes. When it says ErrCorrupt, somebody else may have changed them between
// two reads.
func (v *Vault) checkKeysets(ctx context.Context, control rows.ControlRow) (map[uint64]int, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.KeysetsKey}}, &have); err != nil {
		return nil, err
	}
	sealed, ok := have.Value(0)
	if !ok && control.Keysets == 0 {
		// A vault from before keys could be changed, and in which none was since: a
		// row that somebody took away would have had nothing to hide.
		return nil, nil
	}
	if !ok {
		return nil, keysetsCorrupt("is missing")
	}
	plain, err := v.ring.Snapshot().Rows().Open(nil, sealed, sealedRow(v.id, "keysets", 0))
	switch {
	case err != nil:
		return nil, keysetsCorrupt(fmt.Sprintf("does not open (%v)", err))
	case len(plain) < 9 || plain[0] != keysetsFormat || (len(plain)-9)%keysetEntry != 0:
		return nil, fmt.Errorf("%w: the row that notes the keysets", store.ErrFormat)
	case binary.BigEndian.Uint64(plain[1:]) != control.Keysets:
		return nil, keysetsCorrupt("is not the one that the vault wrote last")
	}
	s, requests := v.ring.Snapshot(), make(map[uint64]int)
	givenUp := v.sealed.Load() != nil // most keysets
	for at := plain[9:]; len(at) > 0; at = at[keysetEntry:] {
		if at[0] == keysetsRequest {
			requests[uint64(binary.BigEndian.Uint32(at[1:]))] = int(binary.BigEndian.Uint64(at[5:]))
			continue
		}
		id := keys.ID{Kind: keys.Kind(at[0]), Number: binary.BigEndian.Uint32(at[1:])}
		if noted := binary.BigEndian.Uint64(at[5:]); s.Generation(id) < noted && !givenUp {
			return nil, fmt.Errorf("%w: keyset %s is of generation %d, and was of generation %d already: keys.db was put back to an older state, "+
				"in which keys may work that were disabled since. Bring values.db and keys.db back together, with \"cloakroomd restore\"",
				store.ErrCorrupt, id, s.Generation(id), noted)
		}
	}
	return requests, nil
}

func keysetsCorrupt(what string) error {
	return fmt.Errorf("%w: the row that notes the generations of the keysets %s: values.db was changed by somebody else. "+
		"Keep a copy of the whole directory, it is evidence; then bring values.db and keys.db back from a backup", store.ErrCorrupt, what)
}
