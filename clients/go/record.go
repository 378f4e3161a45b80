package cloakroom

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// TokenPattern is the regular expression that every token matches, whole. Text
// that matches may still be mistyped; the vault checks the checksum.
const TokenPattern = `tok_[0-9A-Za-z]{33}`

// Fields holds values in clear by the name of their field: one for a
// single-valued field, several in order for others. An empty list means "no
// value".
type Fields map[string][]Value

// RecordInput is one person's values on their way into a collection.
type RecordInput struct {
	// SubjectID is the caller's own id of the person: 1 to 256 bytes of UTF-8.
	SubjectID string
	// Fields are the values.
	Fields Fields
}

// FieldTokens gives the tokens of one field, one for each item in order.
type FieldTokens struct {
	Field  string
	Tokens []string
}

// Record is what a service may keep of a person: tokens and metadata, no
// values.
type Record struct {
	Collection string
	SubjectID  string
	// ETag changes with every change of the record. Opaque.
	ETag       string
	CreateTime time.Time
	UpdateTime time.Time
	// Fields are those that hold a value and whose tokens the caller may read,
	// in the order of the policy.
	Fields []FieldTokens
}

// Tokens returns the tokens of a field, nil when there are none.
func (r Record) Tokens(field string) []string {
	for _, f := range r.Fields {
		if f.Field == field {
			return f.Tokens
		}
	}
	return nil
}

// Token returns the first token of a field, empty when there is none.
func (r Record) Token(field string) string {
	if tokens := r.Tokens(field); len(tokens) > 0 {
		return tokens[0]
	}
	return ""
}

// sortedNames returns the names of the fields in a fixed order, so that the
// same record gives the same message: the vault compares messages that carry
// the same request id.
func (f Fields) sortedNames() []string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r RecordInput) message() *cloakroomv1.RecordInput {
	fields := make([]*cloakroomv1.FieldValues, 0, len(r.Fields))
	for _, name := range r.Fields.sortedNames() {
		values := make([]*cloakroomv1.Value, len(r.Fields[name]))
		for i, v := range r.Fields[name] {
			values[i] = v.message()
		}
		fields = append(fields, cloakroomv1.FieldValues_builder{Field: name, Values: values}.Build())
	}
	return cloakroomv1.RecordInput_builder{SubjectId: r.SubjectID, Fields: fields}.Build()
}

func (v Value) message() *cloakroomv1.Value {
	m := &cloakroomv1.Value{}
	switch {
	case v.ref == nil:
	case (*v.ref).binary:
		m.SetData((*v.ref).data)
	default:
		m.SetText((*v.ref).text)
	}
	return m
}

func recordFrom(m *cloakroomv1.Record) Record {
	if m == nil {
		return Record{}
	}
	fields := make([]FieldTokens, len(m.GetFields()))
	for i, f := range m.GetFields() {
		fields[i] = FieldTokens{Field: f.GetField(), Tokens: f.GetTokens()}
	}
	return Record{
		Collection: m.GetCollection(),
		SubjectID:  m.GetSubjectId(),
		ETag:       m.GetEtag(),
		CreateTime: timeFrom(m.GetCreateTime()),
		UpdateTime: timeFrom(m.GetUpdateTime()),
		Fields:     fields,
	}
}

// timeFrom returns the zero time for none, not 1970.
func timeFrom(m *timestamppb.Timestamp) time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.AsTime()
}
