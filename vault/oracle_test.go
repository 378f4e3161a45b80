package vault_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// oracle is an operation of somebody who has rights, but not on what he asks
// about. It says all that he can see of the answer.
type oracle struct {
	name string
	call func(h *vaulttest.Harness, subject, token string) string
}

func told(r any, err error) string {
	if err != nil {
		return "refused: " + err.Error()
	}
	return fmt.Sprintf("%+v", r)
}

var oracles = []oracle{
	{"put", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.PutRecords(context.Background(), as("clerk"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record(subject, "note", "x")}})
		return told(r, err)
	}},
	{"put without values", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.PutRecords(context.Background(), as("clerk"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record(subject)}})
		return told(r, err)
	}},
	{"update", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.UpdateRecord(context.Background(), as("clerk"), vault.UpdateRequest{Collection: "customers", Record: record(subject, "note", "x"), ETag: "1"})
		return told(r, err)
	}},
	{"update that clears", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.UpdateRecord(context.Background(), as("clerk"), vault.UpdateRequest{Collection: "customers", Record: record(subject), Mask: []string{"note"}})
		return told(r, err)
	}},
	{"delete", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.DeleteRecord(context.Background(), as("clerk"), vault.DeleteRequest{Collection: "customers", SubjectID: subject})
		return told(r, err)
	}},
	{"get", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.GetRecords(context.Background(), as("clerk"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{subject}})
		return told(r, err)
	}},
	{"list", func(h *vaulttest.Harness, _, _ string) string {
		r, _, err := h.Vault.ListRecords(context.Background(), as("clerk"), vault.ListRequest{Collection: "customers"})
		return told(r, err)
	}},
	{"tokenize", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.Tokenize(context.Background(), as("clerk"), vault.TokenizeRequest{Collection: "customers", Field: "note",
			Items: []vault.TokenizeItem{{SubjectID: subject, Value: vaulttest.Text("tea")}}})
		return told(r, err)
	}},
	{"describe", func(h *vaulttest.Harness, _, token string) string {
		r, err := h.Vault.DescribeTokens(context.Background(), as("clerk"), []string{token})
		return told(r, err)
	}},
	{"detokenize", func(h *vaulttest.Harness, _, token string) string {
		var out vault.Revealed
		err := h.Vault.Detokenize(context.Background(), as("clerk"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "payment"}, &out)
		return told(out.Items, err)
	}},
	{"detokenize for another purpose", func(h *vaulttest.Harness, _, token string) string {
		var out vault.Revealed
		err := h.Vault.Detokenize(context.Background(), as("clerk"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "support"}, &out)
		return told(out.Items, err)
	}},
	{"read", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.ReadRecord(context.Background(), as("clerk"), vault.ReadRequest{Collection: "customers", SubjectID: subject, Purpose: "payment"})
		return told(r, err)
	}},
	{"read a field", func(h *vaulttest.Harness, subject, _ string) string {
		r, err := h.Vault.ReadRecord(context.Background(), as("clerk"), vault.ReadRequest{Collection: "customers", SubjectID: subject, Purpose: "support", Fields: []string{"note"}})
		return told(r, err)
	}},
}

// Who has no right on a thing is told the same, and the log says the same,
// whether it is there, was erased or never was. The store is not even asked.
func TestRefusalsTellNothingOfExistence(t *testing.T) {
	h := open(t)
	reads := &reading{}
	h.Wrap = func(s store.Store) store.Store { reads.Store = s; return reads }
	h.Reopen()
	here := tokenOf(t, put(t, h, "here", "note", "tea"), "note")
	partly := tokenOf(t, put(t, h, "partly", "note", "tea"), "note")
	order(t, h, "partly", "Main Street 1")
	remove(t, h, "customers", "partly")
	erased := tokenOf(t, put(t, h, "erased", "note", "tea"), "note")
	remove(t, h, "customers", "erased")
	things := []struct{ state, subject, token string }{
		{"there", "here", here}, {"never there", "never", erased}, {"erased", "erased", erased}, {"deleted", "partly", partly},
	}
	for _, o := range oracles {
		t.Run(o.name, func(t *testing.T) {
			var first string
			var logged *audit.Entry
			for _, thing := range things {
				before := len(h.Log.Entries())
				reads.people = 0
				got := o.call(h, thing.subject, thing.token)
				if reads.people > 0 {
					t.Errorf("%s: the rows of people were read", thing.state)
				}
				entries := entriesSince(h, before)
				if len(entries) != 1 || entries[0].Outcome != audit.Refused {
					t.Fatalf("%s: %d entries, want one refusal", thing.state, len(entries))
				}
				if first == "" {
					first, logged = got, entries[0]
					continue
				}
				if got != first {
					t.Errorf("%s: %s\nbut there: %s", thing.state, got, first)
				}
				opt := cmpopts.IgnoreFields(audit.Entry{}, "ID", "Time")
				item := cmpopts.IgnoreFields(audit.Item{}, "Subject", "Item")
				if diff := cmp.Diff(logged, entries[0], opt, item); diff != "" {
					t.Errorf("%s: the entry differs: %s", thing.state, diff)
				}
			}
		})
	}
}
