package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

func TestFreezeRequests(t *testing.T) {
	h := open(t)
	billing := as("billing").Principal
	for _, c := range []struct {
		name, who string
		q         vault.FreezeRequest
		want      vault.Reason
		field     string
	}{
		{"no kind", "guard", vault.FreezeRequest{Target: billing, Reason: "INC-1"}, vault.InvalidRequest, "kind"},
		{"an unknown kind", "guard", vault.FreezeRequest{Kind: 6, Reason: "INC-1"}, vault.InvalidRequest, "kind"},
		{"no reason", "guard", vault.FreezeRequest{Kind: vault.FreezeVault}, vault.InvalidRequest, "reason"},
		{"free text as reason", "guard", vault.FreezeRequest{Kind: vault.FreezeVault, Reason: "somebody looked"}, vault.InvalidRequest, "reason"},
		{"a reason too long", "guard", vault.FreezeRequest{Kind: vault.FreezeVault, Reason: strings.Repeat("x", vault.MaxReason+1)}, vault.InvalidRequest, "reason"},
		{"no principal", "guard", vault.FreezeRequest{Kind: vault.FreezePrincipal, Target: "billing", Reason: "INC-1"}, vault.InvalidRequest, "target"},
		{"oneself", "guard", vault.FreezeRequest{Kind: vault.FreezePrincipal, Target: as("guard").Principal, Reason: "INC-1"}, vault.InvalidRequest, "target"},
		{"no such role", "guard", vault.FreezeRequest{Kind: vault.FreezeRole, Target: "Billing", Reason: "INC-1"}, vault.InvalidRequest, "target"},
		{"no such field", "guard", vault.FreezeRequest{Kind: vault.FreezeField, Target: "customers.colour", Reason: "INC-1"}, vault.UnknownField, "target"},
		{"a field without its collection", "guard", vault.FreezeRequest{Kind: vault.FreezeField, Target: "card", Reason: "INC-1"}, vault.UnknownField, "target"},
		{"no such collection", "guard", vault.FreezeRequest{Kind: vault.FreezeCollection, Target: "customers.*", Reason: "INC-1"}, vault.UnknownCollection, "target"},
		{"the vault by name", "guard", vault.FreezeRequest{Kind: vault.FreezeVault, Target: "vault", Reason: "INC-1"}, vault.InvalidRequest, "target"},
		{"without the right", "relief", vault.FreezeRequest{Kind: vault.FreezeVault, Reason: "INC-1"}, vault.ActionDenied, ""},
		{"without the right and form", "shop", vault.FreezeRequest{}, vault.ActionDenied, ""},
		{"nobody", "nobody", vault.FreezeRequest{Kind: vault.FreezeVault, Reason: "INC-1"}, vault.PrincipalUnknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(h.Log.Entries())
			f, err := h.Vault.Freeze(t.Context(), as(c.who), c.q)
			wantReason(t, err, c.want)
			var e *vault.Error
			if f != nil || !errors.As(err, &e) || e.Field != c.field {
				t.Errorf("answered %+v, %v", f, e)
			}
			entries := entriesSince(h, before)
			if len(entries) != 1 || entries[0].Action != audit.ActionFreeze || entries[0].Outcome != audit.Refused || entries[0].Refusal != c.want.String() || entries[0].Object != "" {
				t.Errorf("logged %+v", entries)
			}
		})
	}
	if all, err := h.Vault.Freezes(t.Context(), as("guard")); err != nil || len(all) != 0 {
		t.Errorf("in force: %+v, %v", all, err)
	}
}

func TestThawRequests(t *testing.T) {
	h := open(t)
	f := freeze(t, h, vault.FreezeVault, "")
	wantReason(t, h.Vault.Thaw(t.Context(), as("guard"), f.ID+1, "INC-1"), vault.FreezeNotFound)
	wantReason(t, h.Vault.Thaw(t.Context(), as("guard"), 0, "INC-1"), vault.FreezeNotFound)
	wantReason(t, h.Vault.Thaw(t.Context(), as("guard"), f.ID, ""), vault.InvalidRequest)
	wantReason(t, h.Vault.Thaw(t.Context(), as("guard"), f.ID, "it is over"), vault.InvalidRequest)
	wantReason(t, h.Vault.Thaw(t.Context(), as("admin"), f.ID, "INC-1"), vault.ActionDenied)
	if err := h.Vault.Thaw(t.Context(), as("relief"), f.ID, "INC-1"); err != nil {
		t.Fatal(err)
	}
	wantReason(t, h.Vault.Thaw(t.Context(), as("relief"), f.ID, "INC-1"), vault.FreezeNotFound)
	if again := freeze(t, h, vault.FreezeVault, ""); again.ID <= f.ID {
		t.Errorf("number %d was given out again as %d", f.ID, again.ID)
	}
	_, err := h.Vault.Freezes(t.Context(), as("relief"))
	wantReason(t, err, vault.ActionDenied)
}

// What is frozen already keeps its freeze, and the list says what is in force.
func TestFreezingTwice(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		var want []vault.Freeze
		for _, q := range []vault.FreezeRequest{
			{Kind: vault.FreezePrincipal, Target: as("billing").Principal}, {Kind: vault.FreezeRole, Target: "customers"},
			{Kind: vault.FreezeRole, Target: "support"}, {Kind: vault.FreezeField, Target: "customers.card"},
			{Kind: vault.FreezeField, Target: "customers.note"}, {Kind: vault.FreezeCollection, Target: "customers"},
			{Kind: vault.FreezeCollection, Target: "orders"}, {Kind: vault.FreezeVault},
		} {
			q.Reason = "INC-1"
			first, err := h.Vault.Freeze(t.Context(), as("guard"), q)
			if q.Target == "customers" && q.Kind == vault.FreezeRole {
				wantReason(t, err, vault.InvalidRequest)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if first.Kind != q.Kind || first.Target != q.Target || first.Reason != "INC-1" || first.By != as("guard").Principal || first.At.IsZero() {
				t.Errorf("%+v", first)
			}
			q.Reason = "INC-2"
			again, err := h.Vault.Freeze(t.Context(), as("guard"), q)
			if diff := cmp.Diff(first, again); err != nil || diff != "" {
				t.Errorf("the second time: %v %s", err, diff)
			}
			want = append(want, *first)
		}
		for range 2 {
			got, err := h.Vault.Freezes(t.Context(), as("guard"))
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("the list: %v %s", err, diff)
			}
			h.Reopen()
		}
	})
}

// Nobody freezes so that nobody could thaw.
func TestSomebodyCanThaw(t *testing.T) {
	h := open(t)
	// The relief alone can thaw the guard.
	relief := as("relief").Principal
	freeze(t, h, vault.FreezeRole, "guard")
	_, err := h.Vault.Freezes(t.Context(), as("guard"))
	wantReason(t, err, vault.Frozen)
	if err := h.Vault.Thaw(t.Context(), as("relief"), 1, "INC-1"); err != nil {
		t.Fatal(err)
	}
	f := freeze(t, h, vault.FreezePrincipal, relief)
	wantReason(t, h.Vault.Thaw(t.Context(), as("relief"), f.ID, "INC-1"), vault.Frozen)
	before := len(h.Log.Entries())
	_, err = h.Vault.Freeze(t.Context(), as("guard"), vault.FreezeRequest{Kind: vault.FreezeRole, Target: "guard", Reason: "INC-1"})
	wantReason(t, err, vault.InvalidRequest)
	if e := entriesSince(h, before); len(e) != 1 || e[0].Object != "role guard" || len(e[0].Items) != 0 {
		t.Errorf("logged %+v", e)
	}
	// Nor does a policy take away who could.
	without := strings.Replace(testPolicy, "incident.freeze, incident.thaw, incident.honey", "incident.freeze", 1)
	_, _, err = apply(h, "admin", without)
	wantReason(t, err, vault.PolicyInvalid)
	thaw(t, h, f.ID)
	if _, _, err := apply(h, "admin", strings.Replace(without, "actions: [incident.thaw]", "actions: [incident.read]", 1)); err != nil {
		t.Fatalf("with nothing frozen: %v", err)
	}
	_, err = h.Vault.Freeze(t.Context(), as("guard"), vault.FreezeRequest{Kind: vault.FreezeVault, Reason: "INC-1"})
	wantReason(t, err, vault.InvalidRequest)
}

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

// The entries say what was done to what, and why.
func TestFreezeEntries(t *testing.T) {
	h := open(t)
	field := func(n uint32) []audit.Item { return []audit.Item{{Field: n, Outcome: audit.Allowed}} }
	for _, c := range []struct {
		kind               vault.FreezeKind
		target, object, in string
		items              []audit.Item
	}{
		{vault.FreezePrincipal, as("billing").Principal, "principal " + as("billing").Principal, "", nil},
		{vault.FreezeRole, "support", "role support", "", nil},
		{vault.FreezeField, "customers.card", "field customers.card", "customers", field(3)},
		{vault.FreezeCollection, "orders", "collection orders", "orders", nil},
		{vault.FreezeVault, "", "vault", "", nil},
	} {
		before := len(h.Log.Entries())
		f := freeze(t, h, c.kind, c.target)
		freeze(t, h, c.kind, c.target)
		if err := h.Vault.Thaw(t.Context(), as("relief"), f.ID, "INC-2"); err != nil {
			t.Fatal(err)
		}
		want := audit.Entry{Request: "test", Principal: as("guard").Principal, Action: audit.ActionFreeze, Reason: "INC-1", PolicyVersion: 1,
			Object: c.object, Collection: c.in, Items: c.items, Count: uint32(len(c.items)), Outcome: audit.Allowed}
		end := want
		end.Principal, end.Action, end.Reason = as("relief").Principal, audit.ActionThaw, "INC-2"
		for i, e := range entriesSince(h, before) {
			got := *e
			got.ID, got.Time = want.ID, want.Time
			if diff := cmp.Diff([]audit.Entry{want, want, end}[i], got); diff != "" {
				t.Errorf("%v, entry %d: %s", c.kind, i, diff)
			}
		}
		if n := len(entriesSince(h, before)); n != 3 {
			t.Errorf("%v: %d entries", c.kind, n)
		}
	}
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
