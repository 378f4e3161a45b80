package vault

import (
	"context"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// DeleteRequest deletes one record.
type DeleteRequest struct {
	Collection string
	SubjectID  string
	ETag       string // when set, the record must have it
	RequestID  string
}

// DeleteResult is what a deletion did.
type DeleteResult struct {
	Values int // deleted
	// CopiesExpire is, when the person went with the record, by when every older
	// copy of the vault and every backup is dead for their values too: the end of
	// the erasure epoch, and as long as its provider could bring the key back. It
	// may be later than that for a repeated request, and the end comes later when
	// it cannot be brought about in time. Zero: the person has other records, or
	// epochs end on demand only.
	CopiesExpire time.Time
}

// DeleteRecord deletes a record. The caller must hold the right on every field
// of the collection. With the person's last record the person goes: their key
// is destroyed before the answer.
func (v *Vault) DeleteRecord(ctx context.Context, c Caller, q DeleteRequest) (DeleteResult, error) {
	ch := v.newChange(remove, q.SubjectID, q.ETag)
	if ch.err == nil && q.RequestID != "" && len(q.RequestID) <= MaxRequestID {
		input := digestInput(&RecordInput{SubjectID: q.SubjectID}, q.Collection, q.ETag)
		var err error
		if ch.request, err = v.remember(c, "delete", q.RequestID, 0, input); err != nil {
			return DeleteResult{}, failure(err)
		}
	}
	_, err := v.applyAll(ctx, c, audit.ActionDelete, []*change{ch}, func(st *state) (*policy.Collection, *Error) {
		pr := st.policy.Principal(c.Principal)
		if err := st.may(pr, policy.ActionDelete); err != nil {
			return nil, err
		}
		if err := checkRequestID(q.RequestID); err != nil {
			return nil, err
		}
		coll, err := collectionOf(st, q.Collection)
		if err != nil {
			return nil, err
		}
		for _, f := range coll.Fields {
			if refusal := st.decide(pr, policy.Request{Action: policy.ActionDelete, Field: f.ID, Domain: policy.DefaultDomain}); refusal != 0 {
				return nil, fail(refusal, f.Name)
			}
		}
		return coll, nil
	})
	switch {
	case err != nil:
		return DeleteResult{}, err
	case ch.err != nil:
		return DeleteResult{}, ch.err
	}
	erased := ch.header.State == rows.Erased
	if ch.request != nil && ch.request.was != nil { // done by an earlier call
		if erased, err = v.erased(ctx, ch.ref); err != nil {
			return DeleteResult{}, failure(err)
		}
	}
	out := DeleteResult{Values: ch.deleted}
	if erased {
		out.CopiesExpire = v.copiesExpire(v.now())
	}
	return out, nil
}
