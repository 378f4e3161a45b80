package cloakroomtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/cloakroomtest"
)

// shopPolicy is what a program that keeps tokens of e-mail addresses needs: one
// who stores, one who reads, and the administrator.
const shopPolicy = `
version: 1
purposes:
  - {name: delivery, basis: contract, text: {en: To say when the parcel comes.}}
collections:
  - name: customers
    fields:
      - {name: email, type: email, category: user.contact.email, purposes: [delivery]}
roles:
  - name: administrator
    rules: [{effect: allow, actions: [policy.apply, policy.read]}]
  - name: shop
    rules: [{effect: allow, actions: [write, read], fields: ["customers.*"]}]
  - name: courier
    rules: [{effect: allow, actions: [reveal], fields: [customers.email], purposes: [delivery], views: [plain]}]
principals:
  - {id: "spiffe://cloakroom.example/admin", roles: [administrator]}
  - {id: "spiffe://cloakroom.example/shop", roles: [shop]}
  - {id: "spiffe://cloakroom.example/courier", roles: [courier]}
`

// Register and Notify stand for the program under test.

// Register keeps an address in the vault and returns what the shop may store.
func Register(ctx context.Context, vault *cloakroom.Client, id, email string) (token string, err error) {
	out, err := vault.Put(ctx, "customers", cloakroom.RecordInput{
		SubjectID: id, Fields: cloakroom.Fields{"email": cloakroom.Texts(email)},
	})
	if err != nil {
		return "", err
	}
	return out.Record.Token("email"), nil
}

// Notify sends a message to the person behind a token.
func Notify(ctx context.Context, vault *cloakroom.Client, token string, send func(to string)) error {
	got, err := vault.DetokenizeOne(ctx, token, "delivery")
	if err != nil {
		return err
	}
	send(got.Value.ExposeText())
	return nil
}

// TestNotify is how a test of such a program looks: a real vault, a client for
// each of its callers, and the audit log to look at.
func TestNotify(t *testing.T) {
	vault := cloakroomtest.New(t, []byte(shopPolicy))
	shop := vault.Client("spiffe://cloakroom.example/shop")
	courier := vault.Client("spiffe://cloakroom.example/courier", cloakroom.WithRetry(1, time.Second))

	token, err := Register(t.Context(), shop, "4711", "Ada@Example.org")
	if err != nil {
		t.Fatal(err)
	}
	var sent string
	send := func(to string) { sent = to }
	if err := Notify(t.Context(), courier, token, send); err != nil || sent != "ada@example.org" {
		t.Errorf("sent to %q, %v", sent, err)
	}
	sent = ""

	// The shop itself cannot see the address, nor can somebody unknown.
	for _, c := range []*cloakroom.Client{shop, vault.Client("spiffe://cloakroom.example/nobody")} {
		if err := Notify(t.Context(), c, token, send); !errors.Is(err, cloakroom.ErrPermissionDenied) || sent != "" {
			t.Errorf("sent to %q, %v", sent, err)
		}
	}

	// Nobody can while the log cannot be written.
	vault.Log.Fail(errors.New("disk away"))
	if err := Notify(t.Context(), courier, token, send); !errors.Is(err, cloakroom.ErrUnavailable) || sent != "" {
		t.Errorf("without a log: sent to %q, %v", sent, err)
	}
	vault.Log.Fail(nil)
	if err := Notify(t.Context(), courier, token, send); err != nil {
		t.Error(err)
	}

	// Who saw it is on record.
	entries := vault.Log.Entries()
	if last := entries[len(entries)-1]; last.Principal != "spiffe://cloakroom.example/courier" || last.Purpose != "delivery" {
		t.Errorf("the last entry is of %s for %s", last.Principal, last.Purpose)
	}
}
