package vault_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// apply puts a document in force and returns its version.
func apply(h *vaulttest.Harness, who, document string) (uint64, bool, error) {
	return h.Vault.ApplyPolicy(context.Background(), as(who), vault.ApplyRequest{Document: []byte(document)})
}

// edited returns testPolicy with one piece replaced; it must be there.
func edited(t *testing.T, old, new string) string {
	t.Helper()
	if !strings.Contains(testPolicy, old) {
		t.Fatalf("the policy holds no %q", old)
	}
	return strings.Replace(testPolicy, old, new, 1)
}

const noteField = `      - {name: note, type: string, category: user.note, purposes: [support], retention: 30d}
`

// dropNote is testPolicy without the field note.
func dropNote(t *testing.T) string {
	t.Helper()
	return strings.Replace(edited(t, noteField, ""), "customers.full_name, customers.note, customers.photo", "customers.full_name, customers.photo", 1)
}

// The first administrator may apply a policy and nothing else.
func TestFirstAdministrator(t *testing.T) {
	h := vaulttest.New(t)
	admin := as("admin")
	if who := h.Vault.WhoAmI(admin); !who.Known || who.PolicyVersion != 0 {
		t.Errorf("the first administrator is %+v", who)
	}
	var out vault.Revealed
	err := h.Vault.Detokenize(t.Context(), admin, vault.DetokenizeRequest{Tokens: []string{"x"}, Purpose: "support"}, &out)
	wantReason(t, err, vault.ActionDenied)
	_, err = h.Vault.PutRecords(t.Context(), admin, vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-1")}})
	wantReason(t, err, vault.ActionDenied)
	_, _, err = apply(h, "shop", testPolicy)
	wantReason(t, err, vault.PrincipalUnknown)
	d, err := h.Vault.GetPolicy(t.Context(), admin, 0)
	if err != nil || d.Version != 0 || len(d.Document) != 0 {
		t.Errorf("%v, %+v", err, d)
	}
	if n, changed, err := apply(h, "admin", testPolicy); n != 1 || !changed || err != nil {
		t.Errorf("applied: %d, %t, %v", n, changed, err)
	}
	// From now on the policy says who administrates.
	_, _, err = apply(h, "shop", testPolicy)
	wantReason(t, err, vault.ActionDenied)
}

func TestPolicyVersions(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		second := testPolicy + "# second\n"
		at := func(n uint64) *uint64 { return &n }
		call := func(q vault.ApplyRequest) (uint64, bool, error) {
			return h.Vault.ApplyPolicy(t.Context(), as("admin"), q)
		}
		if n, changed, err := call(vault.ApplyRequest{Document: []byte(testPolicy)}); n != 1 || changed || err != nil {
			t.Errorf("the document in force: %d, %t, %v", n, changed, err)
		}
		if n, changed, err := call(vault.ApplyRequest{Document: []byte(second), ValidateOnly: true}); n != 2 || changed || err != nil {
			t.Errorf("checked only: %d, %t, %v", n, changed, err)
		}
		for _, wrong := range []uint64{0, 2} {
			_, _, err := call(vault.ApplyRequest{Document: []byte(second), Expected: at(wrong)})
			wantReason(t, err, vault.PolicyVersionMismatch)
		}
		if h.Vault.PolicyVersion() != 1 {
			t.Fatal("the policy changed")
		}
		if n, changed, err := call(vault.ApplyRequest{Document: []byte(second), Expected: at(1)}); n != 2 || !changed || err != nil {
			t.Errorf("applied: %d, %t, %v", n, changed, err)
		}
		for range 2 {
			for version, want := range map[uint64]string{0: second, 1: testPolicy, 2: second} {
				d, err := h.Vault.GetPolicy(t.Context(), as("admin"), version)
				if err != nil || string(d.Document) != want || d.AppliedBy != as("admin").Principal || d.AppliedAt.IsZero() {
					t.Errorf("version %d: %v, %+v", version, err, d)
				}
			}
			_, err := h.Vault.GetPolicy(t.Context(), as("admin"), 3)
			wantReason(t, err, vault.PolicyNotFound)
			_, err = h.Vault.GetPolicy(t.Context(), as("shop"), 3)
			wantReason(t, err, vault.ActionDenied)
			if h.Vault.PolicyVersion() != 2 {
				t.Errorf("version %d is in force, want 2", h.Vault.PolicyVersion())
			}
			h.Reopen()
		}
	})
}

// A document with mistakes changes nothing and every mistake is listed.
func TestPolicyMistakes(t *testing.T) {
	h := open(t)
	bad := strings.Replace(edited(t, "category: user.note, purposes: [support]", "category: user.note, purposes: [helpdesk]"), "type: street", "type: stret", 1)
	_, _, err := apply(h, "admin", bad)
	wantReason(t, err, vault.PolicyInvalid)
	e := err.(*vault.Error)
	if len(e.Problems) < 2 {
		t.Errorf("%d mistakes are listed, want both", len(e.Problems))
	}
	for _, p := range e.Problems {
		if p.Line == 0 || p.Path == "" || p.Message == "" {
			t.Errorf("a mistake without its place: %+v", p)
		}
	}
	_, _, err = apply(h, "admin", edited(t, "name: note, type: string", "name: note, type: email"))
	wantReason(t, err, vault.PolicyInvalid) // a type does not change
	if h.Vault.PolicyVersion() != 1 {
		t.Error("the policy changed")
	}
}

// A renamed field keeps its number, so values, tokens and keys stay.
func TestRenamedField(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		token := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
		renamed := strings.Replace(edited(t, "name: note,", "name: remark, renamed_from: note,"), "customers.note", "customers.remark", 1)
		if n, changed, err := apply(h, "admin", renamed); n != 2 || !changed || err != nil {
			t.Fatal(n, changed, err)
		}
		wantShown(t, h, []string{token}, "tea")
		if got := tokenOf(t, get(t, h, "c-1"), "remark"); got != token {
			t.Error("the token changed with the name")
		}
		r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-1", "note", "x")}})
		if err != nil || r[0].Err == nil || r[0].Err.Reason != vault.UnknownField {
			t.Errorf("the old name: %v, %+v", err, r)
		}
	})
}

// A field that holds values is not dropped; one that holds none is, and the
// same name declared again is another field.
func TestDroppedField(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		old := tokenOf(t, put(t, h, "c-1", "full_name", "Ada Lovelace", "note", "tea"), "note")
		_, _, err := apply(h, "admin", dropNote(t))
		wantReason(t, err, vault.FieldHoldsValues)
		wantShown(t, h, []string{old}, "tea")
		upsert(t, h, "c-1", "note", "still writable")
		if _, err := h.Vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{Collection: "customers", Record: record("c-1"), Mask: []string{"note"}}); err != nil {
			t.Fatal(err)
		}
		if n, _, err := apply(h, "admin", dropNote(t)); n != 2 || err != nil {
			t.Fatalf("the empty field: %d, %v", n, err)
		}
		wantShown(t, h, []string{old}, "TOKEN_NOT_FOUND")
		if n, _, err := apply(h, "admin", testPolicy); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		fresh := tokenOf(t, upsert(t, h, "c-1", "note", "new"), "note")
		wantShown(t, h, []string{old, fresh}, "TOKEN_NOT_FOUND", "new")
		h.Reopen()
		wantShown(t, h, []string{old, fresh}, "TOKEN_NOT_FOUND", "new")
	})
}

// From the answer of an application on, every call is decided by it.
func TestAppliedPolicyBinds(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
		without := edited(t, "{effect: allow, actions: [reveal], fields: [customers.card, customers.full_name], purposes: [payment], views: [plain]}",
			"{effect: allow, actions: [reveal], fields: [customers.full_name], purposes: [payment], views: [plain]}")
		// What was acknowledged last, as 4*number + 1 (allows) or 2 (refuses);
		// 0 while a policy is being applied.
		var allowed atomic.Int64
		allowed.Store(1)
		stop := make(chan struct{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					before := allowed.Load()
					var out vault.Revealed
					if err := h.Vault.Detokenize(t.Context(), as("billing"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "payment", View: policy.ViewPlain}, &out); err != nil {
						t.Error(err)
						return
					}
					got := int64(1)
					if out.Items[0].Err != nil {
						got = 2
					}
					if before != 0 && allowed.Load() == before && got != before%4 {
						t.Errorf("decided by the wrong policy: want %d, got %d", before, got)
						return
					}
				}
			})
		}
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					upsert(t, h, "c-2", "note", "busy")
				}
			}
		})
		for i := range 10 {
			for state, document := range []string{without, testPolicy} {
				allowed.Store(0)
				if _, _, err := apply(h, "admin", document); err != nil {
					t.Error(err)
				}
				allowed.Store(int64(8*i+4*state+4) + int64(2-state))
			}
		}
		close(stop)
		all.Wait()
	})
}

// Another node on the same store applies a policy: the next call here is
// decided by it.
func TestStaleStateIsReloaded(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	other := node(t, h)
	less := edited(t, "fields: [customers.card, customers.full_name], purposes: [payment]", "fields: [customers.full_name], purposes: [payment]")
	less = strings.Replace(less, "[write, delete, read, tokenize, describe], fields: [\"customers.*\", \"orders.*\"]", "[write, delete, read, tokenize, describe], fields: [\"orders.*\"]", 1)
	if _, _, err := other.ApplyPolicy(t.Context(), as("admin"), vault.ApplyRequest{Document: []byte(less)}); err != nil {
		t.Fatal(err)
	}
	if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.FieldDenied {
		t.Errorf("a reveal under the old policy: %v", refusal)
	}
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-1", "note", "x")}})
	if err != nil || r[0].Err == nil || r[0].Err.Reason != vault.FieldDenied {
		t.Errorf("a write under the old policy: %v, %+v", err, r)
	}
	if _, _, err := other.ApplyPolicy(t.Context(), as("admin"), vault.ApplyRequest{Document: []byte(testPolicy)}); err != nil {
		t.Fatal(err)
	}
	if got, refusal := reveal(t, h, "billing", token, "payment", 0); got != "4111111111111111" {
		t.Errorf("a reveal refused by the old policy: %v", refusal)
	}
	upsert(t, h, "c-1", "note", "x")
}
