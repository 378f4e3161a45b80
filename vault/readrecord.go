package vault

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// ReadRequest asks for the values of one record.
type ReadRequest struct {
	Collection string
	SubjectID  string
	Purpose    string
	View       policy.View // 0: the widest held, field by field
	Fields     []string    // empty: all that may be seen for the purpose
	Reason     string
}

// ReadResult is a record in clear, in the views that the caller holds.
type ReadResult struct {
	ETag    string
	Created time.Time
	Updated time.Time
	Values  Revealed
	Fields  []ReadField
}

// ReadField is one field: its items are Values.Items[First:First+Count].
type ReadField struct {
	Field string
	First int
	Count int
	Err   *Error
}

// ReadRecord reveals the fields of one record that the caller may see for the
// purpose. A field that is named and not allowed is answered with its error;
// of all fields, those not allowed are left out, and the call is refused when
// none is left.
func (v *Vault) ReadRecord(ctx context.Context, c Caller, q ReadRequest) (*ReadResult, error) {
	v.pace.calls.Add(1)
	for range maxAttempts {
		st := v.state.Load()
		r := &recordReader{v: v, st: st, q: &q}
		if refused := r.decide(c); refused != nil {
			return nil, v.refused(ctx, c, st, refused, audit.Entry{
				Action: audit.ActionReveal, Purpose: knownName(r.purpose), Reason: knownReason(q.Reason),
				View: viewName(q.View), Count: uint32(len(r.fields)),
			})
		}
		again, err := r.read(ctx)
		if err != nil {
			return nil, failure(err)
		}
		if again {
			if _, err := v.reload(ctx); err != nil {
				return nil, failure(err)
			}
			continue
		}
		if r.record == nil || st.honey.refuses(r.ref) {
			return nil, v.refused(ctx, c, st, fail(RecordNotFound, ""), audit.Entry{
				Action: audit.ActionReveal, Purpose: r.purpose.Name, Reason: q.Reason,
				View: viewName(q.View), Collection: r.coll.Name, Count: uint32(len(r.fields)), Items: r.trapped(),
			})
		}
		r.s.judge(st, r.purpose)
		if err := v.personKeys(ctx, &r.s); err != nil {
			return nil, failure(err)
		}
		receipts := v.auditReveal(c, st, r.purpose, q.Reason, q.View, r.audited())
		out := r.open()
		v.auditUnopened(c, st, r.purpose, q.Reason, &r.s, &receipts)
		if err := receipts.wait(ctx); err != nil {
			out.Values.Wipe()
			return nil, err
		}
		return out, nil
	}
	return nil, fail(Contention, "")
}

// recordReader is one attempt to read a record.
type recordReader struct {
	v       *Vault
	st      *state
	q       *ReadRequest
	coll    *policy.Collection
	purpose *policy.Purpose
	fields  []readField
	ref     uint64
	record  *rows.Record
	etag    string
	s       detokenizer
}

// readField is one field asked for and the decision on it.
type readField struct {
	name    string
	field   *policy.Field
	view    policy.View
	refusal Reason
	first   int // of its items in s.items
	count   int
}

// decide judges the right to every field, before anything is read.
func (r *recordReader) decide(c Caller) *Error {
	pr := r.st.policy.Principal(c.Principal)
	if err := r.st.may(pr, policy.ActionReveal); err != nil {
		return err
	}
	var err *Error
	if r.coll, err = collectionOf(r.st, r.q.Collection); err != nil {
		return err
	}
	if err := checkSubjectID(r.q.SubjectID); err != nil {
		return err
	}
	if err := checkReason(r.q.Reason); err != nil {
		return err
	}
	if err := checkView(r.q.View); err != nil {
		return err
	}
	if r.purpose, err = purposeOf(r.st, r.q.Purpose); err != nil {
		return err
	}
	if len(r.q.Fields) > MaxBatch {
		return refuse(InvalidRequest, "fields", "names too many fields")
	}
	return r.decideFields(pr)
}

func (r *recordReader) decideFields(pr *policy.Principal) *Error {
	named := len(r.q.Fields) > 0
	var ask []readField
	if named {
		for _, name := range r.q.Fields {
			f := r.st.policy.FieldByName(r.coll.Name, name)
			if f == nil {
				return fail(UnknownField, printable(name))
			}
			if !slices.ContainsFunc(ask, func(a readField) bool { return a.field == f }) {
				ask = append(ask, readField{name: f.Name, field: f})
			}
		}
	} else {
		for _, f := range r.coll.Fields {
			ask = append(ask, readField{name: f.Name, field: f})
		}
	}
	allowed := 0
	var first Reason
	for _, a := range ask {
		a.view, a.refusal = r.st.viewFor(pr, policy.Request{
			Action: policy.ActionReveal, Field: a.field.ID, Purpose: r.purpose.ID,
			View: r.q.View, Domain: policy.DefaultDomain,
		})
		if a.refusal == 0 && r.st.frozen.hides(a.field) {
			a.refusal = Frozen
		}
		if a.refusal == 0 {
			allowed++
		} else if first == 0 || a.refusal > first {
			first = a.refusal // the refusal that came nearest to a right
		}
		// What is only frozen is not left out: the caller would take the rest
		// for the whole record.
		if a.refusal == 0 || a.refusal == Frozen || named {
			r.fields = append(r.fields, a)
		}
	}
	if allowed == 0 {
		return fail(first, "fields")
	}
	return nil
}

// read finds the record and reads its cells, with header, record and control
// row in one snapshot. It reports true when the state or the record changed
// between the two reads and all must be done again.
func (r *recordReader) read(ctx context.Context) (again bool, err error) {
	refs, err := r.v.findRefs(ctx, []string{r.q.SubjectID})
	if err != nil || refs[0] == 0 {
		return false, err
	}
	r.ref = refs[0]
	found, err := r.v.readRecords(ctx, nil, r.coll, refs)
	if err == nil {
		err = found[0].err
	}
	if err != nil || found[0].record == nil {
		return false, err
	}
	r.plan(found[0])
	recordAt := len(r.s.pairs)
	r.s.pairs = append(r.s.pairs, store.Key{Table: rows.People, Key: rows.RecordKey(r.ref, uint16(r.coll.ID))})
	if err := r.v.values.Get(ctx, r.s.pairs, &r.s.rows); err != nil {
		return false, err
	}
	if row, ok := r.s.rows.Value(0); !r.st.current(row, ok) {
		return true, nil
	}
	row, ok := r.s.rows.Value(recordAt)
	if !ok || !bytes.Equal(row, found[0].record.Append(nil)) {
		return true, nil
	}
	r.record = found[0].record
	r.etag, err = r.v.etag(r.ref, r.record.Version)
	return false, err
}

// plan lists the items of the allowed fields.
func (r *recordReader) plan(found storedRecord) {
	for i := range r.fields {
		a := &r.fields[i]
		a.first = len(r.s.items)
		items := found.record.Find(uint32(a.field.ID))
		if a.refusal != 0 || items == nil {
			continue
		}
		for _, item := range items.Items {
			r.s.items = append(r.s.items, revealItem{
				id: token.ID{
					Domain: uint16(policy.DefaultDomain), Ref: r.ref, Field: items.Field,
					Item: item, Generation: found.header.TokenGeneration,
				},
				field: a.field, view: a.view,
			})
		}
		a.count = len(r.s.items) - a.first
	}
	r.s.ask()
}

// trapped are the items of a refusal because of a honey record that refuses:
// its person, since that is what raises the alarm.
func (r *recordReader) trapped() []audit.Item {
	if r.record == nil {
		return nil
	}
	return []audit.Item{{
		Subject: r.v.subject.encipher(r.ref), Outcome: audit.Refused, Refusal: uint16(RecordNotFound),
	}}
}

// audited are the items with the refused fields among them.
func (r *recordReader) audited() []revealItem {
	out := slices.Clone(r.s.items)
	for _, a := range r.fields {
		if a.refusal != 0 {
			out = append(out, revealItem{
				id: token.ID{Ref: r.ref, Field: uint32(a.field.ID)}, field: a.field, refusal: a.refusal,
			})
		}
	}
	if len(out) == 0 { // the record holds nothing of what was asked for
		out = append(out, revealItem{id: token.ID{Ref: r.ref}, view: policy.ViewPlain})
	}
	return out
}

// open opens what was authorised.
func (r *recordReader) open() *ReadResult {
	out := &ReadResult{
		ETag:    r.etag,
		Created: time.UnixMilli(r.record.Created).UTC(),
		Updated: time.UnixMilli(r.record.Updated).UTC(),
	}
	r.v.openAll(r.st, &r.s, &out.Values)
	for _, a := range r.fields {
		f := ReadField{Field: a.name, First: a.first, Count: a.count}
		if a.refusal != 0 {
			f.Err = fail(a.refusal, a.name)
		}
		out.Fields = append(out.Fields, f)
	}
	for i := range r.s.need {
		clear(r.s.need[i].key[:])
	}
	return out
}
