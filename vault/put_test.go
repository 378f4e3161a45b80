package vault_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

func TestPutRecord(t *testing.T) {
	long := strings.Repeat("x", vault.MaxSubjectID)
	for _, c := range []struct {
		name    string
		in      vault.RecordInput
		refusal vault.Reason
		field   string
		rule    string
	}{
		{name: "one value", in: record("c-1", "note", "tea")},
		{name: "no field", in: record("c-1")},
		{name: "an empty list is no value", in: vault.RecordInput{SubjectID: "c-1", Fields: []vault.FieldValues{{Field: "note"}}}},
		{name: "three items", in: record("c-1", "email", "a@example.org", "email", "b@example.org", "email", "c@example.org")},
		{name: "the longest id", in: record(long, "note", "tea")},
		{name: "bytes", in: vault.RecordInput{SubjectID: "c-1", Fields: []vault.FieldValues{{Field: "photo", Values: []vault.Given{vaulttest.Data([]byte{0, 1, 2})}}}}},
		{name: "no id", in: record("", "note", "tea"), refusal: vault.InvalidRequest, field: "subject_id"},
		{name: "an id too long", in: record(long+"x", "note", "tea"), refusal: vault.InvalidRequest, field: "subject_id"},
		{name: "an id that is not UTF-8", in: record("c\xff", "note", "tea"), refusal: vault.InvalidRequest, field: "subject_id"},
		{name: "unknown field", in: record("c-1", "shoe_size", "44"), refusal: vault.UnknownField, field: "shoe_size"},
		{name: "a field of another collection", in: record("c-1", "street", "Main St 1"), refusal: vault.UnknownField, field: "street"},
		{name: "a value in place of a name", in: record("c-1", "4111111111111111", "x"), refusal: vault.UnknownField, field: "field"},
		{name: "four items of three", in: record("c-1", "email", "a@example.org", "email", "b@example.org", "email", "c@example.org", "email", "d@example.org"), refusal: vault.TooManyValues, field: "email"},
		{name: "two values of one", in: record("c-1", "note", "tea", "note", "coffee"), refusal: vault.TooManyValues, field: "note"},
		{name: "wrong check digit", in: record("c-1", "card", "4111111111111112"), refusal: vault.InvalidValue, field: "card", rule: "luhn"},
		{name: "text for bytes", in: record("c-1", "photo", "abc"), refusal: vault.InvalidValue, field: "photo", rule: "kind"},
		{name: "bytes for text", in: vault.RecordInput{SubjectID: "c-1", Fields: []vault.FieldValues{{Field: "note", Values: []vault.Given{vaulttest.Data([]byte("abc"))}}}}, refusal: vault.InvalidValue, field: "note", rule: "kind"},
		{name: "65,537 bytes", in: vault.RecordInput{SubjectID: "c-1", Fields: []vault.FieldValues{{Field: "photo", Values: []vault.Given{vaulttest.Data(make([]byte, vault.MaxValue+1))}}}}, refusal: vault.InvalidValue, field: "photo", rule: "too_long"},
		{name: "a field given twice", in: vault.RecordInput{SubjectID: "c-1", Fields: append(fields("note", "a"), fields("note", "b")...)}, refusal: vault.InvalidRequest, field: "note"},
		{name: "one bad field fails the record", in: record("c-1", "note", "tea", "card", "1"), refusal: vault.InvalidValue, field: "card"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{c.in}})
			if err != nil || len(r) != 1 {
				t.Fatal(err, len(r))
			}
			if c.refusal == 0 {
				if r[0].Err != nil || !r[0].Created || r[0].Record == nil || r[0].Record.SubjectID != c.in.SubjectID {
					t.Errorf("answered %+v", r[0])
				}
				return
			}
			e := r[0].Err
			if e == nil || r[0].Record != nil || r[0].Created {
				t.Fatalf("answered %+v", r[0])
			}
			if e.Reason != c.refusal || e.Field != c.field || (c.rule != "" && e.Rule != c.rule) {
				t.Errorf("refused with %v, %q, %q; want %v, %q, %q", e.Reason, e.Field, e.Rule, c.refusal, c.field, c.rule)
			}
			if c.in.SubjectID != "" && c.in.SubjectID == "c-1" && get(t, h, "c-1") != nil {
				t.Error("a refused record left something behind")
			}
		})
	}
}

func TestPutRefusesTheCall(t *testing.T) {
	h := open(t)
	one := []vault.RecordInput{record("c-1", "note", "tea")}
	for _, c := range []struct {
		name, who string
		q         vault.PutRequest
		want      vault.Reason
	}{
		{"no record", "shop", vault.PutRequest{Collection: "customers"}, vault.InvalidRequest},
		{"1,001 records", "shop", vault.PutRequest{Collection: "customers", Records: make([]vault.RecordInput, vault.MaxBatch+1)}, vault.InvalidRequest},
		{"unknown collection", "shop", vault.PutRequest{Collection: "suppliers", Records: one}, vault.UnknownCollection},
		{"unknown domain", "shop", vault.PutRequest{Collection: "customers", Records: one, Domain: "mars"}, vault.UnknownDomain},
		{"request id too long", "shop", vault.PutRequest{Collection: "customers", Records: one, RequestID: strings.Repeat("x", vault.MaxRequestID+1)}, vault.InvalidRequest},
		{"no right to write", "billing", vault.PutRequest{Collection: "customers", Records: one}, vault.ActionDenied},
		{"nobody", "stranger", vault.PutRequest{Collection: "customers", Records: one}, vault.PrincipalUnknown},
		{"the right comes before the form", "billing", vault.PutRequest{}, vault.ActionDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(h.Log.Entries())
			r, err := h.Vault.PutRecords(t.Context(), as(c.who), c.q)
			wantReason(t, err, c.want)
			if r != nil {
				t.Error("results beside an error")
			}
			if n := len(entriesSince(h, before)); n != 1 {
				t.Errorf("%d entries, want 1", n)
			}
		})
	}
	if get(t, h, "c-1") != nil {
		t.Error("a refused call stored a record")
	}
}

func TestExistingRecords(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		first := put(t, h, "c-1", "full_name", "Ada Lovelace", "email", "a@example.org", "email", "b@example.org")
		r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-1", "note", "x")}})
		if err != nil || r[0].Err == nil || r[0].Err.Reason != vault.RecordExists {
			t.Fatalf("put again: %v, %+v", err, r)
		}
		if got := get(t, h, "c-1"); got.ETag != first.ETag || tokensOf(got, "note") != nil {
			t.Error("a refused put changed the record")
		}

		// An upsert replaces the fields given and leaves the others.
		r, err = h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-1", "email", "x@example.org", "note", "tea")}})
		if err != nil || r[0].Err != nil || r[0].Created {
			t.Fatalf("upsert: %v, %+v", err, r)
		}
		got := r[0].Record
		if got.ETag == first.ETag {
			t.Error("the etag did not change")
		}
		wantShown(t, h, tokensOf(got, "full_name"), "Ada Lovelace")
		wantShown(t, h, tokensOf(got, "email"), "x@example.org")
		wantShown(t, h, tokensOf(got, "note"), "tea")
		if !slices.Equal(tokensOf(got, "email"), tokensOf(first, "email")[:1]) {
			t.Error("the token of the first e-mail did not survive")
		}
		wantShown(t, h, tokensOf(first, "email"), "x@example.org", "TOKEN_NOT_FOUND")

		r, err = h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-2", "note", "new")}})
		if err != nil || r[0].Err != nil || !r[0].Created {
			t.Errorf("an upsert of a new record: %v, %+v", err, r)
		}
	})
}

// Each record of a batch is answered in its place and does not affect others.
func TestBatchPut(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		put(t, h, "c-7", "note", "was here")
		q := vault.PutRequest{Collection: "customers"}
		for i := range vault.MaxBatch {
			q.Records = append(q.Records, record(fmt.Sprintf("c-%d", i), "note", fmt.Sprintf("note %d", i)))
		}
		q.Records[3] = record("c-3", "card", "12")
		q.Records[5] = record("", "note", "x")
		q.Records[8] = record("c-4", "note", "twice")
		q.Records[9] = record("c-9", "colour", "blue")
		bad := map[int]vault.Reason{3: vault.InvalidValue, 5: vault.InvalidRequest, 7: vault.RecordExists, 8: vault.InvalidRequest, 9: vault.UnknownField}
		r, err := h.Vault.PutRecords(t.Context(), as("shop"), q)
		if err != nil || len(r) != vault.MaxBatch {
			t.Fatal(err, len(r))
		}
		var tokens, want []string
		for i, one := range r {
			if refusal, ok := bad[i]; ok {
				if one.Err == nil || one.Err.Reason != refusal {
					t.Errorf("record %d: %v, want %v", i, one.Err, refusal)
				}
				continue
			}
			if one.Err != nil || !one.Created || one.Record.SubjectID != fmt.Sprintf("c-%d", i) {
				t.Fatalf("record %d: %+v", i, one)
			}
			tokens = append(tokens, tokenOf(t, one.Record, "note"))
			want = append(want, fmt.Sprintf("note %d", i))
		}
		wantShown(t, h, tokens, want...)
		wantShown(t, h, tokensOf(get(t, h, "c-7"), "note"), "was here")
		if get(t, h, "c-3") != nil || get(t, h, "c-9") != nil {
			t.Error("a refused record is there")
		}
	})
}

// A put tells of a record only to who may write in the collection.
func TestRecordWithoutValuesNeedsARight(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	for _, id := range []string{"c-1", "c-2"} {
		r, err := h.Vault.PutRecords(t.Context(), as("clerk"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record(id)}})
		if err != nil || r[0].Err == nil || r[0].Err.Reason != vault.FieldDenied {
			t.Errorf("%s: %v, %+v", id, err, r)
		}
	}
	if get(t, h, "c-2") != nil {
		t.Error("a record was made without a right")
	}
}

func TestRecordLimits(t *testing.T) {
	h := vaulttest.New(t)
	h.Apply(largePolicy)
	store := func(f ...vault.FieldValues) *vault.Error {
		r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{{SubjectID: "c-1", Fields: f}}})
		if err != nil {
			t.Fatal(err)
		}
		return r[0].Err
	}
	if err := store(many("tag", 999), many("mark", 1)); err != nil {
		t.Errorf("1,000 values: %v", err)
	}
	if err := store(many("tag", 999), many("mark", 2)); err == nil || err.Reason != vault.InvalidRequest {
		t.Errorf("1,001 values: %v", err)
	}
	if err := store(many("tag", 1001)); err == nil {
		t.Error("1,001 values of a field were taken")
	}
	var e error = &vault.Error{Reason: vault.InvalidRequest}
	if !errors.Is(e, &vault.Error{Reason: vault.InvalidRequest}) || errors.Is(e, &vault.Error{Reason: vault.Busy}) {
		t.Error("errors of the same reason are equal, others are not")
	}
}
