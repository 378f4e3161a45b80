package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

func TestReserve(t *testing.T) {
	const doc = `
version: 1
purposes:
  - {name: support, basis: contract, text: {en: To help you.}}
collections:
  - name: customers
    fields:
      - {name: email, type: email, category: user.contact.email, purposes: [support]}
%s
roles:
  - name: administrator
    rules:
      - {effect: allow, actions: [policy.apply]}
principals:
  - {id: "spiffe://example.org/admin", roles: [administrator]}
`
	next := func(t *testing.T, r *policy.Registry, more string) *policy.Registry {
		t.Helper()
		file, err := policy.Parse([]byte(fmt.Sprintf(doc, more)))
		if err != nil {
			t.Fatal(err)
		}
		out, err := file.Register(r)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := next(t, nil, "")
	for _, c := range []struct {
		name        string
		field       policy.FieldID
		collections int
		want        policy.FieldID // of a new field
	}{
		{"nothing", 0, 0, 2},
		{"numbers that are there", 1, 0, 2},
		{"fields", 5, 0, 6},
		{"collections", 0, 3, 2},
		{"both", 7, 2, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept, err := first.Reserve(c.field, c.collections)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(kept)
			if err != nil {
				t.Fatal(err)
			}
			stored := new(policy.Registry)
			if err := json.Unmarshal(text, stored); err != nil {
				t.Fatalf("it cannot be stored: %v", err)
			}
			got := next(t, stored, "      - {name: phone, type: phone, category: user.contact.phone, purposes: [support]}")
			if name := got.FieldName(c.want); name != "customers.phone" {
				t.Errorf("number %d is %q", c.want, name)
			}
			if name := first.FieldName(2); name != "" {
				t.Errorf("the registry itself changed: %q", name)
			}
		})
	}
	for _, c := range []struct {
		field       policy.FieldID
		collections int
	}{{policy.MaxFieldID + 1, 0}, {0, 1 << 16}, {0, -1}} {
		if _, err := first.Reserve(c.field, c.collections); !errors.Is(err, policy.ErrRegistry) {
			t.Errorf("%d fields and %d collections: %v", c.field, c.collections, err)
		}
	}
}
