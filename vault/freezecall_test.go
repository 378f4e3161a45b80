package vault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
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
		object := c.object + fmt.Sprintf(", freeze %d", f.ID)
		want := audit.Entry{Request: "test", Principal: as("guard").Principal, Action: audit.ActionFreeze, Reason: "INC-1", PolicyVersion: 1,
			Object: object, Collection: c.in, Items: c.items, Count: uint32(len(c.items)), Outcome: audit.Allowed}
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
