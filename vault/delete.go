package vault

import (
	"context"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// DeleteRequest deletes one record.
type DeleteRequest struct {
	Collection string
	SubjectID  string
	ETag       string // when set, the record must have it
	RequestID  string
}

// DeleteRecord deletes a record and returns how many values it had. The caller
// must hold the right on every field of the collection. With the person's last
// record the person goes: their key is destroyed before the answer.
func (v *Vault) DeleteRecord(ctx context.Context, c Caller, q DeleteRequest) (int, error) {
	ch := v.newChange(remove, q.SubjectID, q.ETag)
	if ch.err == nil && q.RequestID != "" && len(q.RequestID) <= MaxRequestID {
		input := digestInput(&RecordInput{SubjectID: q.SubjectID}, q.Collection, q.ETag)
		var err error
		if ch.request, err = v.remember(c, "delete", q.RequestID, 0, input); err != nil {
			return 0, failure(err)
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
		return 0, err
	case ch.err != nil:
		return 0, ch.err
	}
	return ch.deleted, nil
}
