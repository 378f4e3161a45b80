package vault

import (
	"context"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// GetRequest asks for metadata and tokens of 1 to MaxBatch records.
type GetRequest struct {
	Collection string
	SubjectIDs []string
	Domain     string
}

// storedRecord is a live record as stored; record is nil when there is none.
// A row that is damaged is an error of this record only.
type storedRecord struct {
	header rows.Header
	record *rows.Record
	err    error
}

// readRecords reads the headers and records of persons in one snapshot. With a
// state it returns errStale when that is not in force in the snapshot; nil is
// for callers who see to that themselves.
func (v *Vault) readRecords(ctx context.Context, st *state, coll *policy.Collection, refs []uint64) ([]storedRecord, error) {
	out := make([]storedRecord, len(refs))
	pairs := make([]store.Key, 1, 1+2*len(refs))
	pairs[0] = controlPair
	for _, ref := range refs {
		pairs = append(pairs,
			store.Key{Table: rows.People, Key: rows.HeaderKey(ref)},
			store.Key{Table: rows.People, Key: rows.RecordKey(ref, uint16(coll.ID))})
	}
	var have store.Rows
	damaged, changed, err := salvage(ctx, v.values, pairs, 1, 2, &have)
	if err != nil {
		return nil, err
	}
	if row, ok := have.Value(0); st != nil && (changed || !st.current(row, ok)) {
		return nil, errStale
	}
	for i := range refs {
		if damaged[i] {
			out[i].err = fmt.Errorf("%w: a record's rows", store.ErrCorrupt)
			continue
		}
		head, ok := have.Value(2*i + 1)
		row, there := have.Value(2*i + 2)
		if !ok || !there {
			continue
		}
		h, err := rows.ParseHeader(head)
		var r *rows.Record
		if err == nil {
			r, err = rows.ParseRecord(row)
		}
		switch {
		case err != nil:
			v.logger.Error("a record's rows are damaged", "collection", coll.Name, "error", err)
			out[i].err = err
		case h.State == rows.Active && r.Live:
			out[i] = storedRecord{header: h, record: r}
		}
	}
	return out, nil
}

// readCall is what reads of records have in common: the rights and names.
type readCall struct {
	st       *state
	coll     *policy.Collection
	domain   policy.DomainID
	readable []*policy.Field
	named    bool // whether a list may name the persons
}

// nameable keeps a person's id out of a list for who may read tokens of other
// domains only: beside the id, tokens of two domains could be joined without
// the vault.
func (r *readCall) nameable(subject string) string {
	if r.named {
		return subject
	}
	return ""
}

func (st *state) beginRead(c Caller, collection, domain string) (*readCall, *Error) {
	r := &readCall{st: st}
	pr := r.st.policy.Principal(c.Principal)
	if err := r.st.may(pr, policy.ActionRead); err != nil {
		return r, err
	}
	var err *Error
	if r.coll, err = collectionOf(r.st, collection); err != nil {
		return r, err
	}
	if r.domain, err = domainOf(r.st, domain); err != nil {
		return r, err
	}
	var refusal Reason
	if r.readable, refusal = r.st.readable(pr, r.coll, r.domain); refusal != 0 {
		return r, fail(refusal, "collection")
	}
	_, refusal = r.st.readable(pr, r.coll, policy.DefaultDomain)
	r.named = r.domain == policy.DefaultDomain || refusal == 0
	return r, nil
}

// GetRecords returns the metadata and tokens of records, each item on its own,
// in the order of the request.
func (v *Vault) GetRecords(ctx context.Context, c Caller, q GetRequest) ([]RecordResult, error) {
	return steady(ctx, v, func(st *state) ([]RecordResult, error) { return v.getRecords(ctx, c, st, &q) })
}

func (v *Vault) getRecords(ctx context.Context, c Caller, st *state, q *GetRequest) ([]RecordResult, error) {
	call, refused := st.beginRead(c, q.Collection, q.Domain)
	if refused == nil && (len(q.SubjectIDs) == 0 || len(q.SubjectIDs) > MaxBatch) {
		refused = refuse(InvalidRequest, "subject_ids", fmt.Sprintf("must be 1 to %d", MaxBatch))
	}
	if refused != nil {
		return nil, v.refused(ctx, c, call.st, refused, audit.Entry{Action: audit.ActionRead, Count: uint32(len(q.SubjectIDs))})
	}
	out := make([]RecordResult, len(q.SubjectIDs))
	ids := make([]string, len(q.SubjectIDs))
	for i, id := range q.SubjectIDs {
		if out[i].Err = checkSubjectID(id); out[i].Err != nil {
			continue
		}
		ids[i] = id
	}
	refs, err := v.findRefs(ctx, ids)
	if err != nil {
		return nil, failure(err)
	}
	found, err := v.readRecords(ctx, st, call.coll, refs)
	if err != nil {
		return nil, passing(err)
	}
	for i := range out {
		switch {
		case out[i].Err != nil:
		case found[i].err != nil:
			out[i].Err = asError(found[i].err)
		case found[i].record == nil:
			out[i].Err = fail(RecordNotFound, "")
		default:
			out[i].Record, err = v.recordOf(call.st, call.coll, q.SubjectIDs[i], refs[i], found[i].header, found[i].record, call.readable, call.domain)
			if err != nil {
				return nil, failure(err)
			}
		}
	}
	if err := v.auditRead(ctx, c, call, audit.ActionRead, refs, out); err != nil {
		return nil, err
	}
	return out, nil
}

// auditRead logs a read of tokens before it is answered.
func (v *Vault) auditRead(ctx context.Context, c Caller, call *readCall, action audit.Action, refs []uint64, results []RecordResult) error {
	items := make([]audit.Item, len(results))
	allowed := 0
	for i, r := range results {
		items[i].Outcome = audit.Allowed
		if r.Err != nil {
			items[i].Outcome, items[i].Refusal = audit.Refused, uint16(r.Err.Reason)
		} else {
			allowed++
		}
		if refs[i] != 0 {
			items[i].Subject = v.subject.encipher(refs[i])
		}
	}
	outcome := outcomeOf(allowed, len(items))
	if len(items) == 0 {
		outcome = audit.Allowed // an empty page
	}
	return waitFor(ctx, v.log.Append(&audit.Entry{
		Request: c.Request, Principal: c.Principal, Action: action,
		PolicyVersion: call.st.policy.Version(), Collection: call.coll.Name,
		Outcome: outcome, Count: uint32(len(items)), Items: items,
	}))
}
