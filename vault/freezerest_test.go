package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// A freeze holds over changes of the policy: a field and a collection under
// other names, and a principal that comes back.
func TestFreezesOutliveThePolicy(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		r := put(t, h, "c-1", "full_name", "Ada Lovelace", "card", "4111111111111111", "note", "tea")
		card, note := tokenOf(t, r, "card"), tokenOf(t, r, "note")
		street := tokenOf(t, order(t, h, "c-1", "Main Street 1"), "street")
		freeze(t, h, vault.FreezeField, "customers.card")
		freeze(t, h, vault.FreezeCollection, "orders")
		freeze(t, h, vault.FreezePrincipal, as("lab").Principal)

		renamed := strings.NewReplacer(
			"{name: card,", "{name: pan, renamed_from: card,", "customers.card", "customers.pan",
			"- name: orders", "- name: parcels\n    renamed_from: orders", "orders.*", "parcels.*",
			"  - {id: \"spiffe://cloakroom.example/lab\", roles: [lab]}\n", "",
		).Replace(testPolicy)
		h.Apply(renamed)
		if got := shown(t, h, card, note); !slices.Equal(got, []string{"FROZEN", "tea"}) {
			t.Errorf("under the new names: %q", got)
		}
		if _, refusal := reveal(t, h, "reader", street, "payment", 0); refusal != vault.Frozen {
			t.Errorf("the renamed collection: %v", refusal)
		}
		var targets []string
		all, err := h.Vault.Freezes(t.Context(), as("guard"))
		for _, f := range all {
			targets = append(targets, f.Target)
		}
		if want := []string{"customers.pan", "parcels", as("lab").Principal}; err != nil || !slices.Equal(targets, want) {
			t.Errorf("frozen: %q, %v, want %q", targets, err, want)
		}
		h.Reopen() // with a policy that lacks what is frozen
		h.Apply(strings.NewReplacer("renamed_from: card,", "", "    renamed_from: orders\n", "").Replace(
			strings.Replace(renamed, "principals:\n", "principals:\n  - {id: \"spiffe://cloakroom.example/lab\", roles: [lab]}\n", 1)))
		if _, refusal := reveal(t, h, "lab", card, "support", 0); refusal != vault.Frozen {
			t.Errorf("the principal that came back: %v", refusal)
		}
	})
}

// A role has nothing but its name, so no policy ends its freeze by dropping or
// renaming it; who applies one is told what to do, and it works.
func TestFrozenRoleStays(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		note := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
		role := freeze(t, h, vault.FreezeRole, "support")
		freeze(t, h, vault.FreezeRole, "mailer")
		renamed := strings.NewReplacer(
			"  - name: support\n", "  - name: helpdesk\n", "[support]}", "[helpdesk]}", "[support, billing]", "[helpdesk, billing]",
		).Replace(testPolicy)
		renamed = strings.ReplaceAll(renamed, "purposes: [helpdesk]", "purposes: [support]")
		for _, validate := range []bool{true, false} {
			_, _, err := h.Vault.ApplyPolicy(t.Context(), as("admin"), vault.ApplyRequest{Document: []byte(renamed), ValidateOnly: validate})
			wantReason(t, err, vault.PolicyInvalid)
			var e *vault.Error
			if !errors.As(err, &e) || len(e.Problems) != 1 || e.Problems[0].Path != "roles" ||
				e.Problems[0].Message != "the role support is frozen, and its freeze would end here: freeze its principals, thaw the role, then apply" {
				t.Errorf("told %+v", e)
			}
		}
		if _, refusal := reveal(t, h, "support", note, "support", 0); refusal != vault.Frozen {
			t.Errorf("the frozen role: %v", refusal)
		}
		h.Apply(testPolicy + "\n# other changes pass\n")
		freeze(t, h, vault.FreezePrincipal, as("support").Principal)
		thaw(t, h, role.ID)
		h.Apply(renamed)
		h.Reopen()
		if _, refusal := reveal(t, h, "support", note, "support", 0); refusal != vault.Frozen {
			t.Errorf("the frozen principal under the new role: %v", refusal)
		}
	})
}

// The disk tells neither what is frozen nor how long its name is, and a row
// that was forged, changed or put under another number stops the vault rather
// than being obeyed or ignored.
func TestFreezesAtRest(t *testing.T) {
	h := open(t)
	freeze(t, h, vault.FreezeVault, "")
	freeze(t, h, vault.FreezePrincipal, as(strings.Repeat("x", 200)).Principal)
	put(t, h, "c-1", "note", "tea")
	if err := h.Vault.MarkHoney(t.Context(), as("guard"), vault.HoneyRequest{Subject: "c-1", Reason: "INC-1"}); err != nil {
		t.Fatal(err)
	}
	stored := scanAll(t, h.Values, rows.Freezes)
	marks := scanAll(t, h.Values, rows.Honey)
	if len(stored) != 2 || len(marks) != 1 || len(stored[0].Value) != len(stored[1].Value) || len(marks[0].Value) != len(stored[0].Value) {
		t.Fatalf("%d freezes and %d marks, or lengths differ", len(stored), len(marks))
	}
	for _, r := range append(stored, marks...) {
		if bytes.Contains(r.Value, []byte("INC-1")) || bytes.Contains(r.Value, []byte("guard")) {
			t.Error("a row is readable")
		}
	}
	changed := bytes.Clone(stored[0].Value)
	changed[len(changed)/2] ^= 1
	for name, bad := range map[string]store.Row{
		"changed":              {Key: stored[0].Key, Value: changed},
		"of another number":    {Key: stored[0].Key, Value: stored[1].Value},
		"a mark among freezes": {Key: marks[0].Key, Value: marks[0].Value},
		"under a short key":    {Key: []byte{1}, Value: stored[0].Value},
		"forged":               {Key: rows.NumberKey(99), Value: []byte(`{"kind":5}`)},
	} {
		t.Run(name, func(t *testing.T) {
			var have store.Rows
			if err := h.Values.Get(t.Context(), []store.Key{{Table: rows.Freezes, Key: bad.Key}}, &have); err != nil {
				t.Fatal(err)
			}
			was, there := have.Value(0)
			was = bytes.Clone(was)
			h.Close()
			change(t, h.Values, rows.Freezes, bad.Key, bad.Value)
			if err := h.TryOpen(); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("opened with %v", err)
			}
			if !there {
				was = nil
			}
			change(t, h.Values, rows.Freezes, bad.Key, was)
			if err := h.TryOpen(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Invented principals use up nothing but their own number: whoever the policy
// knows, and all else, can always be frozen.
func TestFreezeBound(t *testing.T) {
	h := open(t)
	for i := range vault.MaxFrozenStrangers {
		freeze(t, h, vault.FreezePrincipal, fmt.Sprintf("spiffe://cloakroom.example/p%d", i))
	}
	over := vault.FreezeRequest{Kind: vault.FreezePrincipal, Target: "spiffe://cloakroom.example/one-more", Reason: "INC-1"}
	for range 2 {
		_, err := h.Vault.Freeze(t.Context(), as("guard"), over)
		wantReason(t, err, vault.InvalidRequest)
		freeze(t, h, vault.FreezePrincipal, "spiffe://cloakroom.example/p7") // is there
		freeze(t, h, vault.FreezePrincipal, as("billing").Principal)
		freeze(t, h, vault.FreezeRole, "support")
		freeze(t, h, vault.FreezeField, "customers.card")
		freeze(t, h, vault.FreezeCollection, "orders")
		freeze(t, h, vault.FreezeVault, "")
		h.Reopen()
	}
	thaw(t, h, 1)
	freeze(t, h, vault.FreezePrincipal, over.Target)
	// What a policy drops is a stranger from then on, and still frozen.
	thaw(t, h, 2)
	h.Apply(strings.Replace(testPolicy, "  - {id: \"spiffe://cloakroom.example/billing\", roles: [billing]}\n", "", 1))
	over.Target = "spiffe://cloakroom.example/yet-another"
	_, err := h.Vault.Freeze(t.Context(), as("guard"), over)
	wantReason(t, err, vault.InvalidRequest)
	thaw(t, h, 3)
	freeze(t, h, vault.FreezePrincipal, over.Target)
}

func TestFreezeKindNames(t *testing.T) {
	for k, want := range map[vault.FreezeKind]string{
		0: "freeze(0)", vault.FreezePrincipal: "principal", vault.FreezeRole: "role", vault.FreezeField: "field",
		vault.FreezeCollection: "collection", vault.FreezeVault: "vault", 6: "freeze(6)",
	} {
		if k.String() != want {
			t.Errorf("%d is %q", k, k)
		}
	}
	if vault.FreezePrincipal != 1 || vault.FreezeVault != 5 || policy.ActionFreeze == 0 {
		t.Error("a number on disk changed")
	}
}
