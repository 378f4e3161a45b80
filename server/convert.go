package server

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/plain"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// The views have the same numbers in the contract and in the policy; a test
// holds them together.
//
// A number of the contract has 32 bits: one that does not fit becomes a view
// that there is not, so that it is refused and never taken for another.
func viewIn(v cloakroomv1.View) policy.View {
	if v < 0 || v > math.MaxUint8 {
		return math.MaxUint8
	}
	return policy.View(v)
}

func viewOut(v policy.View) cloakroomv1.View { return cloakroomv1.View(v) }

// givenValue converts a value; one that is not set becomes text that no type takes.
func givenValue(v *cloakroomv1.Value) vault.Given {
	if v.WhichKind() == cloakroomv1.Value_Data_case {
		return vault.Given{Value: plain.New(v.GetData()), Binary: true}
	}
	return vault.Given{Value: plain.Text(v.GetText())}
}

func inputOf(r *cloakroomv1.RecordInput) vault.RecordInput {
	in := vault.RecordInput{SubjectID: r.GetSubjectId(), Fields: make([]vault.FieldValues, 0, len(r.GetFields()))}
	for _, f := range r.GetFields() {
		values := make([]vault.Given, 0, len(f.GetValues()))
		for _, v := range f.GetValues() {
			values = append(values, givenValue(v))
		}
		in.Fields = append(in.Fields, vault.FieldValues{Field: f.GetField(), Values: values})
	}
	return in
}

// inputsOf converts the records of a call. Of too many, one too many is enough:
// the vault refuses the call for their number.
func inputsOf(records []*cloakroomv1.RecordInput) []vault.RecordInput {
	records = records[:min(len(records), vault.MaxBatch+1)]
	in := make([]vault.RecordInput, 0, len(records))
	for _, r := range records {
		in = append(in, inputOf(r))
	}
	return in
}

func recordOut(r *vault.Record) *cloakroomv1.Record {
	if r == nil {
		return nil
	}
	fields := make([]*cloakroomv1.FieldTokens, 0, len(r.Fields))
	for _, f := range r.Fields {
		fields = append(fields, cloakroomv1.FieldTokens_builder{Field: f.Field, Tokens: f.Tokens}.Build())
	}
	return cloakroomv1.Record_builder{
		Collection: r.Collection,
		SubjectId:  r.SubjectID,
		Etag:       r.ETag,
		CreateTime: timeOut(r.Created),
		UpdateTime: timeOut(r.Updated),
		Fields:     fields,
	}.Build()
}

func timeOut(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeIn(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// itemsOut converts revealed values: all of them share one string, and the
// messages one slice, so that a batch of a thousand costs three allocations.
func itemsOut(r *vault.Revealed) []*cloakroomv1.RevealedItem {
	all := string(r.ExposeAll())
	messages := make([]cloakroomv1.RevealedItem, len(r.Items))
	out := make([]*cloakroomv1.RevealedItem, len(r.Items))
	for i := range r.Items {
		it, m := &r.Items[i], &messages[i]
		out[i] = m
		if it.Err != nil {
			m.SetError(itemError(it.Err))
			continue
		}
		start, end := r.Span(i)
		m.SetView(viewOut(it.View))
		if it.Binary {
			m.SetData([]byte(all[start:end]))
		} else {
			m.SetText(all[start:end])
		}
	}
	return out
}
