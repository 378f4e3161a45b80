package vault_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// The limits of the contract, as numbers: each is taken, and one more is not.
func TestLimits(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
	store := func(in vault.RecordInput, requestID string) error {
		r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{
			Collection: "customers", Records: []vault.RecordInput{in}, Upsert: true, RequestID: requestID,
		})
		if err == nil && r[0].Err != nil {
			err = r[0].Err
		}
		return err
	}
	for _, c := range []struct {
		name   string
		most   int
		try    func(n int) error
		reason vault.Reason
	}{
		{"subject_id", 256, func(n int) error {
			return store(vault.RecordInput{SubjectID: strings.Repeat("s", n), Fields: fields("note", "tea")}, "")
		}, vault.InvalidRequest},
		{"request_id", 128, func(n int) error {
			return store(record("c-2", "note", "tea"), strings.Repeat("r", n))
		}, vault.InvalidRequest},
		{"reason", 128, func(n int) error {
			var out vault.Revealed
			return h.Vault.Detokenize(t.Context(), as("support"), vault.DetokenizeRequest{
				Tokens: []string{token}, Purpose: "support", Reason: strings.Repeat("R", n),
			}, &out)
		}, vault.InvalidRequest},
		{"value", 65_536, func(n int) error {
			return store(vault.RecordInput{SubjectID: "c-3", Fields: []vault.FieldValues{
				{Field: "photo", Values: []vault.Given{vaulttest.Data(make([]byte, n))}},
			}}, "")
		}, vault.InvalidValue},
		{"records", 1000, func(n int) error {
			q := vault.PutRequest{Collection: "customers", Upsert: true}
			for i := range n {
				q.Records = append(q.Records, record(fmt.Sprintf("b-%d", i), "note", "tea"))
			}
			_, err := h.Vault.PutRecords(t.Context(), as("shop"), q)
			return err
		}, vault.InvalidRequest},
		{"page size", 1000, func(n int) error {
			_, _, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers", PageSize: n})
			return err
		}, vault.InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.try(c.most); err != nil {
				t.Errorf("%d: %v", c.most, err)
			}
			wantReason(t, c.try(c.most+1), c.reason)
		})
	}
	records, next, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers"})
	if err != nil || len(records) != 100 || next == "" {
		t.Errorf("a page without a size has %d records, want 100 and a next: %v", len(records), err)
	}
}
