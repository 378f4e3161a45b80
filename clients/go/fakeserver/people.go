package fakeserver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// person is one record.
type person struct {
	id     string
	etag   string
	fields map[string][]*cloakroomv1.Value
}

// Fields are the fields of the collection "customers", in order. "photo" is of
// type bytes, "email" must hold an "@".
func Fields() []string {
	return strings.Fields("full_name email phone birth_date national_id street city postal_code country iban " +
		"card_pan ip_address location locale marketing_email_opt_in marketing_sms_opt_in analytics_opt_in signed_up_at " +
		"lifetime_value_eur favourite_category photo")
}

// place is where a token leads.
type place struct {
	person *person
	field  string
	item   int
	domain string
}

// find returns the person, or nil; the caller holds the lock.
func (s *Server) find(id string) *person { return s.byID[id] }

// addPerson makes a person; the caller holds the lock.
func (s *Server) addPerson(id string) *person {
	p := &person{id: id, fields: map[string][]*cloakroomv1.Value{}}
	s.people = append(s.people, p)
	s.byID[id] = p
	return p
}

// removePerson deletes a person; the caller holds the lock.
func (s *Server) removePerson(p *person) {
	s.people = slices.DeleteFunc(s.people, func(q *person) bool { return q == p })
	delete(s.byID, p.id)
}

func collection(name string) *refusal {
	if name == "customers" {
		return nil
	}
	return &refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_UNKNOWN_COLLECTION,
		message: "the policy declares no such collection", field: "collection"}
}

func known(field string) *refusal {
	if slices.Contains(Fields(), field) {
		return nil
	}
	return &refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_UNKNOWN_FIELD,
		message: "the collection declares no such field", field: field}
}

func valid(field string, v *cloakroomv1.Value) *refusal {
	rule := ""
	switch {
	case (field == "photo") != v.HasData():
		rule = "type"
	case field == "email" && (!strings.Contains(v.GetText(), "@") || len(v.GetText()) > 254):
		rule = "email_syntax"
	}
	if rule == "" {
		return nil
	}
	return &refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_VALUE,
		message: "the value of " + field + " breaks a rule of its type", field: field, rule: rule}
}

func missing() *refusal {
	return &refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_RECORD_NOT_FOUND, message: "no such record"}
}

// put stores a record; the caller holds the lock.
func (s *Server) put(in *cloakroomv1.RecordInput, upsert bool) (p *person, created bool, no *refusal) {
	if in.GetSubjectId() == "" {
		return nil, false, &refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
			message: "subject_id is empty", field: "subject_id"}
	}
	for _, f := range in.GetFields() {
		if no := known(f.GetField()); no != nil {
			return nil, false, no
		}
		for _, v := range f.GetValues() {
			if no := valid(f.GetField(), v); no != nil {
				return nil, false, no
			}
		}
	}
	p = s.find(in.GetSubjectId())
	switch {
	case p == nil:
		p, created = s.addPerson(in.GetSubjectId()), true
	case !upsert:
		return nil, false, &refusal{code: codes.AlreadyExists, reason: cloakroomv1.ErrorReason_ERROR_REASON_RECORD_EXISTS,
			message: "the subject has a record in this collection already"}
	}
	for _, f := range in.GetFields() {
		p.fields[f.GetField()] = f.GetValues()
	}
	s.touch(p)
	return p, created, nil
}

// touch follows a change of a person; the caller holds the lock.
func (s *Server) touch(p *person) {
	s.revision++
	p.etag = fmt.Sprintf("e%d", s.revision)
	for field, values := range p.fields {
		for i := range values {
			for _, domain := range []string{"default", "analytics"} {
				s.byToken[Token(domain, p.id, field, i)] = place{p, field, i, domain}
			}
		}
	}
}

// message is the record as a service sees it.
func (p *person) message(domain string) *cloakroomv1.Record {
	var fields []*cloakroomv1.FieldTokens
	for _, name := range Fields() {
		var tokens []string
		for i := range p.fields[name] {
			tokens = append(tokens, Token(domain, p.id, name, i))
		}
		if len(tokens) > 0 {
			fields = append(fields, cloakroomv1.FieldTokens_builder{Field: name, Tokens: tokens}.Build())
		}
	}
	return cloakroomv1.Record_builder{
		Collection: "customers", SubjectId: p.id, Etag: p.etag, Fields: fields,
		CreateTime: timestamppb.New(now()), UpdateTime: timestamppb.New(now()),
	}.Build()
}

// Token is the token of an item. It is of the right form and always the same.
func Token(domain, subject, field string, item int) string {
	if domain == "" {
		domain = "default"
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%d", domain, subject, field, item))
	return "tok_" + hex.EncodeToString(sum[:])[:33]
}

// lookUp finds what a token stands for; the caller holds the lock.
func (s *Server) lookUp(token string) (place, *refusal) {
	if len(token) != 37 || !strings.HasPrefix(token, "tok_") {
		return place{}, &refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_MALFORMED_TOKEN,
			message: "the text is no token"}
	}
	at, is := s.byToken[token]
	if is && s.find(at.person.id) == at.person && at.item < len(at.person.fields[at.field]) {
		return at, nil
	}
	return place{}, &refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_TOKEN_NOT_FOUND,
		message: "the token opens to nothing"}
}
