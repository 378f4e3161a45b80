package vault_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// Logins of those with rights on the vault as a whole are entered; of others
// there is nothing, unless they are frozen.
func TestLogin(t *testing.T) {
	h := open(t)
	freeze(t, h, vault.FreezePrincipal, as("billing").Principal)
	freeze(t, h, vault.FreezePrincipal, as("admin").Principal)
	freeze(t, h, vault.FreezePrincipal, as("stranger").Principal)
	freeze(t, h, vault.FreezeRole, "relief")
	freeze(t, h, vault.FreezeVault, "")
	for _, c := range []struct {
		who     string
		entered audit.Outcome // 0: not
	}{
		{"guard", audit.Allowed},
		{"relief", audit.Allowed}, // has the right, though it is frozen
		{"admin", audit.Refused},
		{"billing", audit.Refused},
		{"shop", 0},
		{"support", 0},
		{"stranger", 0},
		{"nobody", 0},
	} {
		t.Run(c.who, func(t *testing.T) {
			before := len(h.Log.Entries())
			err := h.Vault.Login(t.Context(), as(c.who))
			if c.entered == audit.Refused {
				wantReason(t, err, vault.Frozen)
			} else if err != nil {
				t.Error(err)
			}
			entries := entriesSince(h, before)
			if c.entered == 0 {
				if len(entries) != 0 {
					t.Errorf("entered: %+v", entries[0])
				}
				return
			}
			if len(entries) != 1 || entries[0].Action != audit.ActionLogin || entries[0].Outcome != c.entered ||
				entries[0].Principal != as(c.who).Principal || entries[0].Request != "test" || entries[0].PolicyVersion != 1 {
				t.Errorf("entered: %+v", entries)
			}
		})
	}
}

// created lists the objects of the key.create entries of a part of the log, and
// checks that they stand behind the policy they came with.
func created(t *testing.T, entries []*audit.Entry, version uint64) []string {
	t.Helper()
	var out []string
	applied := uint64(0)
	for _, e := range entries {
		switch e.Action {
		case audit.ActionPolicyApply:
			applied = e.PolicyVersion
		case audit.ActionKeyCreate:
			out = append(out, e.Object)
			if e.PolicyVersion != applied || e.PolicyVersion != version || e.Principal != vaulttest.Admin || e.Outcome != audit.Allowed {
				t.Errorf("logged %+v", e)
			}
			field := strings.HasPrefix(e.Object, "field ")
			if field != (len(e.Items) == 1) || field && (e.Items[0].KeyVersion != 1 || e.Items[0].Field == 0 || !strings.HasPrefix(e.Object, "field "+e.Collection+".")) {
				t.Errorf("%s: %+v", e.Object, e)
			}
		}
	}
	return out
}

// The keysets that come into use with a policy are entered with it, once each.
func TestKeysetsAreEntered(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		want := []string{
			"field customers.full_name", "field customers.email", "field customers.card", "field customers.note",
			"field customers.photo", "field orders.street", "domain analytics",
		}
		if got := created(t, h.Log.Entries(), 1); !slices.Equal(got, want) {
			t.Errorf("entered %q, want %q", got, want)
		}
		before := len(h.Log.Entries())
		h.Apply(edited(t, "  - {name: analytics}", "  - {name: analytics}\n  - {name: partner}"))
		if got := created(t, entriesSince(h, before), 2); !slices.Equal(got, []string{"domain partner"}) {
			t.Errorf("entered %q", got)
		}
		before = len(h.Log.Entries())
		h.Apply(testPolicy)
		h.Apply(edited(t, "  - {name: analytics}", "  - {name: analytics}\n  - {name: partner}"))
		// A domain that was dropped and comes back has a new number and a new key.
		if got := created(t, entriesSince(h, before), 4); !slices.Equal(got, []string{"domain partner"}) {
			t.Errorf("entered %q", got)
		}
	})
}

// Reveals and writes say under which version of the field's key the value is
// sealed: what is refused or deleted says nothing.
func TestKeyVersionsAreEntered(t *testing.T) {
	h := open(t)
	before := len(h.Log.Entries())
	r := put(t, h, "c-1", "email", "a@example.org", "email", "b@example.org", "note", "tea")
	tokens := append(tokensOf(r, "email"), tokensOf(r, "note")...)
	shown(t, h, append(tokens, tokenOf(t, put(t, h, "c-2", "full_name", "Ada"), "full_name"))...)
	tokenize(t, h, "note", "c-1", "tea")
	if _, refusal := reveal(t, h, "billing", tokens[2], "payment", 0); refusal == 0 {
		t.Error("not refused")
	}
	if _, err := h.Vault.ReadRecord(t.Context(), as("support"), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: "support", Fields: []string{"note", "card"}}); err != nil {
		t.Fatal(err)
	}
	upsert(t, h, "c-1", "email", "c@example.org")
	seen := map[audit.Action]int{}
	for _, e := range entriesSince(h, before) {
		for _, it := range e.Items {
			sealed := it.Outcome == audit.Allowed
			if e.Action == audit.ActionCreate || e.Action == audit.ActionUpdate {
				sealed = it.Hash != [16]byte{}
			}
			if (it.KeyVersion == 1) != sealed || it.KeyVersion > 1 {
				t.Errorf("%v, field %d, %v: version %d", e.Action, it.Field, it.Outcome, it.KeyVersion)
			}
			if sealed {
				seen[e.Action]++
			}
		}
	}
	for a, n := range map[audit.Action]int{audit.ActionCreate: 4, audit.ActionReveal: 5, audit.ActionUpdate: 1, audit.ActionTokenize: 1} {
		if seen[a] != n {
			t.Errorf("%v: %d items with a version, want %d", a, seen[a], n)
		}
	}
}
