package vault

import (
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/plain"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// RecordInput is one record to store: a person's values by field.
type RecordInput struct {
	SubjectID string
	Fields    []FieldValues
}

// FieldValues are the values given for one field; none means "no value".
type FieldValues struct {
	Field  string
	Values []Given
}

// Given is a value as a caller gives it: text, or bytes for the type bytes.
type Given struct {
	plain.Value
	Binary bool
}

// Record is what a service may keep of a record: tokens and metadata.
type Record struct {
	Collection string
	SubjectID  string
	ETag       string
	Created    time.Time
	Updated    time.Time
	Fields     []FieldTokens
}

// FieldTokens are the tokens of one field's items, in order.
type FieldTokens struct {
	Field  string
	Tokens []string
}

// MaxRecordValues is the most values that one record may be given at once.
const MaxRecordValues = 1000

// collectionOf finds a collection by its name.
func collectionOf(st *state, name string) (*policy.Collection, *Error) {
	if c := st.policy.Collection(name); c != nil {
		return c, nil
	}
	return nil, fail(UnknownCollection, "collection")
}

// domainOf finds a token domain by its name; empty means "default".
func domainOf(st *state, name string) (policy.DomainID, *Error) {
	if name == "" {
		return policy.DefaultDomain, nil
	}
	if d := st.policy.Domain(name); d != nil {
		return d.ID, nil
	}
	return 0, fail(UnknownDomain, "domain")
}

// readable returns the fields of a collection whose tokens the caller may read
// in a domain, in the order of the policy. When there is none the reason is
// Frozen if that is why, else FieldDenied.
func (st *state) readable(pr *policy.Principal, c *policy.Collection, domain policy.DomainID) ([]*policy.Field, Reason) {
	var out []*policy.Field
	none := FieldDenied
	for _, f := range c.Fields {
		switch st.decide(pr, policy.Request{Action: policy.ActionRead, Field: f.ID, Domain: domain}) {
		case 0:
			out = append(out, f)
		case Frozen:
			none = Frozen
		}
	}
	if len(out) == 0 {
		return nil, none
	}
	return out, 0
}

// canonical checks the values given for a field and returns their stored forms.
func canonical(f *policy.Field, given []Given, now time.Time) ([][]byte, *Error) {
	if len(given) > f.Multi {
		return nil, refuse(TooManyValues, f.Name, fmt.Sprintf("holds at most %d", f.Multi))
	}
	out := make([][]byte, len(given))
	for i, g := range given {
		switch {
		case g.Len() > MaxValue:
			return nil, &Error{Reason: InvalidValue, Field: f.Name, Rule: "too_long",
				Detail: fmt.Sprintf("must be at most %d bytes", MaxValue)}
		case g.Binary != f.Type.Binary():
			return nil, &Error{Reason: InvalidValue, Field: f.Name, Rule: "kind", Detail: kindText(f)}
		}
		form, err := f.Type.Canonical(g.Expose(), now)
		if err != nil {
			return nil, invalid(f.Name, err)
		}
		out[i] = form
	}
	return out, nil
}

func kindText(f *policy.Field) string {
	if f.Type.Binary() {
		return "must be given as data, not as text"
	}
	return "must be given as text, not as data"
}

// recordOf makes the answer for a record: its metadata and the tokens of the
// readable fields.
func (v *Vault) recordOf(st *state, c *policy.Collection, subject string, ref uint64, h rows.Header, r *rows.Record, readable []*policy.Field, domain policy.DomainID) (*Record, error) {
	tag, err := v.etag(ref, r.Version)
	if err != nil {
		return nil, err
	}
	out := &Record{
		Collection: c.Name,
		SubjectID:  subject,
		ETag:       tag,
		Created:    time.UnixMilli(r.Created).UTC(),
		Updated:    time.UnixMilli(r.Updated).UTC(),
	}
	var text []byte
	for _, f := range readable {
		items := r.Find(uint32(f.ID))
		if items == nil || len(items.Items) == 0 {
			continue
		}
		ft := FieldTokens{Field: f.Name, Tokens: make([]string, 0, len(items.Items))}
		for _, item := range items.Items {
			text, err = st.tokens.Append(text[:0], token.ID{
				Domain: uint16(domain), Ref: ref, Field: uint32(f.ID), Item: item, Generation: h.TokenGeneration,
			})
			if err != nil {
				return nil, err
			}
			ft.Tokens = append(ft.Tokens, string(text))
		}
		out.Fields = append(out.Fields, ft)
	}
	return out, nil
}
