package vault

import (
	"context"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// closeFields keeps new values out of fields until openFields, while it is
// looked whether they hold any: who writes to one is told to come again. The
// control row changes, so that writes decided before conflict and are decided
// anew. The caller holds v.mu.
func (v *Vault) closeFields(ctx context.Context, st *state, fields []*policy.Field) (*state, error) {
	control, err := rows.ParseControl(st.control)
	if err != nil {
		return nil, err
	}
	control.Freezes++
	next := *st
	next.control = control.Append(nil)
	next.closed = make(map[policy.FieldID]bool)
	for _, f := range fields {
		next.closed[f.ID] = true
	}
	var b store.Batch
	v.putControl(&b, st, &next)
	err = v.values.Commit(ctx, &b)
	if isConflict(err) {
		return nil, fail(Contention, "")
	}
	if err != nil {
		return nil, err
	}
	v.state.Store(&next)
	return &next, nil
}

// openFields ends closeFields. The caller holds v.mu.
func (v *Vault) openFields() {
	if st := v.state.Load(); st.closed != nil {
		next := *st
		next.closed = nil
		v.state.Store(&next)
	}
}

// mayDrop refuses to drop fields that still hold values.
func (v *Vault) mayDrop(ctx context.Context, fields []*policy.Field) (*Error, error) {
	for _, f := range fields {
		holds, err := v.holdsValues(ctx, f)
		if err != nil {
			return nil, err
		}
		if holds {
			return refuse(FieldHoldsValues, f.Collection.Name+"."+f.Name, "still holds values and cannot be dropped"), nil
		}
	}
	return nil, nil
}

// holdsValues tells whether any record holds a value of the field. It reads
// records in pages and stops at the first; dropping a field is rare.
func (v *Vault) holdsValues(ctx context.Context, f *policy.Field) (bool, error) {
	from, to := rows.MemberRange(uint16(f.Collection.ID), 0)
	for {
		page, err := v.values.Scan(ctx, rows.Members, from, to, scanPage)
		if err != nil || len(page) == 0 {
			return false, err
		}
		refs := make([]uint64, len(page))
		for i, r := range page {
			if refs[i], err = rows.ParseMemberKey(r.Key); err != nil {
				return false, err
			}
		}
		found, err := v.readRecords(ctx, nil, f.Collection, refs)
		if err != nil {
			return false, err
		}
		for _, r := range found {
			if r.err != nil {
				return false, r.err // it might
			}
			if r.record == nil {
				continue
			}
			if items := r.record.Find(uint32(f.ID)); items != nil && len(items.Items) > 0 {
				return true, nil
			}
		}
		from = store.Next(page[len(page)-1].Key)
	}
}
