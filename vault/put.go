package vault

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// PutRequest stores 1 to MaxBatch records of one collection.
type PutRequest struct {
	Collection string
	Records    []RecordInput
	Upsert     bool   // change records that exist instead of refusing them
	RequestID  string // remembered for RequestMemory; empty: not remembered
	Domain     string // of the returned tokens; empty: "default"
}

// RecordResult answers one record of a batch.
type RecordResult struct {
	Record  *Record
	Created bool
	Err     *Error
}

// PutRecords stores records, each atomically and on its own. The results stand
// in the order of the request. The call fails as a whole when the caller may
// write nothing, the request is out of form, or the vault cannot serve; in the
// last case some records may be stored.
func (v *Vault) PutRecords(ctx context.Context, c Caller, q PutRequest) ([]RecordResult, error) {
	m := create
	if q.Upsert {
		m = upsert
	}
	changes, err := v.changesFor(c, m, &q)
	if err != nil {
		return nil, err
	}
	st, err := v.applyAll(ctx, c, audit.ActionCreate, changes, func(st *state) (*policy.Collection, *Error) {
		pr := st.policy.Principal(c.Principal)
		if err := st.may(pr, policy.ActionWrite); err != nil {
			return nil, err
		}
		if err := checkBatch(len(q.Records), q.RequestID); err != nil {
			return nil, err
		}
		coll, err := collectionOf(st, q.Collection)
		if err != nil {
			return nil, err
		}
		if _, err := domainOf(st, q.Domain); err != nil {
			return nil, err
		}
		for i, ch := range changes {
			if ch.open() {
				ch.set, ch.err = v.fieldsOf(st, pr, coll, q.Records[i].Fields)
			}
		}
		refuseTwice(changes)
		return coll, nil
	})
	if err != nil {
		return nil, err
	}
	return v.answers(ctx, c, st, q.Collection, q.Domain, changes)
}

// checkBatch checks the size of a batch and the form of a request id.
func checkBatch(n int, requestID string) *Error {
	if n == 0 || n > MaxBatch {
		return refuse(InvalidRequest, "records", fmt.Sprintf("must be 1 to %d", MaxBatch))
	}
	return checkRequestID(requestID)
}

// changesFor makes a change for every record. More than MaxBatch are not
// looked at: the call is refused before anything is read.
func (v *Vault) changesFor(c Caller, m mode, q *PutRequest) ([]*change, error) {
	changes := make([]*change, min(len(q.Records), MaxBatch))
	call := []string{q.Collection, strconv.FormatBool(q.Upsert), strconv.Itoa(len(q.Records))}
	for i := range changes {
		in := &q.Records[i]
		ch := v.newChange(m, in.SubjectID, "")
		if ch.err == nil && q.RequestID != "" && len(q.RequestID) <= MaxRequestID {
			var err error
			if ch.request, err = v.remember(c, "put", q.RequestID, i, digestInput(in, call...)); err != nil {
				return nil, failure(err)
			}
		}
		changes[i] = ch
	}
	return changes, nil
}

// fieldsOf checks the right to write each field, then the values.
func (v *Vault) fieldsOf(st *state, pr *policy.Principal, coll *policy.Collection, in []FieldValues) ([]fieldChange, *Error) {
	if len(in) == 0 {
		if refusal := st.writes(pr, coll); refusal != 0 {
			return nil, fail(refusal, "collection")
		}
	}
	set := make([]fieldChange, 0, len(in))
	total := 0
	for _, given := range in {
		f := st.policy.FieldByName(coll.Name, given.Field)
		if f == nil {
			return nil, fail(UnknownField, printable(given.Field))
		}
		if refusal := st.decide(pr, policy.Request{Action: policy.ActionWrite, Field: f.ID, Domain: policy.DefaultDomain}); refusal != 0 {
			return nil, fail(refusal, f.Name)
		}
		if st.closed[f.ID] {
			return nil, fail(Contention, f.Name)
		}
		for i := range set {
			if set[i].field == f {
				return nil, refuse(InvalidRequest, f.Name, "is given twice")
			}
		}
		set = append(set, fieldChange{field: f})
		total += len(given.Values)
	}
	if total > MaxRecordValues {
		return nil, refuse(InvalidRequest, "fields", fmt.Sprintf("must hold at most %d values", MaxRecordValues))
	}
	now := v.now()
	for i := range set {
		var err *Error
		if set[i].values, err = canonical(set[i].field, in[i].Values, now); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// writes tells why the caller may write no field of a collection, or 0. A
// record without values names no field that could be decided, and storing one
// tells whether there is a record.
func (st *state) writes(pr *policy.Principal, c *policy.Collection) Reason {
	none := FieldDenied
	for _, f := range c.Fields {
		switch st.decide(pr, policy.Request{Action: policy.ActionWrite, Field: f.ID, Domain: policy.DefaultDomain}) {
		case 0:
			return 0
		case Frozen:
			none = Frozen
		}
	}
	return none
}

// printable keeps a name that a caller made up out of errors unless it has the
// form of a name: something else could be a value in the wrong place.
func printable(name string) string {
	if len(name) == 0 || len(name) > 64 || name[0] < 'a' || name[0] > 'z' {
		return "field"
	}
	for i := range len(name) {
		if c := name[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "field"
		}
	}
	return name
}

// refuseTwice refuses the second and later changes of one person in a call.
func refuseTwice(changes []*change) {
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		if c.open() && seen[c.subject] {
			c.err = refuse(InvalidRequest, "subject_id", "stands twice in the request")
		}
		seen[c.subject] = true
	}
}

// answers makes the results of changes: the records with their tokens. What a
// repeated request had done before is read from the store.
func (v *Vault) answers(ctx context.Context, c Caller, st *state, collection, domain string, changes []*change) ([]RecordResult, error) {
	if err := v.replay(ctx, st, collection, changes); err != nil {
		return nil, err
	}
	coll, refused := collectionOf(st, collection)
	if refused != nil {
		return nil, refused
	}
	dom, refused := domainOf(st, domain)
	if refused != nil {
		return nil, refused
	}
	readable, _ := st.readable(st.policy.Principal(c.Principal), coll, dom)
	out := make([]RecordResult, len(changes))
	for i, ch := range changes {
		if ch.err != nil {
			out[i].Err = ch.err
			continue
		}
		r, err := v.recordOf(st, coll, ch.subject, ch.ref, ch.header, ch.record, readable, dom)
		if err != nil {
			return nil, failure(err)
		}
		out[i] = RecordResult{Record: r, Created: ch.created}
	}
	return out, nil
}

// replay reads the records of changes that an earlier call had done.
func (v *Vault) replay(ctx context.Context, st *state, collection string, changes []*change) error {
	var done []*change
	var refs []uint64
	for _, ch := range changes {
		if ch.err == nil && ch.record == nil {
			done = append(done, ch)
			refs = append(refs, ch.ref)
		}
	}
	if len(done) == 0 {
		return nil
	}
	coll, refused := collectionOf(st, collection)
	if refused != nil {
		return refused
	}
	found, err := v.readRecords(ctx, st, coll, refs)
	if errors.Is(err, errStale) { // a repeated request can be repeated once more
		if _, err := v.reload(ctx); err != nil {
			return failure(err)
		}
		return fail(Contention, "")
	}
	if err != nil {
		return failure(err)
	}
	for i, ch := range done {
		ch.header, ch.record = found[i].header, found[i].record
		switch {
		case found[i].err != nil:
			ch.err = asError(found[i].err)
		case ch.record == nil:
			ch.err = fail(RecordNotFound, "")
		}
	}
	return nil
}
