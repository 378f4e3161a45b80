package vault_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

func TestUpdateRecord(t *testing.T) {
	none := []vault.FieldValues{{Field: "note"}}
	for _, c := range []struct {
		name    string
		fields  []vault.FieldValues
		mask    []string
		refusal vault.Reason
		note    []string
		email   []string
	}{
		{name: "the fields given", fields: fields("note", "coffee"), note: []string{"coffee"}, email: []string{"a@example.org", "b@example.org"}},
		{name: "the fields of the mask", fields: fields("note", "coffee"), mask: []string{"note"}, note: []string{"coffee"}, email: []string{"a@example.org", "b@example.org"}},
		{name: "in the mask and not given", mask: []string{"email"}, note: []string{"tea"}},
		{name: "one set and one cleared", fields: fields("email", "x@example.org"), mask: []string{"note", "email"}, email: []string{"x@example.org"}},
		{name: "twice in the mask", fields: fields("note", "coffee"), mask: []string{"note", "note"}, note: []string{"coffee"}, email: []string{"a@example.org", "b@example.org"}},
		{name: "an empty list clears", fields: none, email: []string{"a@example.org", "b@example.org"}},
		{name: "given and not in the mask", fields: fields("note", "coffee", "email", "x@example.org"), mask: []string{"note"}, refusal: vault.InvalidRequest},
		{name: "nothing to change", refusal: vault.InvalidRequest},
		{name: "unknown field in the mask", mask: []string{"colour"}, refusal: vault.UnknownField},
		{name: "invalid value", fields: fields("email", "call me"), refusal: vault.InvalidValue},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			was := put(t, h, "c-1", "note", "tea", "email", "a@example.org", "email", "b@example.org")
			h.Clock.Add(time.Second)
			got, err := h.Vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{
				Collection: "customers", Record: vault.RecordInput{SubjectID: "c-1", Fields: c.fields}, Mask: c.mask,
			})
			if c.refusal != 0 {
				wantReason(t, err, c.refusal)
				got = get(t, h, "c-1")
				if got.ETag != was.ETag {
					t.Error("a refused update changed the etag")
				}
				wantShown(t, h, tokensOf(got, "note"), "tea")
				wantShown(t, h, tokensOf(got, "email"), "a@example.org", "b@example.org")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.ETag == was.ETag || !got.Created.Equal(was.Created) || !got.Updated.After(was.Updated) {
				t.Errorf("etag %s after %s, created %v, updated %v", got.ETag, was.ETag, got.Created, got.Updated)
			}
			wantShown(t, h, tokensOf(got, "note"), c.note...)
			wantShown(t, h, tokensOf(got, "email"), c.email...)
		})
	}
}

func TestUpdateAndDeleteNeedTheRecord(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	order(t, h, "c-2", "Main Street 1")
	for _, id := range []string{"c-2", "c-3"} {
		_, err := h.Vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{Collection: "customers", Record: record(id, "note", "x")})
		wantReason(t, err, vault.RecordNotFound)
		_, err = h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: id})
		wantReason(t, err, vault.RecordNotFound)
	}
	_, err := h.Vault.DeleteRecord(t.Context(), as("clerk"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"})
	wantReason(t, err, vault.FieldDenied)
	_, err = h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers"})
	wantReason(t, err, vault.InvalidRequest)
	if get(t, h, "c-1") == nil {
		t.Error("a refused delete deleted")
	}
}

func TestETag(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		update := func(tag, note string) (*vault.Record, error) {
			return h.Vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{Collection: "customers", Record: record("c-1", "note", note), ETag: tag})
		}
		first := put(t, h, "c-1", "note", "tea")
		second, err := update(first.ETag, "coffee")
		if err != nil {
			t.Fatal(err)
		}
		_, err = update(first.ETag, "water")
		wantReason(t, err, vault.ETagMismatch)
		_, err = h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1", ETag: first.ETag})
		wantReason(t, err, vault.ETagMismatch)
		wantShown(t, h, tokensOf(get(t, h, "c-1"), "note"), "coffee")
		n, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1", ETag: second.ETag})
		if n.Values != 1 || err != nil {
			t.Errorf("deleted %d values and %v", n.Values, err)
		}
	})
}

// The token of an item stays with its place; that of a removed item dies, and
// its number is never given out again, not even after the record was deleted.
func TestItemsOfAField(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		order(t, h, "c-1", "Main Street 1") // the person stays
		seen := map[string]bool{}
		fresh := func(tokens []string) {
			t.Helper()
			for _, text := range tokens {
				if seen[text] {
					t.Errorf("a token was given out twice")
				}
				seen[text] = true
			}
		}
		a := tokensOf(put(t, h, "c-1", "email", "a@example.org", "email", "b@example.org", "email", "c@example.org"), "email")
		fresh(a)
		b := tokensOf(upsert(t, h, "c-1", "email", "x@example.org", "email", "y@example.org"), "email")
		if !slices.Equal(b, a[:2]) {
			t.Error("tokens did not stay with their places")
		}
		wantShown(t, h, a, "x@example.org", "y@example.org", "TOKEN_NOT_FOUND")
		c := tokensOf(upsert(t, h, "c-1", "email", "x@example.org", "email", "y@example.org", "email", "z@example.org"), "email")
		fresh(c[2:])
		wantShown(t, h, a, "x@example.org", "y@example.org", "TOKEN_NOT_FOUND")
		if n := remove(t, h, "customers", "c-1"); n != 3 {
			t.Errorf("deleted %d values, want 3", n)
		}
		wantShown(t, h, c, "TOKEN_NOT_FOUND", "TOKEN_NOT_FOUND", "TOKEN_NOT_FOUND")
		if get(t, h, "c-1") != nil {
			t.Error("a deleted record is there")
		}
		if n := remove(t, h, "orders", "c-1"); n != 1 { // now the person goes too
			t.Errorf("deleted %d values, want 1", n)
		}
		d := put(t, h, "c-1", "email", "new@example.org")
		fresh(tokensOf(d, "email"))
		wantShown(t, h, append(c, tokensOf(d, "email")...), "TOKEN_NOT_FOUND", "TOKEN_NOT_FOUND", "TOKEN_NOT_FOUND", "new@example.org")
	})
}

func TestRecordComesBackForAPersonWhoStayed(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		order(t, h, "c-1", "Main Street 1")
		old := put(t, h, "c-1", "note", "tea", "email", "a@example.org")
		remove(t, h, "customers", "c-1")
		again := put(t, h, "c-1", "note", "tea", "email", "a@example.org")
		if again.ETag == old.ETag {
			t.Error("the etag of the deleted record is valid again")
		}
		for _, field := range []string{"note", "email"} {
			if tokenOf(t, again, field) == tokenOf(t, old, field) {
				t.Errorf("%s: the number of a removed item was given out again", field)
			}
		}
		wantShown(t, h, []string{tokenOf(t, old, "note"), tokenOf(t, again, "note")}, "TOKEN_NOT_FOUND", "tea")
	})
}
