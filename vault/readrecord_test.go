package vault_test

import (
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

type readWant struct {
	field   string
	refusal vault.Reason
	items   []string
	view    policy.View
}

func TestReadRecord(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		r := put(t, h, "c-1", "full_name", "Ada Lovelace", "email", "a@example.org", "email", "b@example.org", "card", "4111 1111 1111 1111", "note", "tea")
		plain, masked := policy.ViewPlain, policy.ViewMasked
		mails := []string{"a***@e***.org", "b***@e***.org"}
		for _, c := range []struct {
			name, who string
			q         vault.ReadRequest
			refusal   vault.Reason
			want      []readWant
		}{
			{"all that support may see", "support", vault.ReadRequest{Purpose: "support"}, 0, []readWant{
				{"full_name", 0, []string{"Ada Lovelace"}, plain}, {"email", 0, mails, masked},
				{"card", 0, []string{"**** **** **** 1111"}, masked}, {"note", 0, []string{"tea"}, plain}, {"photo", 0, nil, 0}}},
			{"all that billing may see", "billing", vault.ReadRequest{Purpose: "payment"}, 0, []readWant{
				{"full_name", 0, []string{"Ada Lovelace"}, plain}, {"card", 0, []string{"4111111111111111"}, plain}}},
			{"in the order of the request, refusals in their place", "support", vault.ReadRequest{Purpose: "support", View: plain, Fields: []string{"note", "card", "full_name"}}, 0, []readWant{
				{"note", 0, []string{"tea"}, plain}, {"card", vault.ViewDenied, nil, 0}, {"full_name", 0, []string{"Ada Lovelace"}, plain}}},
			{"a field named twice", "support", vault.ReadRequest{Purpose: "support", Fields: []string{"note", "note"}}, 0, []readWant{{"note", 0, []string{"tea"}, plain}}},
			{"a field without a value", "support", vault.ReadRequest{Purpose: "support", Fields: []string{"photo"}}, 0, []readWant{{"photo", 0, nil, 0}}},
			{"one view of all", "support", vault.ReadRequest{Purpose: "support", View: masked, Fields: []string{"full_name"}}, 0, []readWant{{"full_name", 0, []string{"A. L."}, masked}}},
			{"nothing left", "billing", vault.ReadRequest{Purpose: "support"}, vault.PurposeDenied, nil},
			{"nothing of what was named", "billing", vault.ReadRequest{Purpose: "payment", Fields: []string{"note"}}, vault.FieldDenied, nil},
			{"unknown field", "support", vault.ReadRequest{Purpose: "support", Fields: []string{"colour"}}, vault.UnknownField, nil},
			{"no purpose", "support", vault.ReadRequest{}, vault.PurposeRequired, nil},
			{"unknown purpose", "support", vault.ReadRequest{Purpose: "x"}, vault.UnknownPurpose, nil},
			{"free text as reason", "support", vault.ReadRequest{Purpose: "support", Reason: "Ada asked"}, vault.InvalidRequest, nil},
			{"a view not offered", "support", vault.ReadRequest{Purpose: "support", View: policy.ViewExists}, vault.InvalidRequest, nil},
			{"unknown collection", "support", vault.ReadRequest{Collection: "x", Purpose: "support"}, vault.UnknownCollection, nil},
			{"nobody", "stranger", vault.ReadRequest{Purpose: "support"}, vault.PrincipalUnknown, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.q.SubjectID = "c-1"
				if c.q.Collection == "" {
					c.q.Collection = "customers"
				}
				got, err := h.Vault.ReadRecord(t.Context(), as(c.who), c.q)
				if c.refusal != 0 {
					wantReason(t, err, c.refusal)
					if got != nil {
						t.Error("a result beside an error")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got.ETag != r.ETag || !got.Created.Equal(r.Created) {
					t.Errorf("etag %s, created %v", got.ETag, got.Created)
				}
				checkRead(t, got, c.want)
			})
		}
		_, err := h.Vault.ReadRecord(t.Context(), as("support"), vault.ReadRequest{Collection: "customers", SubjectID: "c-9", Purpose: "support"})
		wantReason(t, err, vault.RecordNotFound)
	})
}

func checkRead(t *testing.T, got *vault.ReadResult, want []readWant) {
	t.Helper()
	if len(got.Fields) != len(want) {
		t.Errorf("%d fields, want %d", len(got.Fields), len(want))
		return
	}
	for i, w := range want {
		f := got.Fields[i]
		refusal := vault.Reason(0)
		if f.Err != nil {
			refusal = f.Err.Reason
		}
		if f.Field != w.field || refusal != w.refusal || f.Count != len(w.items) {
			t.Errorf("field %d: %s, %v, %d items; want %+v", i, f.Field, refusal, f.Count, w)
			continue
		}
		for n, value := range w.items {
			it := got.Values.Items[f.First+n]
			if text := string(got.Values.Value(f.First + n).Expose()); it.Err != nil || text != value || it.View != w.view {
				t.Errorf("%s item %d: %q in view %v and %v, want %q", w.field, n, text, it.View, it.Err, value)
			}
		}
	}
}

// A purpose that rests on consent refuses each value as long as there is none.
func TestReadRecordWithoutConsent(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "email", "a@example.org")
	got, err := h.Vault.ReadRecord(t.Context(), as("mailer"), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: "newsletter"})
	if err != nil {
		t.Fatal(err)
	}
	if it := got.Values.Items[0]; it.Err == nil || it.Err.Reason != vault.ConsentRequired || got.Values.Value(0).Len() != 0 {
		t.Errorf("%+v", it)
	}
}

// A value past its retention is refused before any sweep takes it.
func TestRetention(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		r := put(t, h, "c-1", "note", "tea", "full_name", "Ada Lovelace")
		tokens := []string{tokenOf(t, r, "note"), tokenOf(t, r, "full_name")}
		h.Clock.Add(30 * 24 * time.Hour)
		wantShown(t, h, tokens, "tea", "Ada Lovelace")
		h.Clock.Add(time.Second)
		wantShown(t, h, tokens, "TOKEN_NOT_FOUND", "Ada Lovelace")
		h.Reopen()
		wantShown(t, h, tokens, "TOKEN_NOT_FOUND", "Ada Lovelace")
		upsert(t, h, "c-1", "note", "coffee") // its age begins anew
		wantShown(t, h, tokens, "coffee", "Ada Lovelace")
	})
}

func TestDetokenizeBatch(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		r := put(t, h, "c-1", "note", "tea", "email", "a@example.org", "card", "4111111111111111")
		note, mail, card := tokenOf(t, r, "note"), tokenOf(t, r, "email"), tokenOf(t, r, "card")
		call := func(q vault.DetokenizeRequest) (vault.Revealed, error) {
			var out vault.Revealed
			err := h.Vault.Detokenize(t.Context(), as("support"), q, &out)
			return out, err
		}
		forged := "tok_" + note[4:20] + mail[20:]
		var tokens []string
		for len(tokens) < vault.MaxBatch {
			tokens = append(tokens, note, mail, forged, card)
		}
		out, err := call(vault.DetokenizeRequest{Tokens: tokens, Purpose: "support", Reason: "ticket:4711/a#1"})
		if err != nil || len(out.Items) != vault.MaxBatch {
			t.Fatal(err)
		}
		for i := range out.Items {
			want := []string{"tea", "a***@e***.org", "", "**** **** **** 1111"}[i%4]
			if got := string(out.Value(i).Expose()); got != want || (want == "") != (out.Items[i].Err != nil) {
				t.Fatalf("item %d: %q and %v, want %q", i, got, out.Items[i].Err, want)
			}
		}
		for name, q := range map[string]vault.DetokenizeRequest{
			"no token":              {Purpose: "support"},
			"1,001 tokens":          {Purpose: "support", Tokens: append(tokens, note)},
			"a reason that is text": {Purpose: "support", Tokens: tokens[:1], Reason: "he asked"},
			"a long reason":         {Purpose: "support", Tokens: tokens[:1], Reason: string(make([]byte, 129))},
		} {
			t.Run(name, func(t *testing.T) {
				out, err := call(q)
				wantReason(t, err, vault.InvalidRequest)
				if len(out.Items) != 0 || len(out.ExposeAll()) != 0 {
					t.Error("values beside an error")
				}
			})
		}
	})
}
