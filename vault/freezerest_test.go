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
// other names, a role and a principal that come back.
func TestFreezesOutliveThePolicy(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		r := put(t, h, "c-1", "full_name", "Ada Lovelace", "card", "4111111111111111", "note", "tea")
		card, note := tokenOf(t, r, "card"), tokenOf(t, r, "note")
		street := tokenOf(t, order(t, h, "c-1", "Main Street 1"), "street")
		freeze(t, h, vault.FreezeField, "customers.card")
		freeze(t, h, vault.FreezeCollection, "orders")
		freeze(t, h, vault.FreezeRole, "support")
		freeze(t, h, vault.FreezePrincipal, as("lab").Principal)

		renamed := strings.NewReplacer(
			"{name: card,", "{name: pan, renamed_from: card,", "customers.card", "customers.pan",
			"- name: orders", "- name: parcels\n    renamed_from: orders", "orders.*", "parcels.*",
			"  - name: support\n", "  - name: helpdesk\n", "[support]}", "[helpdesk]}", "[support, billing]", "[helpdesk, billing]",
			"  - {id: \"spiffe://cloakroom.example/lab\", roles: [lab]}\n", "",
		).Replace(testPolicy)
		renamed = strings.ReplaceAll(renamed, "purposes: [helpdesk]", "purposes: [support]")
		h.Apply(renamed)
		if got := shown(t, h, card, note); !slices.Equal(got, []string{"FROZEN", "tea"}) {
			t.Errorf("under the new names: %q", got)
		}
		if _, refusal := reveal(t, h, "reader", street, "payment", 0); refusal != vault.Frozen {
			t.Errorf("the renamed collection: %v", refusal)
		}
		// A role has no number: under a new name it is a new role.
		if _, refusal := reveal(t, h, "support", note, "support", 0); refusal != 0 {
			t.Errorf("the renamed role: %v", refusal)
		}
		var targets []string
		all, err := h.Vault.Freezes(t.Context(), as("guard"))
		for _, f := range all {
			targets = append(targets, f.Target)
		}
		if want := []string{"customers.pan", "parcels", "support", as("lab").Principal}; err != nil || !slices.Equal(targets, want) {
			t.Errorf("frozen: %q, %v, want %q", targets, err, want)
		}
		h.Reopen() // with a policy that lacks what is frozen
		h.Apply(strings.NewReplacer("renamed_from: card,", "", "    renamed_from: orders\n", "").Replace(
			strings.Replace(renamed, "principals:\n", "principals:\n  - {id: \"spiffe://cloakroom.example/lab\", roles: [lab]}\n", 1)))
		if _, refusal := reveal(t, h, "lab", card, "support", 0); refusal != vault.Frozen {
			t.Errorf("the principal that came back: %v", refusal)
		}
		back := strings.NewReplacer("  - name: helpdesk\n", "  - name: support\n", "[helpdesk]}", "[support]}", "[helpdesk, billing]", "[support, billing]",
			"renamed_from: card,", "", "    renamed_from: orders\n", "").Replace(renamed)
		h.Apply(back)
		if _, refusal := reveal(t, h, "support", note, "support", 0); refusal != vault.Frozen {
			t.Errorf("the role that came back: %v", refusal)
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

func TestFreezeBound(t *testing.T) {
	h := open(t)
	for i := range vault.MaxFreezes {
		freeze(t, h, vault.FreezePrincipal, fmt.Sprintf("spiffe://cloakroom.example/p%d", i))
	}
	_, err := h.Vault.Freeze(t.Context(), as("guard"), vault.FreezeRequest{Kind: vault.FreezeVault, Reason: "INC-1"})
	wantReason(t, err, vault.InvalidRequest)
	freeze(t, h, vault.FreezePrincipal, "spiffe://cloakroom.example/p7") // is there
	thaw(t, h, 1)
	freeze(t, h, vault.FreezeVault, "")
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
