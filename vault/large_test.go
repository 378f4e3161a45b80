package vault_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// largePolicy declares a record that can hold more values than one audit entry
// can name.
const largePolicy = `
version: 1
purposes:
  - {name: support, basis: contract, text: {en: To help you.}}
collections:
  - name: customers
    fields:
      - {name: tag, type: string, category: user.tag, purposes: [support], multi: 1000}
      - {name: mark, type: string, category: user.mark, purposes: [support], multi: 1000}
      - {name: note, type: string, category: user.note, purposes: [support]}
roles:
  - name: administrator
    rules: [{effect: allow, actions: [policy.apply, policy.read]}]
  - name: everything
    rules:
      - {effect: allow, actions: [write, delete, read], fields: ["customers.*"]}
      - {effect: allow, actions: [reveal], fields: ["customers.*"], purposes: [support], views: [plain]}
principals:
  - {id: "spiffe://cloakroom.example/admin", roles: [administrator]}
  - {id: "spiffe://cloakroom.example/shop", roles: [everything]}
`

func many(field string, n int) vault.FieldValues {
	f := vault.FieldValues{Field: field}
	for i := range n {
		f.Values = append(f.Values, vaulttest.Text(fmt.Sprintf("%s %d", field, i)))
	}
	return f
}

// A change, or a reveal, of more items than an audit entry can name is written
// as several entries. One that no log would take must never be committed: it
// would keep the vault from ever serving again.
func TestChangesLargerThanAnAuditEntry(t *testing.T) {
	h := vaulttest.OnDisk(t)
	h.Apply(largePolicy)
	ctx := t.Context()
	upsert := func(f vault.FieldValues) {
		t.Helper()
		r, err := h.Vault.PutRecords(ctx, as("shop"), vault.PutRequest{
			Collection: "customers", Upsert: true, Records: []vault.RecordInput{{SubjectID: "c-1", Fields: []vault.FieldValues{f}}},
		})
		if err != nil || r[0].Err != nil {
			t.Fatal(err, r)
		}
	}
	upsert(many("tag", 1000))
	upsert(many("mark", 1000))

	before := len(h.Log.Entries())
	out, err := h.Vault.ReadRecord(ctx, as("shop"), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: "support"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(out.Values.Items); n != 2000 {
		t.Errorf("revealed %d items, want 2000", n)
	}
	if n := itemsLogged(h.Log.Entries()[before:], audit.ActionReveal); n != 2000 {
		t.Errorf("the log names %d revealed items, want 2000", n)
	}

	before = len(h.Log.Entries())
	_, err = h.Vault.UpdateRecord(ctx, as("shop"), vault.UpdateRequest{
		Collection: "customers", Record: vault.RecordInput{SubjectID: "c-1", Fields: []vault.FieldValues{many("tag", 1000)}},
		Mask: []string{"tag", "mark"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := itemsLogged(h.Log.Entries()[before:], audit.ActionUpdate); n != 2000 {
		t.Errorf("the log names %d changed items, want 2000", n)
	}
	upsert(many("mark", 1000))
	n, err := h.Vault.DeleteRecord(ctx, as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"})
	if err != nil || n.Values != 2000 {
		t.Errorf("deleted %d values and %v, want 2000", n.Values, err)
	}
	h.Reopen()
	upsert(many("note", 1))
}

func itemsLogged(entries []*audit.Entry, a audit.Action) int {
	n := 0
	for _, e := range entries {
		if e.Action == a {
			n += len(e.Items)
		}
	}
	return n
}

// What the log would refuse is refused before it is stored, not after.
func TestUnloggableCallsChangeNothing(t *testing.T) {
	h := vaulttest.OnDisk(t)
	h.Apply(testPolicy)
	caller := as("shop")
	caller.Request = strings.Repeat("x", audit.MaxRequestLen+1)
	r, err := h.Vault.PutRecords(t.Context(), caller, vault.PutRequest{
		Collection: "customers", Records: []vault.RecordInput{{SubjectID: "c-1", Fields: fields("note", "tea")}},
	})
	if err == nil && (len(r) != 1 || r[0].Err == nil) {
		t.Error("a call that cannot be logged was answered with a record")
	}
	h.Reopen()
	put(t, h, "c-1", "note", "tea") // neither there nor in the way
	if _, got := reveal(t, h, "support", "tok_", "support", policy.ViewPlain); got != vault.MalformedToken {
		t.Errorf("the vault answers %v", got)
	}
}

// One call cannot make the vault hold more than MaxAnswer in clear: one token
// of a large value, given a thousand times, is a small request.
func TestAnswerIsBounded(t *testing.T) {
	h := open(t)
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{{
		SubjectID: "c-1", Fields: []vault.FieldValues{{Field: "photo", Values: []vault.Given{vaulttest.Data(make([]byte, vault.MaxValue))}}},
	}}})
	if err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	q := vault.DetokenizeRequest{Purpose: "support"}
	for range vault.MaxBatch {
		q.Tokens = append(q.Tokens, tokenOf(t, r[0].Record, "photo"))
	}
	var out vault.Revealed
	if err := h.Vault.Detokenize(t.Context(), as("support"), q, &out); err != nil {
		t.Fatal(err)
	}
	most := vault.MaxAnswer / vault.MaxValue // each value has its time beside it
	for i := range out.Items {
		if refused := out.Items[i].Err != nil; refused != (i >= most) || refused && out.Items[i].Err.Reason != vault.Busy {
			t.Fatalf("item %d: %v", i, out.Items[i].Err)
		}
	}
}
