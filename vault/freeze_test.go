package vault_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// freeze freezes as the guard; it must succeed.
func freeze(t *testing.T, h *vaulttest.Harness, kind vault.FreezeKind, target string) *vault.Freeze {
	t.Helper()
	f, err := h.Vault.Freeze(t.Context(), as("guard"), vault.FreezeRequest{Kind: kind, Target: target, Reason: "INC-1"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func thaw(t *testing.T, h *vaulttest.Harness, id uint64) {
	t.Helper()
	if err := h.Vault.Thaw(t.Context(), as("guard"), id, "INC-1"); err != nil {
		t.Fatal(err)
	}
}

// What each kind of freeze stops, what it leaves, and who does not learn of it.
// It holds over a restart, and ends with the thaw.
func TestWhatFreezesStop(t *testing.T) {
	principal := func(name string) string { return as(name).Principal }
	for _, c := range []struct {
		name   string
		kind   vault.FreezeKind
		target string
		stops  []string
	}{
		{name: "the principal billing", kind: vault.FreezePrincipal, target: principal("billing"),
			stops: []string{"billing card", "billing name", "read name for payment", "billing without right"}},
		{name: "the principal shop", kind: vault.FreezePrincipal, target: principal("shop"),
			stops: []string{"get", "list", "describe", "write", "tokenize"}},
		{name: "the principal admin", kind: vault.FreezePrincipal, target: principal("admin"), stops: []string{"read the policy"}},
		{name: "a principal without the right", kind: vault.FreezePrincipal, target: principal("analyst"), stops: []string{"get of the analyst"}},
		{name: "an unknown principal", kind: vault.FreezePrincipal, target: principal("stranger")},
		{name: "the role billing", kind: vault.FreezeRole, target: "billing",
			// Who has no right to reveal left is told so at once, whatever is asked.
			stops: []string{"billing card", "billing name", "read name for payment", "desk card plain", "trainee name", "trainee card", "billing without right"}},
		{name: "the role support", kind: vault.FreezeRole, target: "support",
			stops: []string{"support card", "support note", "desk card masked", "desk card widest", "desk name", "read card", "read name"}},
		{name: "a role that only denies", kind: vault.FreezeRole, target: "trainee"},
		{name: "the role shop", kind: vault.FreezeRole, target: "shop", stops: []string{"get", "list", "describe", "write", "tokenize"}},
		{name: "the field card", kind: vault.FreezeField, target: "customers.card",
			stops: []string{"billing card", "support card", "desk card plain", "desk card masked", "desk card widest", "read card", "tokenize"}},
		{name: "the field note", kind: vault.FreezeField, target: "customers.note", stops: []string{"support note"}},
		{name: "the collection", kind: vault.FreezeCollection, target: "customers", stops: []string{
			"billing card", "billing name", "support card", "support note", "desk name", "desk card plain", "desk card masked", "desk card widest",
			"trainee name", "read card", "read name", "read name for payment", "tokenize"}},
		{name: "another collection", kind: vault.FreezeCollection, target: "orders"},
		{name: "the vault", kind: vault.FreezeVault, stops: []string{
			"billing card", "billing name", "support card", "support note", "desk name", "desk card plain", "desk card masked", "desk card widest",
			"trainee name", "read card", "read name", "read name for payment", "tokenize"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, h *vaulttest.Harness) {
				all := probes(put(t, h, "c-1", "full_name", "Ada Lovelace", "card", "4111111111111111", "note", "tea"))
				check := func(when string, frozen bool) {
					t.Helper()
					for _, p := range all {
						want := p.want
						if frozen && slices.Contains(c.stops, p.name) {
							want = vault.Frozen.String()
						}
						if got := p.call(t, h); got != want {
							t.Errorf("%s: %s gets %q, want %q", when, p.name, got, want)
						}
					}
				}
				check("before", false)
				f := freeze(t, h, c.kind, c.target)
				check("frozen", true)
				h.Reopen()
				check("after a restart", true)
				thaw(t, h, f.ID)
				check("thawed", false)
				h.Reopen()
				check("thawed and restarted", false)
			})
		})
	}
}

// A frozen vault refuses the whole call to who has the right to some item, and
// says to each of the others what it always says.
func TestFrozenVaultAndItems(t *testing.T) {
	h := open(t)
	r := put(t, h, "c-1", "full_name", "Ada Lovelace", "card", "4111111111111111", "note", "tea")
	card, note := tokenOf(t, r, "card"), tokenOf(t, r, "note")
	f := freeze(t, h, vault.FreezeVault, "")
	var out vault.Revealed
	err := h.Vault.Detokenize(t.Context(), as("billing"), vault.DetokenizeRequest{Tokens: []string{note, card}, Purpose: "payment"}, &out)
	wantReason(t, err, vault.Frozen)
	err = h.Vault.Detokenize(t.Context(), as("billing"), vault.DetokenizeRequest{Tokens: []string{note, "tok_"}, Purpose: "support"}, &out)
	if err != nil || out.Items[0].Err.Reason != vault.FieldDenied || out.Items[1].Err.Reason != vault.MalformedToken {
		t.Errorf("without a right: %v, %+v", err, out.Items)
	}
	thaw(t, h, f.ID)

	// A frozen field refuses its items and leaves the neighbours alone.
	freeze(t, h, vault.FreezeField, "customers.card")
	wantShown(t, h, []string{note, card}, "tea", "FROZEN")
	err = h.Vault.Detokenize(t.Context(), as("reader"), vault.DetokenizeRequest{Tokens: []string{note, card}, Purpose: "support"}, &out)
	if err != nil || out.Items[1].Err.Field != "card" || !errors.Is(out.Items[1].Err, &vault.Error{Reason: vault.Frozen}) {
		t.Errorf("a frozen field: %v, %+v", err, out.Items[1].Err)
	}
	// Also when it holds nothing, or nothing is there: the freeze comes first.
	remove(t, h, "customers", "c-1")
	wantShown(t, h, []string{note, card}, "TOKEN_NOT_FOUND", "FROZEN")
	_, err = h.Vault.ReadRecord(t.Context(), as("reader"), vault.ReadRequest{Collection: "customers", SubjectID: "c-9", Purpose: "payment", Fields: []string{"card"}})
	wantReason(t, err, vault.Frozen)
}

// Who has two roles keeps what the other one allows, field by field; what only
// the frozen one allowed is refused as frozen, and the rest as before.
func TestFrozenRoleOfTwo(t *testing.T) {
	h := open(t)
	h.Apply(edited(t, "principals:\n", `  - name: assistant
    rules:
      - {effect: allow, actions: [write, read, delete, tokenize, describe], fields: ["customers.*"]}
principals:
  - {id: "spiffe://cloakroom.example/mixed", roles: [clerk, assistant]}
`))
	note := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
	order(t, h, "c-1", "Main Street 1")
	calls := map[string]func(collection, field string) error{
		"get": func(collection, _ string) error {
			_, err := h.Vault.GetRecords(t.Context(), as("mixed"), vault.GetRequest{Collection: collection, SubjectIDs: []string{"c-1"}})
			return err
		},
		"put nothing": func(collection, _ string) error {
			r, err := h.Vault.PutRecords(t.Context(), as("mixed"), vault.PutRequest{Collection: collection, Upsert: true, Records: []vault.RecordInput{record("c-1")}})
			if err == nil && r[0].Err != nil {
				err = r[0].Err
			}
			return err
		},
		"update": func(collection, field string) error {
			_, err := h.Vault.UpdateRecord(t.Context(), as("mixed"), vault.UpdateRequest{Collection: collection, Record: record("c-1", field, "x")})
			return err
		},
		"tokenize": func(collection, field string) error {
			_, err := h.Vault.Tokenize(t.Context(), as("mixed"), vault.TokenizeRequest{Collection: collection, Field: field, Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text("x")}}})
			return err
		},
		"delete": func(collection, _ string) error {
			_, err := h.Vault.DeleteRecord(t.Context(), as("mixed"), vault.DeleteRequest{Collection: collection, SubjectID: "c-9"})
			if errors.Is(err, &vault.Error{Reason: vault.RecordNotFound}) {
				err = nil
			}
			return err
		},
	}
	for name, call := range calls {
		if got := outcome(t, call("customers", "note")); got != "ok" {
			t.Errorf("%s before: %s", name, got)
		}
	}
	freeze(t, h, vault.FreezeRole, "assistant")
	for name, call := range calls {
		if got := outcome(t, call("customers", "note")); got != "FROZEN" {
			t.Errorf("%s by the frozen role: %s", name, got)
		}
		if got := outcome(t, call("orders", "street")); got != "ok" {
			t.Errorf("%s by the other role: %s", name, got)
		}
	}
	if d, err := h.Vault.DescribeTokens(t.Context(), as("mixed"), []string{note}); err != nil || d[0].Err.Reason != vault.Frozen {
		t.Errorf("describe: %v", err)
	}
	if _, refusal := reveal(t, h, "mixed", note, "payment", 0); refusal != vault.FieldDenied {
		t.Errorf("what no role allows: %v", refusal)
	}
}

func TestWhoAmIWhileFrozen(t *testing.T) {
	h := open(t)
	freeze(t, h, vault.FreezePrincipal, as("billing").Principal)
	freeze(t, h, vault.FreezeRole, "billing")
	if who := h.Vault.WhoAmI(as("billing")); !who.Known || !slices.Equal(who.Roles, []string{"billing"}) {
		t.Errorf("%+v", who)
	}
}
