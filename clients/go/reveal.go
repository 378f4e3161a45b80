package cloakroom

import (
	"context"
	"time"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// Revealed answers one token, or one item of a record.
type Revealed struct {
	// Value is the value in View; the zero Value when Err is set.
	Value Value
	// View is the form that the value is in. It may be narrower than "plain"
	// when the call did not ask for a view.
	View View
	// Err says why there is no value (an *Error).
	Err error
}

// RevealedField is one field of a record.
type RevealedField struct {
	Field string
	// Items are in order; none when the record holds no value for the field.
	Items []Revealed
	// Err says why the field is refused as a whole (an *Error).
	Err error
}

// RevealedRecord is the answer of ReadRecord.
type RevealedRecord struct {
	// ETag is the record's current etag.
	ETag       string
	CreateTime time.Time
	UpdateTime time.Time
	// Fields are in the order of the policy, or of OnlyFields.
	Fields []RevealedField
}

// Detokenize reveals any number of tokens for a purpose, each answered in its
// place. More than 1,000 go in several calls, one after the other; when one of
// them fails, the results of those before it are returned with the error.
func (c *Client) Detokenize(ctx context.Context, tokens []string, purpose string, options ...RevealOption) ([]Revealed, error) {
	o, view, err := c.revealCall(options)
	if err != nil {
		return nil, err
	}
	results := make([]Revealed, 0, len(tokens))
	for _, run := range chunks(tokens, stringSize) {
		answer, err := invoke(ctx, c, idempotent, c.reveals.Detokenize, cloakroomv1.DetokenizeRequest_builder{
			Tokens: run, Purpose: purpose, View: view, Reason: o.reason,
		}.Build())
		if err != nil {
			return results, err
		}
		if len(answer.GetItems()) != len(run) {
			return results, brokenAnswer(len(answer.GetItems()), len(run))
		}
		results = appendRevealed(results, answer.GetItems())
	}
	return results, nil
}

// DetokenizeOne reveals one token; the error of the item is the error.
func (c *Client) DetokenizeOne(ctx context.Context, token, purpose string, options ...RevealOption) (Revealed, error) {
	results, err := c.Detokenize(ctx, []string{token}, purpose, options...)
	if err != nil {
		return Revealed{}, err
	}
	return results[0], results[0].Err
}

// ReadRecord reveals the fields of one record that the caller may see for the
// purpose, or those that OnlyFields names.
func (c *Client) ReadRecord(ctx context.Context, collection, subjectID, purpose string, options ...ReadOption) (RevealedRecord, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyRead(&o)
	}
	view, err := o.view.number()
	if err != nil {
		return RevealedRecord{}, err
	}
	answer, err := invoke(ctx, c, idempotent, c.reveals.ReadRecord, cloakroomv1.ReadRecordRequest_builder{
		Collection: collection, SubjectId: subjectID, Purpose: purpose, View: view, Fields: o.fields, Reason: o.reason,
	}.Build())
	if err != nil {
		return RevealedRecord{}, err
	}
	record := RevealedRecord{
		ETag:       answer.GetEtag(),
		CreateTime: timeFrom(answer.GetCreateTime()),
		UpdateTime: timeFrom(answer.GetUpdateTime()),
		Fields:     make([]RevealedField, len(answer.GetFields())),
	}
	for i, f := range answer.GetFields() {
		record.Fields[i] = RevealedField{f.GetField(), appendRevealed(nil, f.GetItems()), itemError(f.GetError())}
	}
	return record, nil
}

// revealCall reads the options of a call that reveals.
func (c *Client) revealCall(options []RevealOption) (call, cloakroomv1.View, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyReveal(&o)
	}
	view, err := o.view.number()
	return o, view, err
}

// appendRevealed converts items. Their contents share two
// allocations.
func appendRevealed(results []Revealed, items []*cloakroomv1.RevealedItem) []Revealed {
	contents, refs := make([]content, len(items)), make([]*content, len(items))
	for i, item := range items {
		r := Revealed{View: viewFrom(item.GetView()), Err: itemError(item.GetError())}
		if r.Err == nil {
			contents[i] = content{text: item.GetText(), data: item.GetData(), binary: len(item.GetData()) > 0}
			refs[i] = &contents[i]
			r.Value = Value{ref: &refs[i]}
		}
		results = append(results, r)
	}
	return results
}
