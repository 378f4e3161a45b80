package bench

import (
	"fmt"
	"strings"
)

const (
	keeperID  = "spiffe://cloakroom.example/keeper"
	billingID = "spiffe://cloakroom.example/billing"
)

// The fields of the records that the bench stores, and the one whose values are
// revealed.
const cardField = "customers.card_pan"

// recordFields are all of them.
func recordFields() []string {
	return []string{"customers.full_name", "customers.email", cardField}
}

// keyPolicy is a policy over the records of the bench, with a keeper of keys.
func keyPolicy() []byte {
	return policyOf("customers", []string{
		"{name: full_name, type: person_name, category: user.name, purposes: [payment]}",
		"{name: email, type: email, category: user.contact.email, purposes: [payment]}",
		"{name: card_pan, type: payment_card, category: user.financial.credit_card, purposes: [payment]}",
	})
}

// widePolicy is one with n text fields.
func widePolicy(n int) []byte {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf("{name: %s, type: string, max_length: 64, category: user.account, purposes: [payment]}", wideField(i))
	}
	return policyOf(wideCollection, fields)
}

const wideCollection = "wide"

func wideField(i int) string { return fmt.Sprintf("f%04d", i) }

func policyOf(collection string, fields []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
purposes:
  - {name: payment, basis: contract, text: {en: To take the payment.}}
collections:
  - name: %s
    fields:
`, collection)
	for _, f := range fields {
		fmt.Fprintf(&b, "      - %s\n", f)
	}
	fmt.Fprintf(&b, `roles:
  - name: administrator
    rules: [{effect: allow, actions: [policy.apply, policy.read]}]
  - name: keeper
    rules: [{effect: allow, actions: [keys.read, keys.rotate, keys.disable]}]
  - name: shop
    rules: [{effect: allow, actions: [write, read, tokenize], fields: [%[1]s.*]}]
  - name: billing
    rules: [{effect: allow, actions: [reveal], fields: [%[1]s.*], purposes: [payment], views: [plain]}]
principals:
  - {id: %[2]s, description: Applies policies, roles: [administrator]}
  - {id: %[3]s, description: Keeps the keys, roles: [keeper]}
  - {id: %[4]s, description: Stores, roles: [shop]}
  - {id: %[5]s, description: Reveals, roles: [billing]}
`, collection, adminID, keeperID, shopID, billingID)
	return []byte(b.String())
}
