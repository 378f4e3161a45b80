package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// The guard is a sealed row beside the control row, which stands in clear. It
// repeats that row and says which freezes and honey marks there are, so that
// none ends because somebody who writes the disk removed its row, and no older
// control row passes for the present one. All of them put back together to an
// older state agree again: that is what the deep check finds.
//
//	format 1 | control row 25 | number of freezes | for each: number
//	         | number of marks | for each: number × 2 + 1 if it refuses
//
// The second line and what follows the control row are uvarints; each number is
// told as the difference to the one before, and they rise.
const guardFormat = 1

func appendGuard(dst, control []byte, freezes []storedFreeze, honey honeySet) []byte {
	dst = append(append(dst, guardFormat), control...)
	dst = binary.AppendUvarint(dst, uint64(len(freezes)))
	before := uint64(0)
	for _, f := range slices.SortedFunc(slices.Values(freezes), func(a, b storedFreeze) int { return cmp.Compare(a.number, b.number) }) {
		dst = binary.AppendUvarint(dst, f.number-before)
		before = f.number
	}
	dst = binary.AppendUvarint(dst, uint64(len(honey)))
	before = 0
	for _, m := range slices.SortedFunc(maps.Values(honey), func(a, b honeyMark) int { return cmp.Compare(a.number, b.number) }) {
		dst = binary.AppendUvarint(dst, (m.number-before)<<1|bit(m.refuse))
		before = m.number
	}
	return dst
}

func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

// putControl adds the control row of the next state and its guard to a batch,
// which is refused when the row is not that of st any more. Nothing else writes
// either of them, but Create.
func (v *Vault) putControl(b *store.Batch, st, next *state) {
	b.RequireEqual(rows.People, rows.ControlKey, st.control)
	b.Put(rows.People, rows.ControlKey, next.control)
	plain := appendGuard(nil, next.control, next.frozen.freezes(), next.honey)
	b.Put(rows.Control, rows.GuardKey, v.ring.Snapshot().Rows().Seal(nil, plain, sealedRow(v.id, "guard", 0)))
}

// checkGuard holds a control row, freezes and marks against the guard. When it
// says ErrCorrupt, somebody else may have changed them between two reads.
func (v *Vault) checkGuard(ctx context.Context, control []byte, freezes []storedFreeze, honey honeySet) error {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.GuardKey}}, &have); err != nil {
		return err
	}
	sealed, ok := have.Value(0)
	if !ok {
		return guardCorrupt("the row that says which freezes and honey marks there are is missing")
	}
	plain, err := v.ring.Snapshot().Rows().Open(nil, sealed, sealedRow(v.id, "guard", 0))
	switch {
	case err != nil:
		return guardCorrupt(fmt.Sprintf("the row that says which freezes and honey marks there are does not open (%v)", err))
	case len(plain) == 0 || plain[0] != guardFormat:
		return fmt.Errorf("%w: the row that says which freezes and honey marks there are", store.ErrFormat)
	case !bytes.Equal(plain, appendGuard(nil, control, freezes, honey)):
		return guardCorrupt("the control row, the freezes or the honey marks are not those that the vault wrote last")
	}
	return nil
}

// guardCorrupt does not wrap its cause, whose own advice would be about keys.
func guardCorrupt(what string) error {
	return fmt.Errorf("%w: %s: rows were removed, changed or put back, and a freeze may be gone. "+
		"Keep a copy of the whole directory, it is evidence; \"audit verify --deep\" names what is wrong; then bring values.db and keys.db back from a backup", store.ErrCorrupt, what)
}
