package vault_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// testPolicy declares a small collection and one principal for each kind of
// right.
const testPolicy = `
version: 1
purposes:
  - {name: payment, basis: contract, text: {en: To take the payment.}}
  - {name: support, basis: contract, text: {en: To help you.}}
  - {name: newsletter, basis: consent, channel: email, text: {en: To send you news.}}
domains:
  - {name: analytics}
collections:
  - name: customers
    fields:
      - {name: full_name, type: person_name, category: user.name, purposes: [support, payment]}
      - {name: email, type: email, category: user.contact.email, purposes: [support, newsletter], multi: 3}
      - {name: card, type: payment_card, category: user.financial.card, purposes: [payment, support]}
      - {name: note, type: string, category: user.note, purposes: [support], retention: 30d}
      - {name: photo, type: bytes, category: user.photo, purposes: [support]}
  - name: orders
    fields:
      - {name: street, type: street, category: user.contact.address, purposes: [payment]}
roles:
  - name: administrator
    rules:
      - {effect: allow, actions: [policy.apply, policy.read]}
  - name: shop
    rules:
      - {effect: allow, actions: [write, delete, read, tokenize, describe], fields: ["customers.*", "orders.*"]}
  - name: billing
    rules:
      - {effect: allow, actions: [reveal], fields: [customers.card, customers.full_name], purposes: [payment], views: [plain]}
  - name: support
    rules:
      - {effect: allow, actions: [reveal], fields: [customers.card, customers.email], purposes: [support], views: [masked]}
      - {effect: allow, actions: [reveal], fields: [customers.full_name, customers.note, customers.photo], purposes: [support], views: [plain, masked]}
  - name: mailer
    rules:
      - {effect: allow, actions: [reveal], fields: [customers.email], purposes: [newsletter], views: [plain]}
  - name: analyst
    rules:
      - {effect: allow, actions: [read], fields: ["customers.*"], domains: [analytics]}
  - name: reader
    rules:
      - {effect: allow, actions: [reveal], fields: ["*"], purposes: [support, payment], views: [plain]}
  - name: clerk
    rules:
      - {effect: allow, actions: [write, delete, read, tokenize, describe], fields: ["orders.*"]}
      - {effect: allow, actions: [reveal], fields: ["orders.*"], purposes: [payment], views: [plain]}
  - name: lab
    rules:
      - {effect: allow, actions: [read, tokenize, describe], fields: [customers.full_name], domains: [analytics]}
      - {effect: allow, actions: [reveal], fields: [customers.full_name], purposes: [support], views: [plain], domains: [analytics]}
  - name: guard
    rules:
      - {effect: allow, actions: [incident.read, incident.freeze, incident.thaw, incident.honey]}
  - name: auditor
    rules:
      - {effect: allow, actions: [audit.read, incident.exposure]}
  - name: relief
    rules:
      - {effect: allow, actions: [incident.thaw]}
  - name: keeper
    rules:
      - {effect: allow, actions: [keys.read, keys.rotate, keys.disable, keys.destroy]}
  - name: approver
    rules:
      - {effect: allow, actions: [keys.read, keys.approve]}
  - name: trainee
    rules:
      - {effect: deny, actions: [reveal], fields: [customers.card], purposes: ["*"], views: ["*"]}
principals:
  - {id: "spiffe://cloakroom.example/keeper", roles: [keeper, approver]}
  - {id: "spiffe://cloakroom.example/keeper2", roles: [keeper]}
  - {id: "spiffe://cloakroom.example/first", roles: [approver]}
  - {id: "spiffe://cloakroom.example/second", roles: [approver]}
  - {id: "spiffe://cloakroom.example/auditor", roles: [auditor]}
  - {id: "spiffe://cloakroom.example/auditor2", roles: [auditor]}
  - {id: "spiffe://cloakroom.example/admin", roles: [administrator]}
  - {id: "spiffe://cloakroom.example/shop", roles: [shop]}
  - {id: "spiffe://cloakroom.example/billing", roles: [billing]}
  - {id: "spiffe://cloakroom.example/support", roles: [support]}
  - {id: "spiffe://cloakroom.example/mailer", roles: [mailer]}
  - {id: "spiffe://cloakroom.example/analyst", roles: [analyst]}
  - {id: "spiffe://cloakroom.example/reader", roles: [reader]}
  - {id: "spiffe://cloakroom.example/clerk", roles: [clerk]}
  - {id: "spiffe://cloakroom.example/lab", roles: [lab]}
  - {id: "spiffe://cloakroom.example/guard", roles: [guard]}
  - {id: "spiffe://cloakroom.example/relief", roles: [relief]}
  - {id: "spiffe://cloakroom.example/desk", roles: [support, billing]}
  - {id: "spiffe://cloakroom.example/trainee", roles: [trainee, billing]}
`

func as(name string) vault.Caller {
	return vault.Caller{Principal: "spiffe://cloakroom.example/" + name, Request: "test"}
}

func open(t *testing.T) *vaulttest.Harness {
	t.Helper()
	h := vaulttest.New(t)
	h.Apply(testPolicy)
	return h
}

func fields(pairs ...string) []vault.FieldValues {
	var out []vault.FieldValues
	for i := 0; i < len(pairs); i += 2 {
		n := slices.IndexFunc(out, func(f vault.FieldValues) bool { return f.Field == pairs[i] })
		if n < 0 {
			out = append(out, vault.FieldValues{Field: pairs[i]})
			n = len(out) - 1
		}
		out[n].Values = append(out[n].Values, vaulttest.Text(pairs[i+1]))
	}
	return out
}

// put stores one record and returns it; it must succeed.
func put(t *testing.T, h *vaulttest.Harness, subject string, pairs ...string) *vault.Record {
	t.Helper()
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{
		Collection: "customers", Records: []vault.RecordInput{{SubjectID: subject, Fields: fields(pairs...)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	return r[0].Record
}

func tokenOf(t *testing.T, r *vault.Record, field string) string {
	t.Helper()
	for _, f := range r.Fields {
		if f.Field == field {
			return f.Tokens[0]
		}
	}
	t.Fatalf("the record has no token of %s", field)
	return ""
}

// reveal reveals one token and returns the text, or the reason of the refusal.
func reveal(t *testing.T, h *vaulttest.Harness, who, token, purpose string, view policy.View) (string, vault.Reason) {
	t.Helper()
	var out vault.Revealed
	err := h.Vault.Detokenize(t.Context(), as(who), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: purpose, View: view}, &out)
	if err != nil {
		return "", reasonOf(t, err)
	}
	if out.Items[0].Err != nil {
		return "", out.Items[0].Err.Reason
	}
	return string(out.Value(0).Expose()), 0
}

func reasonOf(t *testing.T, err error) vault.Reason {
	t.Helper()
	var e *vault.Error
	if !errors.As(err, &e) {
		t.Fatalf("not an error of the vault: %v", err)
	}
	return e.Reason
}

func TestRevealByScope(t *testing.T) {
	h := open(t)
	r := put(t, h, "c-1", "full_name", "Ada Lovelace", "email", " Ada@Example.ORG ", "card", "4111 1111 1111 1111", "note", "likes tea")
	for _, c := range []struct {
		name, who, field, purpose string
		view                      policy.View
		want                      string
		refusal                   vault.Reason
	}{
		{"billing sees the card", "billing", "card", "payment", 0, "4111111111111111", 0},
		{"billing sees the card, asked plain", "billing", "card", "payment", policy.ViewPlain, "4111111111111111", 0},
		{"billing may not mask", "billing", "card", "payment", policy.ViewMasked, "", vault.ViewDenied},
		{"billing not for support", "billing", "card", "support", 0, "", vault.PurposeDenied},
		{"support sees it masked", "support", "card", "support", 0, "**** **** **** 1111", 0},
		{"support not plain", "support", "card", "support", policy.ViewPlain, "", vault.ViewDenied},
		{"widest of two", "support", "full_name", "support", 0, "Ada Lovelace", 0},
		{"the narrower, asked for", "support", "full_name", "support", policy.ViewMasked, "A. L.", 0},
		{"field not declared for it", "support", "email", "payment", 0, "", vault.PurposeNotDeclared},
		{"no purpose", "billing", "card", "", 0, "", vault.PurposeRequired},
		{"unknown purpose", "billing", "card", "curiosity", 0, "", vault.UnknownPurpose},
		{"consent needed", "mailer", "email", "newsletter", 0, "", vault.ConsentRequired},
		{"no right at all", "analyst", "card", "payment", 0, "", vault.ActionDenied},
		{"unknown principal", "stranger", "card", "payment", 0, "", vault.PrincipalUnknown},
		{"administrator cannot reveal", "admin", "card", "payment", 0, "", vault.ActionDenied},
		{"the shop cannot reveal", "shop", "card", "payment", 0, "", vault.ActionDenied},
		{"view not offered", "support", "card", "support", policy.ViewGeneralised, "", vault.InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, refusal := reveal(t, h, c.who, tokenOf(t, r, c.field), c.purpose, c.view)
			if got != c.want || refusal != c.refusal {
				t.Errorf("got %q and %v, want %q and %v", got, refusal, c.want, c.refusal)
			}
		})
	}
}
