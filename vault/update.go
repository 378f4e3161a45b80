package vault

import (
	"context"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// UpdateRequest changes fields of an existing record.
type UpdateRequest struct {
	Collection string
	Record     RecordInput
	Mask       []string // the fields to change; empty: those given
	ETag       string   // when set, the record must have it
	RequestID  string
	Domain     string
}

// UpdateRecord replaces values of a record: fields of the mask with values get
// them, those without lose theirs. Items keep their tokens.
func (v *Vault) UpdateRecord(ctx context.Context, c Caller, q UpdateRequest) (*Record, error) {
	ch := v.newChange(update, q.Record.SubjectID, q.ETag)
	if ch.err == nil && q.RequestID != "" && len(q.RequestID) <= MaxRequestID {
		input := digestInput(&q.Record, append([]string{q.Collection, q.ETag}, q.Mask...)...)
		var err error
		if ch.request, err = v.remember(c, "update", q.RequestID, 0, input); err != nil {
			return nil, failure(err)
		}
	}
	changes := []*change{ch}
	st, err := v.applyAll(ctx, c, audit.ActionUpdate, changes, func(st *state) (*policy.Collection, *Error) {
		pr := st.policy.Principal(c.Principal)
		if err := st.may(pr, policy.ActionWrite); err != nil {
			return nil, err
		}
		if err := checkRequestID(q.RequestID); err != nil {
			return nil, err
		}
		coll, err := collectionOf(st, q.Collection)
		if err != nil {
			return nil, err
		}
		if _, err := domainOf(st, q.Domain); err != nil {
			return nil, err
		}
		if ch.open() {
			var fields []FieldValues
			if fields, ch.err = masked(q.Record.Fields, q.Mask); ch.err == nil {
				ch.set, ch.err = v.fieldsOf(st, pr, coll, fields)
			}
		}
		return coll, nil
	})
	if err != nil {
		return nil, err
	}
	out, err := v.answers(ctx, c, st, q.Collection, q.Domain, changes)
	if err != nil {
		return nil, err
	}
	if out[0].Err != nil {
		return nil, out[0].Err
	}
	return out[0].Record, nil
}

// masked applies a field mask: every field given must be in it, and a field of
// the mask that is not given is cleared.
func masked(given []FieldValues, mask []string) ([]FieldValues, *Error) {
	if len(mask) == 0 {
		if len(given) == 0 {
			return nil, refuse(InvalidRequest, "update_mask", "names no field, and no field is given")
		}
		return given, nil
	}
	out := slices.Clone(given)
	for _, f := range given {
		if !slices.Contains(mask, f.Field) {
			return nil, refuse(InvalidRequest, printable(f.Field), "is given and not in the update mask")
		}
	}
	for _, name := range mask {
		if !slices.ContainsFunc(out, func(f FieldValues) bool { return f.Field == name }) {
			out = append(out, FieldValues{Field: name})
		}
	}
	return out, nil
}
